"""Tell what EnergyPlans recommend, and make the manifest of one for a workload; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from joulecast.site import Charge, SiteCost
from joulecast_operator.api.annotations import state_of
from joulecast_operator.api.conditions import READY, condition
from joulecast_operator.api.kinds import DEPLOYMENTS, PLANS, Kind
from joulecast_operator.api.objects import Resource, camel, mapping
from joulecast_operator.kubectl.standing import UNSEEN
from joulecast_operator.plans.status import UNIT_NAMES, UNITS

_LIMITS: Final = {
    "latencyMilliseconds": "latency",
    "timeToFirstTokenMilliseconds": "time to first token",
    "interTokenLatencyMilliseconds": "time between tokens",
}
"""The limits of an objective, in words, by field of ``spec.slo``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan as it is shown.

    - ``namespace``, ``name``: the object.
    - ``about``: the workload or model that it is about.
    - ``asked``: what the choice has to keep, in words; "" for nothing.
    - ``state``, ``reason``, ``message``: ``Ready``, ``Pending`` or ``Failed``, and why.
    - ``status``: the status of the object.
    """

    namespace: str
    name: str
    about: str
    asked: str
    state: str
    reason: str
    message: str
    status: Resource = field(repr=False)

    @property
    def summary(self) -> Mapping[str, Any]:
        """Return the plan as texts, which `kubectl get` prints in columns."""
        return mapping(self.status.get("summary"))

    @property
    def per(self) -> str:
        """Return what joules are counted by, in words."""
        counted = str(self.status.get("countedBy") or "Inference")
        return UNITS[UNIT_NAMES[counted]].words if counted in UNIT_NAMES else counted.lower()


def plan_of(resource: Resource) -> Plan:
    """Return an EnergyPlan as it is shown."""
    metadata, spec, status = (mapping(resource.get(part)) for part in ("metadata", "spec", "status"))
    ready = condition(status, READY) or {}
    return Plan(
        namespace=str(metadata.get("namespace")),
        name=str(metadata.get("name")),
        about=_about(spec),
        asked=_asked(spec),
        state=state_of(resource),
        reason=str(ready.get("reason") or ""),
        message=str(ready.get("message") or UNSEEN),
        status=status,
    )


def site_cost(cost: Resource, amounts: Resource) -> SiteCost:
    """Return one of the costs in a status. ``cost``: ``status.cost``; ``amounts``: a part of it, such as ``choice``."""
    per = str(cost.get("per"))
    return SiteCost(
        site=str(cost.get("site")),
        per=next((name for name in UNITS if camel(name) == per), per),
        kilowatt_hours=float(amounts.get("kilowattHours") or 0.0),
        kilowatts=float(amounts.get("kilowatts") or 0.0),
        currency=cost.get("currency"),
        money=_charge(amounts.get("money")),
        money_per_hour=_charge(amounts.get("moneyPerHour")),
        money_per_month=amounts.get("moneyPerMonth"),
        grams_co2e=_charge(amounts.get("gramsCo2e")),
        grams_co2e_per_hour=_charge(amounts.get("gramsCo2ePerHour")),
        grams_co2e_per_month=amounts.get("gramsCo2ePerMonth"),
    )


def _charge(amount: object) -> Charge | None:
    given = mapping(amount)
    return Charge(**{name: float(given[name]) for name in Charge.__dataclass_fields__}) if given else None


def of_target(resources: Iterable[Resource], kind: Kind, name: str) -> list[Resource]:
    """Return the plans whose target is a workload."""
    found = ((each, mapping(mapping(each.get("spec")).get("targetRef"))) for each in resources)
    wanted = (kind.kind, name)
    return [each for each, target in found if (target.get("kind") or DEPLOYMENTS.kind, target.get("name")) == wanted]


def manifest_for(
    kind: Kind, namespace: str, name: str, *, limits: Mapping[str, int], requests_per_second: str | None
) -> dict[str, Any]:
    """Return a plan whose target is a workload. ``limits``: milliseconds by field of ``spec.slo``."""
    spec: dict[str, Any] = {"targetRef": {"apiVersion": kind.api_version, "kind": kind.kind, "name": name}}
    if limits:
        spec["slo"] = dict(limits)
    if requests_per_second is not None:
        spec["requestsPerSecond"] = requests_per_second
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": PLANS.api_version, "kind": PLANS.kind, "metadata": metadata, "spec": spec}


def plan_note(resource: Resource, *, is_same: bool) -> str:
    """Return what applying a plan does. ``is_same``: whether its spec stays as it is."""
    said = "a plan has no forecast of its own"
    if is_same:
        return f"{said}: it asks nothing new, and what it recommends stands"
    spec = mapping(resource.get("spec"))
    what = "where to cut" if spec.get("split") else "which setting needs least energy for"
    asked = f", with {limits}" if (limits := _asked(spec)) else ""
    return f"{said}: after the apply it says {what} {_about(spec)}{asked}"


def plans_document(plans: Iterable[Plan]) -> dict[str, Any]:
    """Return plans as a document; the fields of each status stand as they are."""
    return {"plans": [_document(each) for each in plans]}


def _document(plan: Plan) -> dict[str, Any]:
    status = {name: value for name, value in plan.status.items() if name != "conditions"}
    return {
        "namespace": plan.namespace,
        "name": plan.name,
        "about": plan.about,
        "state": plan.state,
        "reason": plan.reason,
        "message": plan.message,
        **status,
    }


def _about(spec: Resource) -> str:
    target, model = mapping(spec.get("targetRef")), mapping(spec.get("model"))
    if target:
        return f"{str(target.get('kind') or DEPLOYMENTS.kind).lower()}/{target.get('name')}"
    reference = mapping(model.get("configMapRef"))
    return f"configmap/{reference.get('name')}" if reference else str(model.get("image") or model.get("uri") or "")


def _asked(spec: Resource) -> str:
    slo, rate = mapping(spec.get("slo")), spec.get("requestsPerSecond")
    limits = [f"{words} ≤ {slo[name]} ms" for name, words in _LIMITS.items() if slo.get(name) is not None]
    return ", ".join([*limits, *([] if rate is None else [f"{rate} requests a second"])])
