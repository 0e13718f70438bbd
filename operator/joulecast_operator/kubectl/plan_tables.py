"""What ``kubectl joulecast plan`` shows in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from joulecast.cli.sites import amounts_text
from joulecast.cli.tables.cells import line
from joulecast.cli.tables.plans import saving_text
from joulecast.cli.tables.profiles import facts, plain_table
from joulecast.cli.tables.quantities import digits, joules, quantity, size
from joulecast_operator.api.conditions import condition
from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.kubectl.plans import Plan, site_cost
from joulecast_operator.plans.costs import saved_text
from joulecast_operator.sites.costed import COSTED

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_EXCLUDED = {
    "memory": "do not fit the memory",
    "slo": "are slower than asked",
    "profile": "cannot be forecast",
    "degree": "cannot share the model",
}
"""Why settings are no candidates, in words, by field of ``status.excluded``."""

_CUTS = {
    "byJoules": "fewest joules", "byLatency": "least time", "allOnFirst": "all on the first machine",
    "allOnSecond": "all on the second machine",
}  # fmt: skip
"""What the cuts of a split are, in words, by field of ``status.split``."""

_TOLD = ("choice", "replicas", "joules", "saves")
_MONTH = "savesPerMonth"
"""Fields of the summary that a list shows; the last where any plan has it."""


def list_tables(plans: Sequence[Plan], *, with_namespaces: bool) -> list[RenderableType]:
    """Build one row for each plan."""
    if not plans:
        return [line("no plans", style="")]
    namespaces = [("namespace", False)] if with_namespaces else []
    months = [("and in a month", False)] if any(each.summary.get(_MONTH) for each in plans) else []
    table = plain_table(
        "Plans", *namespaces, ("plan", False), ("about", False), ("choice", False), ("replicas", True),
        ("energy", False), ("saves of today", False), *months, ("reason", False),
    )  # fmt: skip
    for each in plans:
        told = [str(each.summary.get(name) or "") for name in (*_TOLD, *([_MONTH] if months else []))]
        table.add_row(*([each.namespace] if with_namespaces else []), each.name, each.about, *told, each.reason)
    return [table]


def plan_tables(plan: Plan) -> list[RenderableType]:
    """Build the choice of a plan, against today and others, or why there is none."""
    title = {"plan": f"{plan.name} in {plan.namespace}", "about": plan.about, "asked": plan.asked or "no limits"}
    shown: list[RenderableType] = [facts(title)]
    rows = _rows(plan.status)
    if rows:
        shown.append(_settings(plan, rows))
    if mapping(plan.status.get("split")):
        shown.append(_cuts(mapping(plan.status["split"])))
    shown.append(line(f"{plan.reason}: {plan.message}" if plan.reason else plan.message, style="bold"))
    return [*shown, *_saving(plan.status), *_costs(plan.status), *_deciding(plan.status), *_excluded(plan.status)]


def _rows(status: Resource) -> list[tuple[str, Resource]]:
    """Return the settings of a status, each with what it is there."""
    single = [("choice", status["choice"])] if status.get("choice") else []
    leaders = [("not told apart", each) for each in mappings(status.get("leaders"))]
    others = [("runner-up", each) for each in mappings(status.get("runnersUp"))]
    known = [each for _, each in leaders]
    today = [("today", status["today"])] if status.get("today") else []
    return [*single, *leaders, *(pair for pair in others if pair[1] not in known), *today]


def _settings(plan: Plan, rows: Sequence[tuple[str, Resource]]) -> Table:
    energy = joules(float(row.get("joules") or 0.0) for _, row in rows)
    table = plain_table(
        "Settings", ("", False), ("accelerator", False), ("size", False), ("precision", False), ("replicas", True),
        ("cards", True), (f"energy per\n{plan.per}", True), ("time", True), ("W", True), ("origin", False),
    )  # fmt: skip
    for what, row in rows:
        figures = [float(row.get(name) or 0.0) for name in ("joules", "joulesLower", "joulesUpper")]
        table.add_row(
            what,
            str(row.get("accelerator")),
            _size(row),
            str(row.get("precision")),
            str(row.get("replicas")),
            str(row.get("cards")),
            energy.interval(*figures),
            quantity(float(row.get("latencySeconds") or 0.0), "s"),
            digits(float(row.get("averagePowerWatts") or 0.0)),
            str(row.get("origin")),
        )
    return table


def _size(row: Resource) -> str:
    """Return what runs at once, with the cards that share the model and their caps."""
    several = f"{row['concurrency']} at once" if row.get("concurrency") else f"batch of {row.get('batchSize')}"
    shared = f", on {row['tensorParallel']}" if int(row.get("tensorParallel") or 1) > 1 else ""
    units = {"powerLimitWatts": "W", "clockMHz": "MHz"}
    capped = [f"{float(row[name]):g} {unit}" for name, unit in units.items() if row.get(name) is not None]
    return f"{several}{shared}" + (f", at {' and '.join(capped)}" if capped else "")


def _saving(status: Resource) -> Iterator[RenderableType]:
    saving = mapping(status.get("saving"))
    if saving:
        percent, lower, upper = (float(saving[name]) for name in ("percent", "percentLower", "percentUpper"))
        yield line(saving_text(percent, lower, upper, is_choice=bool(status.get("choice"))), style="")


def _costs(status: Resource) -> Iterator[RenderableType]:
    """Yield what the settings of a plan cost at its site, and what is saved in a month, or why there is no cost."""
    cost, costed = mapping(status.get("cost")), mapping(condition(status, COSTED))
    if not cost:
        if costed:
            yield line(f"no cost, {costed.get('reason')}: {costed.get('message')}", style="yellow")
        return
    carbon = f"; carbon by {cost['carbonSource']}" if cost.get("carbonSource") else ""
    yield line(f"at {cost.get('site')} ({_POWERS.get(str(cost.get('powerOf')), '')}{carbon}):", style="")
    for name, amounts in _named_amounts(status, cost):
        yield line(f"  {name}: {amounts_text(site_cost(cost, amounts))}", style="")
    saved = mapping(cost.get("savesPerMonth"))
    if saved:
        told = saved_text(saved, cost.get("currency"))
        yield line(f"  in a month the choice saves {told} for the work of today's setting", style="")


_POWERS = {
    "allReplicas": "hours and months of all replicas at the rate asked",
    "oneReplica": "hours and months of one replica that is busy all the time",
}
"""Whose power hours and months are counted by, in words, by ``status.cost.powerOf``."""


def _named_amounts(status: Resource, cost: Resource) -> Iterator[tuple[str, Resource]]:
    """Yield each cost of a status with the setting that it is of."""
    if cost.get("choice"):
        yield "choice", mapping(cost["choice"])
    for row, amounts in zip(mappings(status.get("leaders")), mappings(cost.get("leaders")), strict=False):
        yield f"{row.get('accelerator')}, {_size(row)}", amounts
    if cost.get("today"):
        yield "today", mapping(cost["today"])


def _deciding(status: Resource) -> Iterator[RenderableType]:
    for each in mappings(status.get("deciding")):
        settings = ", ".join(map(str, each.get("settings") or ()))
        yield line(f"would decide: joules measured on {each.get('accelerator')} ({settings})", style="yellow")


def _excluded(status: Resource) -> Iterator[RenderableType]:
    excluded: Any = mapping(status.get("excluded"))
    for name, words in _EXCLUDED.items():
        if excluded.get(name):
            yield line(f"excluded: {excluded[name]} {words}", style="yellow")
    yield from (line(f"  · {each}", style="yellow") for each in excluded.get("examples") or ())
    yield from (line(str(each), style="yellow") for each in status.get("notes") or ())


def _cuts(split: Resource) -> Table:
    table = plain_table(
        f"Cuts, batch size {split.get('batchSize')}", ("", False), ("after", False), ("energy", True), ("time", True),
        ("first", True), ("second", True), ("link", True), ("on the link", True),
    )  # fmt: skip
    for name, words in _CUTS.items():
        cut = mapping(split.get(name))
        if not cut:
            continue
        energies = [
            quantity(float(cut.get(field) or 0.0), "J") for field in ("firstJoules", "secondJoules", "linkJoules")
        ]
        energy = (float(cut.get(field) or 0.0) for field in ("joules", "joulesLower", "joulesUpper"))
        total = joules([float(cut.get("joules") or 0.0)]).interval(*energy)
        seconds = quantity(float(cut.get("seconds") or 0.0), "s")
        table.add_row(
            words, str(cut.get("after") or ""), total, seconds, *energies, size(float(cut.get("linkBytes") or 0))
        )
    return table
