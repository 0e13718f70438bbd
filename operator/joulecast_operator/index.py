"""The resources that joulecast works on, as plain dicts in memory: filled by one LIST, kept by watch events.

A resource is replaced only by a newer version of itself, so that an answer to our own write and a late event about an
older state may come in any order.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joulecast_operator.kinds import CALIBRATIONS, DEPLOYMENTS, ESTIMATES, NODES, PROFILES, Kind

PREFIX: Final = "joulecast.dev/"
DEVICES: Final = "nvidia.com/"
"""What NVIDIA's device plugin calls the resources of a node begins with it."""

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One object; ``namespace`` is "" for a cluster-scoped kind."""

    kind: str
    namespace: str
    name: str


def key_of(kind: Kind, resource: Resource) -> Key:
    metadata = resource.get("metadata") or {}
    return Key(kind=kind.kind, namespace=metadata.get("namespace") or "", name=metadata.get("name") or "")


class Store:
    """All objects of one kind, newest known version each."""

    def __init__(self, kind: Kind, slim: Callable[[Resource], Resource]) -> None:
        self.kind = kind
        self._slim = slim
        self._objects: dict[Key, Resource] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: Key) -> Resource | None:
        return self._objects.get(key)

    def items(self) -> Iterable[tuple[Key, Resource]]:
        return list(self._objects.items())

    def put(self, resource: Resource) -> bool:
        """Take ``resource`` unless a newer version of it is known; says whether anything changed."""
        key = key_of(self.kind, resource)
        known = self._objects.get(key)
        if known is not None and not newer(resource, known):
            return False
        self._objects[key] = self._slim(resource)
        return True

    def drop(self, key: Key) -> Resource | None:
        return self._objects.pop(key, None)


class Index:
    """Estimates, profiles, calibrations, Deployments and nodes. ``now`` counts seconds, for tests."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.ready = False
        self._stores = {
            ESTIMATES.kind: Store(ESTIMATES, _without_noise),
            PROFILES.kind: Store(PROFILES, _without_noise),
            CALIBRATIONS.kind: Store(CALIBRATIONS, _without_noise),
            DEPLOYMENTS.kind: Store(DEPLOYMENTS, _slim_deployment),
            NODES.kind: Store(NODES, _slim_node),
        }
        self._targets: defaultdict[tuple[str, str, str], set[Key]] = defaultdict(set)
        self._images: defaultdict[tuple[str, str], set[Key]] = defaultdict(set)
        self._in_namespace: defaultdict[tuple[str, str], set[Key]] = defaultdict(set)
        self._suspects: dict[Key, str] = {}
        self._behind_since: dict[str, float] = {}

    # -- change

    def put(self, kind: Kind, resource: Resource) -> bool:
        """Add or replace; says whether it was news."""
        key = key_of(kind, resource)
        store = self._stores[kind.kind]
        before = store.get(key)
        if not store.put(resource):
            return False
        self._unlink(key, before)
        self._link(key, store.get(key))
        return True

    def refresh(self, kind: Kind, resource: Resource) -> None:
        """Take the answer to our own write, unless the object went meanwhile."""
        if self._stores[kind.kind].get(key_of(kind, resource)) is not None:
            self.put(kind, resource)

    def drop(self, key: Key) -> Resource | None:
        before = self._stores[key.kind].drop(key)
        self._unlink(key, before)
        return before

    def apply(self, kind: Kind, event_type: str | None, resource: Resource) -> bool:
        """Take a watch event; says whether it was news."""
        if event_type == "DELETED":
            return self.drop(key_of(kind, resource)) is not None
        return self.put(kind, resource)

    # -- ask

    def resource(self, key: Key) -> Resource | None:
        return self._stores[key.kind].get(key)

    def get(self, namespace: str, name: str) -> Resource | None:
        """The estimate of that name."""
        return self.resource(Key(kind=ESTIMATES.kind, namespace=namespace, name=name))

    def by_target(self, namespace: str, kind: str, name: str) -> list[Resource]:
        """Estimates of the namespace whose targetRef is that workload."""
        return self._found(self._targets.get((namespace, kind, name), ()))

    def by_image(self, namespace: str, image: str) -> list[Resource]:
        """Estimates of the namespace that name that image, letter for letter."""
        return self._found(self._images.get((namespace, image), ()))

    def estimates(self) -> list[Resource]:
        return [resource for _, resource in self._stores[ESTIMATES.kind].items()]

    def profiles(self) -> list[Resource]:
        return [resource for _, resource in self._stores[PROFILES.kind].items()]

    def calibrations(self) -> list[Resource]:
        return [resource for _, resource in self._stores[CALIBRATIONS.kind].items()]

    def nodes(self) -> list[Resource]:
        return [resource for _, resource in self._stores[NODES.kind].items()]

    def deployment(self, namespace: str, name: str) -> Resource | None:
        return self.resource(Key(kind=DEPLOYMENTS.kind, namespace=namespace, name=name))

    def keys(self, kind: Kind, namespace: str | None = None) -> list[Key]:
        """Keys of a kind, of one namespace or of all."""
        if namespace is not None:
            return sorted(self._in_namespace.get((kind.kind, namespace), ()), key=lambda key: key.name)
        return [key for key, _ in self._stores[kind.kind].items()]

    # -- lag

    def behind_seconds(self) -> float:
        """For how long a watch is known to bring nothing although something changed; 0.0 while none is."""
        return self._now() - min(self._behind_since.values()) if self._behind_since else 0.0

    def heard(self, kind: Kind) -> None:
        """The watch of ``kind`` lives: it brought something."""
        self._behind_since.pop(kind.kind, None)

    def compare(self, kind: Kind, listed: Iterable[Resource], version: str) -> tuple[set[Key], set[Key]]:
        """Compare with a listing of metadata taken at ``version``.

        Gives the keys that are gone from the server, and those of which the index still lacks what the comparison
        before this one saw: the watch is stale, not merely late, and stays so until it is heard.
        """
        server = {key_of(kind, resource): resource for resource in listed}
        store = self._stores[kind.kind]
        gone = {key for key, known in store.items() if key not in server and not _later(_version(known), version)}
        late = {key: _version(item) for key, item in server.items() if _is_late(_version(item), store.get(key))}
        stale = {key for key in late if key in self._suspects and _is_late(self._suspects[key], store.get(key))}
        for key in [key for key in self._suspects if key.kind == kind.kind]:
            del self._suspects[key]
        self._suspects.update(late)
        if stale:
            self._behind_since.setdefault(kind.kind, self._now())
        return gone, stale

    # -- links

    def _found(self, keys: Iterable[Key]) -> list[Resource]:
        found = (self.resource(key) for key in keys)
        return [resource for resource in found if resource is not None]

    def _link(self, key: Key, resource: Resource | None) -> None:
        self._in_namespace[key.kind, key.namespace].add(key)
        for index, entry in self._entries(key, resource):
            index[entry].add(key)

    def _unlink(self, key: Key, resource: Resource | None) -> None:
        for index, entry in self._entries(key, resource):
            _remove(index, entry, key)
        if self.resource(key) is None:
            _remove(self._in_namespace, (key.kind, key.namespace), key)

    def _entries(self, key: Key, resource: Resource | None) -> Iterable[tuple[dict[Any, set[Key]], Any]]:
        if key.kind != ESTIMATES.kind or resource is None:
            return
        spec = resource.get("spec") or {}
        target, image = spec.get("targetRef") or {}, (spec.get("model") or {}).get("image")
        if target.get("name"):
            yield self._targets, (key.namespace, target.get("kind") or "Deployment", target["name"])
        if image:
            yield self._images, (key.namespace, image)


