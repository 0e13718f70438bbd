"""Keep the objects that joulecast works on in memory. One listing fills the index, and watch events update it.

An object is replaced only by a newer version of it, so that the answer to our own write and a late event about an older
state may come in any order. Estimates and workloads are stored packed, and unpacked at each call.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from joulecast_operator.api.annotations import NOT_WRITTEN, WRITTEN_LABEL
from joulecast_operator.api.kinds import (
    ANNOTATED,
    CALIBRATIONS,
    CLAIMS,
    CUSTOM,
    ESTIMATES,
    NAMESPACES,
    NODES,
    OFFERS,
    PLANS,
    PROFILES,
    SITES,
    TARGETS,
    Kind,
)
from joulecast_operator.api.objects import Key, Resource, Scope, key_of, mapping, version_of
from joulecast_operator.index import candidates, slim
from joulecast_operator.index.candidates import Candidates
from joulecast_operator.index.slim import MADE, MODEL, NAMED, TARGET
from joulecast_operator.index.stores import KindStore, Link, StoragePolicy, StoredObject

Slim = Callable[[Resource], Resource]
"""Returns an object with only those fields that are read."""


class Index:
    """Holds estimates, profiles, sites, calibrations, workloads, namespaces and nodes, with look-ups by image, target
    and namespace.

    ``estimate`` and ``plan`` return what is kept of such an object. ``shown`` returns what is kept of an estimate
    unpacked, for those who often read all of them. ``now`` counts seconds.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        *,
        estimate: Slim = slim.estimate,
        plan: Slim = slim.estimate,
        shown: Callable[[Resource], Any] = lambda _: None,
    ) -> None:
        self._now = now
        self.ready = False
        summary = lambda resource: (candidates.summary(resource), shown(resource))  # noqa: E731
        self._stores = {
            kind.kind: KindStore(kind, keeping)
            for kind, keeping in (
                (ESTIMATES, StoragePolicy(slim=estimate, packed=True, links=slim.estimate_links, summary=summary)),
                (PROFILES, StoragePolicy(slim=slim.without_noise)),
                (SITES, StoragePolicy(slim=slim.without_noise)),
                (CALIBRATIONS, StoragePolicy(slim=slim.without_noise)),
                (PLANS, StoragePolicy(slim=plan, packed=True, links=slim.plan_links, summary=slim.site_of_plan)),
                *((kind, _of_workloads(kind)) for kind in ANNOTATED.values()),
                *((kind, _of_custom(kind)) for kind in CUSTOM.values()),
                *((kind, _of_offers(kind)) for kind in OFFERS.values()),
                (NODES, StoragePolicy(slim=slim.node)),
                (NAMESPACES, StoragePolicy(slim=slim.namespace)),
            )
        }
        self._estimates: defaultdict[Link, Candidates] = defaultdict(Candidates)
        self._others: defaultdict[Link, set[Key]] = defaultdict(set)
        self._in_namespace: defaultdict[tuple[str, str], set[Key]] = defaultdict(set)
        self._suspects: dict[Key, str] = {}
        self._behind_since: dict[Scope, float] = {}
        self._unreadable: set[Scope] = set()
        self._unserved: set[str] = {*CUSTOM, *OFFERS}

    # -- change

    def is_news(self, kind: Kind, resource: Resource) -> bool:
        """Tell whether ``resource`` is newer than the version in the index."""
        return self._stores[kind.kind].is_news(key_of(kind, resource), version_of(resource))

    def put(self, kind: Kind, resource: Resource) -> bool:
        """Add or replace an object if it is newer than the one in the index; tells whether it was."""
        if not self.is_news(kind, resource):
            return False
        key = key_of(kind, resource)
        store = self._stores[kind.kind]
        before = store.entry(key)
        after = store.put(key, resource)
        self._unlink(key, before)
        self._link(key, after)
        return True

    def refresh(self, kind: Kind, resource: Resource) -> None:
        """Take an object from the answer to our own write, unless it was deleted meanwhile."""
        if self._stores[kind.kind].entry(key_of(kind, resource)) is not None:
            self.put(kind, resource)

    def drop(self, key: Key) -> Resource | None:
        """Remove an object and return it; None if there is none."""
        before = self._stores[key.kind].drop(key)
        if before is None:
            return None
        self._unlink(key, before)
        _remove(self._in_namespace, (key.kind, key.namespace), key)
        return before.resource

    def apply(self, kind: Kind, event_type: str | None, resource: Resource) -> bool:
        """Apply a watch event; tells whether it changed the index."""
        if event_type == "DELETED":
            return self.drop(key_of(kind, resource)) is not None
        return self.put(kind, resource)

    # -- ask

    def resource(self, key: Key) -> Resource | None:
        """Return the object of ``key``; None if there is none."""
        return self._stores[key.kind].get(key)

    def get(self, namespace: str, name: str) -> Resource | None:
        """Return the estimate of that name; None if there is none."""
        return self.resource(Key(kind=ESTIMATES.kind, namespace=namespace, name=name))

    def by_target(self, namespace: str, kind: str, name: str) -> list[Resource]:
        """Return estimates whose targetRef is that workload; only a few of those that are equal."""
        return self._chosen((TARGET + kind, namespace, name))

    def by_model(self, namespace: str, reference: str) -> list[Resource]:
        """Return estimates that name exactly that image or address of a model; only a few of those that are equal."""
        return self._chosen((MODEL, namespace, reference))

    def targeting(self, namespace: str, kind: str, name: str) -> list[Key]:
        """Return every estimate of the namespace whose targetRef is that workload."""
        return self._all((TARGET + kind, namespace, name))

    def made_for(self, namespace: str, kind: str, name: str) -> list[Key]:
        """Return the estimates with that targetRef that joulecast created."""
        return self._all((MADE + kind, namespace, name))

    def workloads_of(self, namespace: str, *, model: str = "", estimate: str = "") -> set[Key]:
        """Return the workloads of a namespace that may run ``model``, an image or address, or that name
        ``estimate``."""
        of_model = self._others.get((MODEL, namespace, model), set())
        return of_model | self._others.get((NAMED, namespace, estimate), set())

    def estimates(self) -> Iterator[Resource]:
        """Yield all estimates, each unpacked when its turn comes."""
        return self._stores[ESTIMATES.kind].resources()

    def shown(self) -> list[Any]:
        """Return the part of every estimate that is kept unpacked."""
        return [shown for _, shown in self._stores[ESTIMATES.kind].summaries()]

    def profiles(self) -> list[Resource]:
        """Return all accelerator profiles."""
        return list(self._stores[PROFILES.kind].resources())

    def sites(self) -> list[Resource]:
        """Return all energy sites."""
        return list(self._stores[SITES.kind].resources())

    def calibrations(self) -> list[Resource]:
        """Return all calibrations."""
        return list(self._stores[CALIBRATIONS.kind].resources())

    def plans(self) -> Iterator[Resource]:
        """Yield all plans, each unpacked when its turn comes."""
        return self._stores[PLANS.kind].resources()

    def sites_of_plans(self) -> list[str]:
        """Return the name of the site that prices each plan, of those that one prices."""
        return [site for site in self._stores[PLANS.kind].summaries() if site]

    def plans_of(self, workload: Key) -> set[Key]:
        """Return every plan whose targetRef is that workload."""
        return self._others.get((TARGET + workload.kind, workload.namespace, workload.name), set())

    def plans_for(self, namespace: str, kind: str, name: str) -> list[Resource]:
        """Return every plan whose targetRef is that workload."""
        found = map(self.resource, self.plans_of(Key(kind=kind, namespace=namespace, name=name)))
        return [plan for plan in found if plan is not None]

    def nodes(self) -> list[Resource]:
        """Return all nodes."""
        return list(self._stores[NODES.kind].resources())

    def resources(self, kind: Kind) -> Iterator[Resource]:
        """Yield all objects of a kind, each unpacked when its turn comes."""
        return self._stores[kind.kind].resources()

    def may_annotate(self, namespace: str) -> bool | None:
        """Tell whether the namespace's label lets joulecast annotate workloads there; None if it is not known yet."""
        found = self.resource(Key(kind=NAMESPACES.kind, namespace="", name=namespace))
        return None if found is None else mapping(found["metadata"]["labels"]).get(WRITTEN_LABEL) != NOT_WRITTEN

    def workload(self, kind: str, namespace: str, name: str) -> Resource | None:
        """Return the workload of that kind and name; None if there is none, or if the kind is none of workloads."""
        return self.resource(Key(kind=kind, namespace=namespace, name=name)) if kind in TARGETS else None

    def keys(self, kind: Kind, namespace: str | None = None) -> list[Key]:
        """Return the keys of a kind, in one namespace or in all."""
        if namespace is not None:
            return sorted(self._in_namespace.get((kind.kind, namespace), ()), key=lambda key: key.name)
        return self._stores[kind.kind].keys()

    # -- rights

    def note_unreadable(self, scope: Scope, *, unreadable: bool) -> None:
        """Record whether the objects of ``scope`` may not be read."""
        if unreadable:
            self._unreadable.add(scope)
        else:
            self._unreadable.discard(scope)

    def is_unreadable(self, kind: str, namespace: str) -> bool:
        """Tell whether objects of that kind may not be read in ``namespace``."""
        return any(each.kind.kind == kind and each.namespace in (None, namespace) for each in self._unreadable)

    def note_served(self, kind: Kind, *, served: bool) -> None:
        """Record whether the cluster serves an optional ``kind``; a custom one counts as not served before that."""
        if served:
            self._unserved.discard(kind.kind)
        else:
            self._unserved.add(kind.kind)

    def is_served(self, kind: str) -> bool:
        """Tell whether the cluster serves that kind."""
        return kind not in self._unserved

    # -- lag

    def behind_seconds(self) -> float:
        """Return for how long it has been known that a watch misses changes; 0.0 if none does."""
        return self._now() - min(self._behind_since.values()) if self._behind_since else 0.0

    def heard(self, scope: Scope) -> None:
        """Record that the watch of ``scope`` delivered an event, which means that it works."""
        self._behind_since.pop(scope, None)

    def compare(self, scope: Scope, listed: Mapping[Key, str], version: str) -> tuple[set[Key], set[Key]]:
        """Compare the index with the objects' versions in a listing taken at ``version``.

        Return the keys that are gone from the server, and those whose version of the previous comparison the index
        still lacks. If there are any of the latter, the watch has missed changes, and counts as behind until it
        delivers an event.
        """
        store = self._stores[scope.kind.kind]
        late = {key: held for key, held in listed.items() if store.is_news(key, held)}
        stale = {key for key in late if key in self._suspects and store.is_news(key, self._suspects[key])}
        for key in [key for key in self._suspects if scope.covers(key)]:
            del self._suspects[key]
        self._suspects.update(late)
        if stale:
            self._behind_since.setdefault(scope, self._now())
        return self.gone(scope, listed, version), stale

    def gone(self, scope: Scope, listed: Mapping[Key, str], version: str) -> set[Key]:
        """Return the keys of ``scope`` that are not in its listing taken at ``version``, except those of objects newer
        than it."""
        store = self._stores[scope.kind.kind]
        return {key for key in store if key not in listed and scope.covers(key) and not store.is_newer(key, version)}

    # -- links

    def _all(self, link: Link) -> list[Key]:
        found = self._estimates.get(link)
        return sorted(found.keys(), key=lambda key: key.name) if found else []

    def _chosen(self, link: Link) -> list[Resource]:
        found = self._estimates.get(link)
        resources = (self.resource(key) for key in found.chosen()) if found else ()
        return [resource for resource in resources if resource is not None]

    def _link(self, key: Key, entry: StoredObject) -> None:
        self._in_namespace[key.kind, key.namespace].add(key)
        for link in entry.links:
            if key.kind == ESTIMATES.kind:
                self._estimates[link].add(key, entry.summary[0])
            else:
                self._others[link].add(key)

    def _unlink(self, key: Key, entry: StoredObject | None) -> None:
        if entry is None:
            return
        for link in entry.links:
            if key.kind != ESTIMATES.kind:
                _remove(self._others, link, key)
            elif link in self._estimates:
                self._estimates[link].remove(key, entry.summary[0])
                if not self._estimates[link]:
                    del self._estimates[link]


def _of_workloads(kind: Kind) -> StoragePolicy:
    return StoragePolicy(slim=partial(slim.workload, kind), packed=True, links=slim.workload_links)


def _of_custom(kind: Kind) -> StoragePolicy:
    """Return how workloads of a custom kind are kept: without links, because no annotation of theirs is written."""
    return StoragePolicy(slim=partial(slim.workload, kind), packed=True)


def _of_offers(kind: Kind) -> StoragePolicy:
    """Return how what says which accelerators a workload may get is kept: unpacked, but for the many claims, because
    all ResourceSlices are read for a target."""
    return StoragePolicy(slim=slim.OFFERED[kind.kind], packed=kind == CLAIMS)


def _remove(index: dict[Any, set[Key]], entry: Any, key: Key) -> None:
    keys = index.get(entry)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[entry]
