"""Say which objects a process watches: those of the whole cluster, or of the namespaces that it is restricted to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from joulecast_operator.api.kinds import DEPLOYMENTS, NAMESPACES, Kind
from joulecast_operator.api.objects import Scope


def watched(kinds: Iterable[Kind], namespaces: Collection[str]) -> Iterator[Scope]:
    """Yield what to watch of ``kinds``, in their order: all objects, or those of ``namespaces`` if there are some."""
    for kind in kinds:
        if kind.namespaced and namespaces:
            yield from (Scope(kind=kind, namespace=namespace) for namespace in namespaces)
        elif kind == NAMESPACES and namespaces:
            yield from (Scope(kind=kind, name=namespace) for namespace in namespaces)
        else:
            yield Scope(kind=kind)


def own_deployments(names: Iterable[str], own: str, namespaces: Collection[str]) -> Iterator[Scope]:
    """Yield joulecast's own Deployments ``names`` of its namespace ``own``, unless that is watched anyway."""
    if namespaces and own not in namespaces:
        yield from (Scope(kind=DEPLOYMENTS, namespace=own, name=name) for name in names if name)