def newer(resource: Resource, known: Resource) -> bool:
    """Whether ``resource`` is a later version than ``known``, or another object of that name."""
    return _later(_version(resource), _version(known))


def _version(resource: Resource) -> str:
    return str((resource.get("metadata") or {}).get("resourceVersion") or "")


def _later(version: str, than: str) -> bool:
    """Resource versions are numbers that grow, and may be compared as such since Kubernetes 1.35."""
    if version.isdigit() and than.isdigit():
        return int(version) > int(than)
    return version != than


def _is_late(listed: str, known: Resource | None) -> bool:
    return known is None or _later(listed, _version(known))


def _remove(index: dict[Any, set[Key]], entry: Any, key: Key) -> None:
    keys = index.get(entry)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[entry]


_NOISE: Final = "kubectl.kubernetes.io/last-applied-configuration"


def _without_noise(resource: Resource) -> Resource:
    metadata = {key: value for key, value in (resource.get("metadata") or {}).items() if key != "managedFields"}
    if _NOISE in (metadata.get("annotations") or {}):
        metadata["annotations"] = {key: value for key, value in metadata["annotations"].items() if key != _NOISE}
    return {**resource, "metadata": metadata}


def _slim_deployment(resource: Resource) -> Resource:
    """Only what ``discovery`` reads: identity, owners, our annotations, the template's images and pull secrets."""
    metadata = resource.get("metadata") or {}
    kept = {
        key: metadata[key]
        for key in ("name", "namespace", "uid", "resourceVersion", "ownerReferences")
        if key in metadata
    }
    notes = metadata.get("annotations") or {}
    kept["annotations"] = {key: value for key, value in notes.items() if key.startswith(PREFIX)}
    pod = ((resource.get("spec") or {}).get("template") or {}).get("spec") or {}
    template = {
        "volumes": [{"image": volume["image"]} for volume in pod.get("volumes") or () if volume.get("image")],
        "initContainers": [{"image": each.get("image")} for each in pod.get("initContainers") or ()],
        "containers": [{"image": each.get("image")} for each in pod.get("containers") or ()],
        "imagePullSecrets": pod.get("imagePullSecrets") or (),
    }
    return {"kind": DEPLOYMENTS.kind, "metadata": kept, "spec": {"template": {"spec": template}}}


def _slim_node(resource: Resource) -> Resource:
    metadata = resource.get("metadata") or {}
    kept = {key: metadata[key] for key in ("name", "uid", "resourceVersion", "labels") if key in metadata}
    allocatable = (resource.get("status") or {}).get("allocatable") or {}
    devices = {name: count for name, count in allocatable.items() if name.startswith(DEVICES)}
    addresses = [{"address": each.get("address")} for each in (resource.get("status") or {}).get("addresses") or ()]
    ranges = (resource.get("spec") or {}).get("podCIDRs") or ()
    status = ({"allocatable": devices} if devices else {}) | ({"addresses": addresses} if addresses else {})
    spec = {"podCIDRs": list(ranges)} if ranges else {}
    return {"metadata": kept} | ({"status": status} if status else {}) | ({"spec": spec} if spec else {})
