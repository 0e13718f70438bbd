"""Say at admission which setting would save energy, by an EnergyPlan whose target is the workload; pure.

A plan speaks only while it is about the workload as it is applied: the same model, run as the plan took it to run.
"""

from __future__ import annotations

from collections.abc import Iterable

from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import READY, state_of
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.workloads import choice, discovery
from joulecast_operator.workloads.containers import reference
from joulecast_operator.workloads.dimensions import DEGREES, DIMENSIONS

_OF_SETTINGS = frozenset(each.field for each in DIMENSIONS) - {"phase", "inputTokens", "outputTokens"}
"""In what settings of a plan differ; phase and tokens are of the plan as a whole."""


def warnings(workload: Resource, plans: Iterable[Resource]) -> tuple[str, ...]:
    """Return a sentence that names the setting which saves most of all ``plans``, those of the workload.

    None where no plan has a choice that saves 10 % even at the lower end of its interval.
    """
    worth = [each for each in plans if _is_worthwhile(each) and _is_about(each, workload)]
    if not worth:
        return ()
    best = max(worth, key=lambda each: (_saving(each)["percentLower"], _name(each)))
    return (_sentence(best),)


def _is_worthwhile(plan: Resource) -> bool:
    return state_of(plan) == READY and _saving(plan).get("worthwhile") is True and bool(_status(plan).get("choice"))


def _is_about(plan: Resource, workload: Resource) -> bool:
    """Tell whether the workload runs the plan's model as the plan's ``today`` says."""
    models, image = discovery.model_references(workload), str(_status(plan).get("image") or "")
    if reference(image) not in map(bounds.text, models):
        return False
    today = mapping(_status(plan).get("today"))
    row = {**today, DEGREES.field: today.get("tensorParallel", 1)}
    wanted = {field: values for field, values in choice.wanted_by(workload).items() if field in _OF_SETTINGS}
    return choice.answers(row, wanted)


def _sentence(plan: Resource) -> str:
    saving, summary = _saving(plan), mapping(_status(plan).get("summary"))
    percent, lower, upper = (round(saving[name]) for name in ("percent", "percentLower", "percentUpper"))
    return (
        f'{summary.get("choice")} would need {percent} % fewer joules ({lower} to {upper}); by the plan "{_name(plan)}"'
    )


def _saving(plan: Resource) -> Resource:
    return mapping(_status(plan).get("saving"))


def _status(plan: Resource) -> Resource:
    return mapping(plan.get("status"))


def _name(plan: Resource) -> str:
    return str(mapping(plan.get("metadata")).get("name", ""))
