"""Declare and collect the metrics of plans: five series each at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client.core import GaugeMetricFamily

from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import ready_condition
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.metrics.declaration import Metric, finite, identity_of

PLAN_LABELS: Final = ("namespace", "plan", "workload")

PLAN_INFO: Final = Metric(
    name="joulecast_plan_info",
    kind="gauge",
    labels=(*PLAN_LABELS, "accelerator", "choice", "counted_by", "reason"),
    text="Always 1. The labels tell what an EnergyPlan chooses, what its joules are counted by, and the reason of its"
    " condition Ready. One that has no choice has no accelerator.",
)
PLAN_SAVING: Final = Metric(
    name="joulecast_plan_saving_ratio",
    kind="gauge",
    labels=PLAN_LABELS,
    text="Share of today's joules that an EnergyPlan's choice saves by the forecast, below 0 where it needs more; of a"
    " plan that knows how the model runs now.",
)
PLAN_POWER: Final = Metric(
    name="joulecast_plan_power_watts",
    kind="gauge",
    labels=(*PLAN_LABELS, "accelerator"),
    text="Predicted average power of all replicas that an EnergyPlan chooses, in watts.",
)
PLAN_SAVED_COST: Final = Metric(
    name="joulecast_plan_saved_cost_per_month",
    kind="gauge",
    labels=(*PLAN_LABELS, "site", "currency"),
    text="Predicted saving of an EnergyPlan's choice in a month at the plan's site, for the work that today's setting"
    " does in it, in the currency of the label, below 0 where it costs more; none where the intervals do not tell.",
    field="money",
)
PLAN_SAVED_CARBON: Final = Metric(
    name="joulecast_plan_saved_carbon_per_month_grams",
    kind="gauge",
    labels=(*PLAN_LABELS, "site"),
    text="Predicted saving of an EnergyPlan's choice in a month at the plan's site, for the work that today's setting"
    " does in it, in grams of CO2e, below 0 where it emits more; none where the intervals do not tell.",
    field="gramsCo2e",
)
PLAN_COSTS: Final = (PLAN_SAVED_COST, PLAN_SAVED_CARBON)
PLANS: Final = (PLAN_INFO, PLAN_SAVING, PLAN_POWER, *PLAN_COSTS)


def plan_families(plans: Iterable[Resource]) -> Iterator[GaugeMetricFamily]:
    """Yield what each plan chooses, saves and draws."""
    families = [metric.family() for metric in PLANS]
    info, saved, power, *costs = families
    for plan in sorted(plans, key=identity_of):
        status = mapping(plan.get("status"))
        chosen, labels = mapping(status.get("choice")), (*identity_of(plan), _workload(plan))
        accelerator, summary = str(chosen.get("accelerator", "")), mapping(status.get("summary"))
        told = (str(summary.get("choice", "")), str(status.get("countedBy", "")), _reason(plan))
        info.add_metric((*labels, accelerator, *map(bounds.name, told)), 1)
        percent = finite(mapping(status.get("saving")).get("percent"))
        watts = finite(chosen.get("averagePowerWatts"))
        if percent is not None:
            saved.add_metric(labels, percent / 100)
        if watts is not None:
            power.add_metric((*labels, accelerator), watts)
        for metric, family in zip(PLAN_COSTS, costs, strict=True):
            _add_cost(family, metric, labels, mapping(status.get("cost")))
    yield from families


def _add_cost(family: GaugeMetricFamily, metric: Metric, labels: Sequence[str], cost: Resource) -> None:
    """Add what is saved in a month, if the plan tells it."""
    value = finite(mapping(cost.get("savesPerMonth")).get(metric.field))
    if value is not None:
        further = (str(cost.get(name) or "") for name in metric.labels[len(PLAN_LABELS) :])
        family.add_metric((*labels, *further), value)


def _reason(plan: Resource) -> str:
    """Return the reason of the condition Ready of the current generation; "" without one."""
    return str((ready_condition(plan) or {}).get("reason", ""))


def _workload(plan: Resource) -> str:
    return str(mapping(mapping(plan.get("spec")).get("targetRef")).get("name") or "")
