"""Read what a command needs from the API server: estimates, and the workloads that the user may see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from joulecast.errors import JoulecastError
from joulecast_operator.api.annotations import state_of
from joulecast_operator.api.conditions import READY, condition
from joulecast_operator.api.kinds import ESTIMATES, PLANS, TARGETS, Kind
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.kubectl.explanation import Explanation, explained, standing_of_estimate
from joulecast_operator.kubectl.names import Named
from joulecast_operator.kubectl.plans import Plan, of_target, plan_of
from joulecast_operator.kubectl.ranking import Ranking, ranked
from joulecast_operator.kubectl.server import RequestError, Server
from joulecast_operator.kubectl.standing import UNSEEN, Estimates, is_counted, standing_of
from joulecast_operator.workloads.choice import Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Workloads that were read. ``unread``: why those of a kind were not, by kind."""

    workloads: tuple[Resource, ...]
    unread: dict[str, str] = field(default_factory=dict)


def ranking_at(server: Server, namespace: str | None) -> Ranking:
    """Return the workloads of a namespace, or of all, by forecast power. Raises JoulecastError."""
    estimates = Estimates(server.all(ESTIMATES, namespace))
    found = read_workloads(server, namespace, TARGETS.values())
    counted = (each for each in found.workloads if is_counted(each))
    return ranked((standing_of(each, estimates, _namespace(each)) for each in counted), found.unread)


def read_workloads(server: Server, namespace: str | None, kinds: Iterable[Kind]) -> Read:
    """Read all workloads of ``kinds``. Raises RequestError where the user may read none of them."""
    found: dict[str, list[dict[str, Any]]] = {}
    refused: dict[str, RequestError] = {}
    for kind in kinds:
        try:
            found[kind.kind] = server.all(kind, namespace)
        except RequestError as error:
            if error.status == 403:
                refused[kind.kind] = error
            elif error.status != 404 or not kind.optional:
                raise
    if refused and not found:
        raise next(iter(refused.values()))
    workloads = (each for listed in found.values() for each in listed)
    return Read(workloads=tuple(workloads), unread={kind: str(error) for kind, error in refused.items()})


def explanation_at(
    server: Server, namespace: str, named: Named, asked: Wanted | None = None
) -> tuple[Explanation, Resource | None]:
    """Return the explanation of an object, and the workload if it is one. Raises JoulecastError.

    ``asked``: which result to explain in place of the one that applies.
    """
    found = _found(server, namespace, named)
    if named.kind is ESTIMATES:
        ready = condition(mapping(found.get("status")), READY) or {}
        message = str(ready.get("message") or UNSEEN)
        return explained(standing_of_estimate(found, state=state_of(found), message=message), asked), None
    estimates = Estimates(server.all(ESTIMATES, namespace))
    return explained(standing_of(found, estimates, namespace), asked), found


def plans_at(server: Server, namespace: str | None, wanted: Named | None) -> list[Plan]:
    """Return the plans of a namespace or of all, the one that is ``wanted``, or those about the workload that is.

    Raises JoulecastError.
    """
    if wanted is not None and wanted.kind is PLANS and namespace is not None:
        return [plan_of(_found(server, namespace, wanted))]
    listed = server.all(PLANS, namespace)
    if wanted is None:
        return [plan_of(each) for each in listed]
    about = of_target(listed, wanted.kind, wanted.name)
    if not about:
        title = f"{wanted.kind.kind.lower()}/{wanted.name}"
        raise JoulecastError(
            f"no EnergyPlan of the namespace {namespace!r} is about {title}: apply one, which `kubectl joulecast plan"
            f" {title} --manifest` prints",
            reason="NotFound",
        )
    return [plan_of(each) for each in about]


def _found(server: Server, namespace: str, named: Named) -> dict[str, Any]:
    """Return an object. Raises JoulecastError where there is none of that name."""
    found = server.find(named.kind, namespace, named.name)
    if found is None:
        raise JoulecastError(
            f"there is no {named.kind.kind} {named.name!r} in the namespace {namespace!r}: correct the name, or name"
            " another namespace by -n",
            reason="NotFound",
        )
    return found


def _namespace(workload: Resource) -> str:
    return str(mapping(workload.get("metadata")).get("namespace"))
