"""Read objects of the Kubernetes API that are plain dicts: their key, their version, and fields of uncertain type."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


def key_of(kind: Kind, resource: Resource) -> Key:
    """Return the key of ``resource``, an object of ``kind``."""
    metadata = resource.get("metadata") or {}
    namespace = sys.intern(metadata.get("namespace") or "")  # thousands of keys share it
    return Key(kind=kind.kind, namespace=namespace, name=metadata.get("name") or "")


def version_of(resource: Resource) -> str:
    """Return the resource version, "" where there is none."""
    return str((resource.get("metadata") or {}).get("resourceVersion") or "")


def mapping(value: object) -> Resource:
    """Return ``value`` if it is a mapping, else an empty one: an object may be older than the present schema."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: object) -> list[Resource]:
    """Return the entries of a list that are mappings; [] if ``value`` is not a list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, (list, tuple)) else []
