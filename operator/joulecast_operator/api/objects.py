"""Read objects of the Kubernetes API that are plain dicts: their key, their version, and fields of uncertain type."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from joulecast_operator.api.kinds import Kind

Resource = Mapping[str, Any]
"""An object of the API, or a part of one, as JSON gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Identifies one object of the cluster.

    - ``kind``: the kind, as in its manifest.
    - ``namespace``: "" for a cluster-scoped kind.
    - ``name``: the object's name.
    """

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The objects of a kind that one listing and one watch cover.

    - ``kind``: the kind.
    - ``namespace``: their namespace; None for all namespaces, and for a cluster-scoped kind.
    - ``name``: the name of the only object; None for all objects.
    """

    kind: Kind
    namespace: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        named = self.kind.plural if self.name is None else f"{self.kind.plural} {self.name!r}"
        return named if self.namespace is None else f"{named} of the namespace {self.namespace!r}"

    @property
    def path(self) -> str:
        """Return the URL path of the collection."""
        return self.kind.path(self.namespace)

    @property
    def selector(self) -> dict[str, str]:
        """Return the query parameters that limit the collection to these objects."""
        return {} if self.name is None else {"fieldSelector": f"metadata.name={self.name}"}

    def covers(self, key: Key) -> bool:
        """Tell whether the object of ``key`` is one of them."""
        in_namespace = self.namespace is None or key.namespace == self.namespace
        return key.kind == self.kind.kind and in_namespace and (self.name is None or key.name == self.name)


def key_of(kind: Kind, resource: Resource) -> Key:
    """Return the key of ``resource``, an object of ``kind``."""
    metadata = resource.get("metadata") or {}
    namespace = sys.intern(metadata.get("namespace") or "")  # thousands of keys share it
    return Key(kind=kind.kind, namespace=namespace, name=metadata.get("name") or "")


def version_of(resource: Resource) -> str:
    """Return the resource version, "" where there is none."""
    return str((resource.get("metadata") or {}).get("resourceVersion") or "")


def identified(resource: Resource, **fields: Any) -> dict[str, Any]:
    """Return an object with its name, its namespace and ``fields`` alone."""
    metadata = mapping(resource.get("metadata"))
    return {"metadata": {"name": metadata.get("name"), "namespace": metadata.get("namespace")}} | fields


def labels_of(resource: Resource) -> Resource:
    """Return the labels of an object."""
    return mapping(mapping(resource.get("metadata")).get("labels"))


def camel(name: str) -> str:
    """Return the name that a field in snake_case has in an object."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


_MAPPINGS: Final = (dict, Mapping)  # a dict is told in a tenth of the time that an abstract class takes


def mapping(value: object) -> Resource:
    """Return ``value`` if it is a mapping, else an empty one: an object may be older than the present schema."""
    return value if isinstance(value, _MAPPINGS) else {}


def mappings(value: object) -> list[Resource]:
    """Return the entries of a list that are mappings; [] if ``value`` is not a list."""
    return [item for item in value if isinstance(item, _MAPPINGS)] if isinstance(value, (list, tuple)) else []
