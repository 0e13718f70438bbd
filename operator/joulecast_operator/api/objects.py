"""Objects of the API as plain dicts: which one it is, which version of it, and parts whose shape is not certain."""

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
    """One object; ``namespace`` is "" for a cluster-scoped kind."""

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
    """Return ``value`` if it is a mapping, else an empty one: an object may be older than the schema of today."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: object) -> list[Resource]:
    """Return the entries of a list that are mappings; [] where ``value`` is not a list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, (list, tuple)) else []
