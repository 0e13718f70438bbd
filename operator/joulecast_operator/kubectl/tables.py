"""What ``kubectl joulecast`` shows in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from joulecast.cli.tables.cells import line
from joulecast.cli.tables.profiles import facts, label, plain_table
from joulecast.cli.tables.quantities import bar, digits, percent, quantity
from joulecast_operator.api.objects import Resource
from joulecast_operator.estimates.summary import summary_of
from joulecast_operator.kubectl.comparison import Change, Comparison
from joulecast_operator.kubectl.explanation import (
    ORIGINS,
    Explanation,
    accelerator_facts,
    asked_text,
    chosen_by,
    cost_text,
    model_facts,
)
from joulecast_operator.kubectl.ranking import Ranking, Sum
from joulecast_operator.kubectl.standing import Figure, Standing
from joulecast_operator.workloads.dimensions import caps

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

UNKNOWN = "–"


def energy(figure: Figure | None) -> str:
    """Return the energy of an inference, request or token, such as ``12.3 mJ/inference``."""
    return UNKNOWN if figure is None else f"{quantity(figure.joules, 'J')}/{figure.per}"


def power(watts: float | None) -> str:
    """Return watts, such as ``1.2 kW``."""
    return UNKNOWN if watts is None else quantity(watts, "W")


def count(number: float | None) -> str:
    """Return a number that may be unknown."""
    return UNKNOWN if number is None else f"{number:g}"


def ranking_tables(ranking: Ranking, *, with_namespaces: bool) -> list[RenderableType]:
    """Build the workloads with a forecast, their sums, those without one, and the kinds that could not be read."""
    shown: list[RenderableType] = []
    if ranking.forecast:
        shown += [_ranked(ranking.forecast, with_namespaces=with_namespaces), line(_sum(ranking.total), style="bold")]
    if len(ranking.by_accelerator) > 1:
        shown.append(_by_accelerator(ranking.by_accelerator))
    without = [each for each in ranking.standings if each.row is None]
    if without:
        shown.append(_without(without, with_namespaces=with_namespaces))
    if not ranking.standings:
        shown.append(line("no workloads", style=""))
    return [*shown, *unread_lines(ranking.unread)]


def unread_lines(unread: Mapping[str, str]) -> list[RenderableType]:
    """Build a line for each kind of workloads that could not be read."""
    return [line(f"{kind}s are left out: {why}", style="yellow") for kind, why in unread.items()]


def _ranked(standings: Sequence[Standing], *, with_namespaces: bool) -> Table:
    table = plain_table(
        "Workloads by forecast power",
        *([("namespace", False)] if with_namespaces else []),
        ("workload", False), ("pods", True), ("accelerator", False), ("energy", True), ("load of\neach pod", True),
        ("W at\nthat load", True), ("W while\nbusy", True), ("origin", False),
    )  # fmt: skip
    for each in standings:
        cells = [
            each.title,
            count(each.pods),
            _accelerator(each),
            energy(each.figure),
            each.load or UNKNOWN,
            power(each.watts),
            power(each.busy_watts),
            str((each.row or {}).get("origin")),
        ]
        table.add_row(*([each.namespace] if with_namespaces else []), *cells)
    return table


def _accelerator(standing: Standing) -> str:
    cards = (standing.row or {}).get("parallel") or 1
    return f"{cards} × {standing.accelerator}" if cards > 1 else str(standing.accelerator)


def _sum(total: Sum) -> str:
    busy = f"{power(total.busy_watts)} while all of {total.pods} pods are busy"
    if not total.with_load:
        return f"in all: {busy}; no estimate says how busy they are"
    loaded = f"{power(total.watts)} at their load ({total.with_load} of {total.workloads} workloads)"
    return f"in all: {loaded}, {busy}"


def _by_accelerator(sums: Mapping[str, Sum]) -> Table:
    table = plain_table(
        "By accelerator", ("accelerator", False), ("workloads", True), ("pods", True), ("W at\ntheir load", True),
        ("W while\nbusy", True),
    )  # fmt: skip
    for name, each in sums.items():
        loaded = power(each.watts) if each.with_load else UNKNOWN
        table.add_row(name, str(each.workloads), str(each.pods), loaded, power(each.busy_watts))
    return table


def _without(standings: Sequence[Standing], *, with_namespaces: bool) -> Table:
    namespaces = [("namespace", False)] if with_namespaces else []
    columns = (*namespaces, ("workload", False), ("state", False), ("why", False))
    table = plain_table("Without a forecast", *columns)
    for each in standings:
        table.add_row(*([each.namespace] if with_namespaces else []), each.title, each.state, each.sentence)
    return table


def explanation_tables(explanation: Explanation, workload: Resource | None) -> list[RenderableType]:
    """Build why a number is what it is. ``workload``: the one that was asked about; None for an estimate."""
    shown: list[RenderableType] = [facts(_facts(explanation, workload))]
    shown.append(line(explanation.standing.sentence, style="bold"))
    if explanation.row is not None:
        shown += _of_result(explanation)
    others = explanation.others
    if others:
        shown.append(_results("Other results" if explanation.row is not None else "Results", others))
    unmet = [each for each in explanation.conditions if each.get("status") != "True"]
    shown += [
        line(f"{each.get('type')}: {each.get('reason')}: {each.get('message')}", style="yellow") for each in unmet
    ]
    return shown


def _facts(explanation: Explanation, workload: Resource | None) -> dict[str, str]:
    standing, estimate, row = explanation.standing, explanation.estimate, explanation.row
    found = {"object": f"{standing.title} in {standing.namespace}", "state": standing.state}
    if estimate is not None and workload is not None:
        found["estimate"] = str((estimate.get("metadata") or {}).get("name"))
        found["asked by annotations"] = ", ".join(f"{name} {value}" for name, value in chosen_by(workload).items())
    if estimate is not None:
        found |= model_facts(estimate) | accelerator_facts(estimate)
    if row is not None:
        if explanation.asked:
            found["explained"] = f"the result for {asked_text(explanation.asked)}, in place of the one that applies"
        capped = f", at {limits}" if (limits := caps(row)) else ""
        found["run as"] = f"{row.get('runtime')}, {row.get('precision')} precision{capped}"
        found["rests on"] = f"{row.get('origin')}: {ORIGINS.get(str(row.get('origin')), '')}"
        found["pods"] = "" if standing.pods is None else str(standing.pods)
        found["power"] = _power(standing)
        found["costs"] = cost_text(estimate or {}) if explanation.is_first else ""
    return found


def _power(standing: Standing) -> str:
    parts = [] if standing.watts is None else [f"{power(standing.watts)} at {standing.load}"]
    busy = [] if standing.busy_watts is None else [f"{power(standing.busy_watts)} while all pods are busy"]
    return ", ".join(parts + busy) or standing.uncounted


def _of_result(explanation: Explanation) -> Iterator[RenderableType]:
    if explanation.phases:
        table = plain_table(
            "Where a request's joules go",
            ("phase", False),
            ("tokens", True),
            ("energy", True),
            ("share", True),
            ("", False),
        )
        for phase in explanation.phases:
            share = (percent(phase.share), bar(phase.share))
            table.add_row(phase.name, str(phase.tokens), quantity(phase.joules, "J"), *share)
        yield table
    if explanation.layers:
        yield _layers(explanation)
    yield from _interval(explanation)


def _layers(explanation: Explanation) -> Table:
    with_types = any(layer.get("opType") for layer in explanation.layers)
    types = [("op type", False)] if with_types else []
    steps = ", in a decode step" if explanation.phases else ""
    columns = (("layer", False), *types, ("energy", True), ("share", True), ("", False))
    table = plain_table(f"Layers that spend most{steps}", *columns)
    listed = 0.0
    for layer in explanation.layers:
        share, joules = float(layer.get("share") or 0.0), layer.get("joules")
        listed += share
        spent = UNKNOWN if joules is None else quantity(float(joules), "J")
        named = [label(str(layer.get("name"))), *([str(layer.get("opType"))] if with_types else [])]
        table.add_row(*named, spent, percent(share), bar(share))
    if listed < 1:
        blank = [""] * (1 + len(types))
        table.add_row("all others, and pauses between kernels", *blank, percent(1 - listed), bar(1 - listed))
    return table


def _interval(explanation: Explanation) -> Iterator[RenderableType]:
    level = float((explanation.row or {}).get("intervalLevel") or 0.0)
    if level:
        yield line(f"interval: holds the true value in {percent(level)} of cases", style="dim")
    if explanation.reasons is None:
        yield line("the status does not say what widens it: it was written by an older release", style="dim")
        return
    yield from (line(f"  · {reason}", style="dim") for reason in explanation.reasons)


def _results(title: str, rows: Sequence[Resource]) -> Table:
    table = plain_table(
        title,
        ("accelerator", False),
        ("load", False),
        ("energy", True),
        ("interval", True),
        ("W", True),
        ("origin", False),
    )
    for row in rows:
        told = summary_of(row, "")
        watts = digits(float(row.get("averagePowerWatts") or 0.0))
        table.add_row(told["accelerator"], told["load"], told["joules"], told["interval"], watts, told["origin"])
    return table


def comparison_tables(comparison: Comparison) -> list[RenderableType]:
    """Build what applying manifests changes, the sum of it, and what is not known."""
    shown: list[RenderableType] = []
    if comparison.changes:
        shown.append(_changes(comparison.changes))
        before, after = comparison.busy_watts
        shown.append(line(f"while all pods are busy: {power(before)} now, {power(after)} then", style="bold"))
    for each in comparison.unknown:
        why = each.refusal or "; ".join(filter(None, (each.untried, each.after.sentence if each.after else "")))
        shown.append(line(f"{each.title} in {each.namespace}: {why}", style="yellow"))
    for note in comparison.notes:
        shown.append(line(f"{note.title}: {note.sentence}", style="yellow" if note.outcome == "refused" else ""))
    if comparison.others:
        listed = ", ".join(f"{count} {kind}" for kind, count in comparison.others.items())
        shown.append(line(f"without a forecast, by their kind: {listed}", style="dim"))
    return shown


def _changes(changes: Sequence[Change]) -> Table:
    table = plain_table(
        "What applying changes",
        ("namespace", False), ("object", False), ("forecast", False), ("now", True), ("then", True), ("energy", True),
        ("pods", True), ("W while busy", True), ("accelerator", False),
    )  # fmt: skip
    for each in changes:
        before, after = each.before, each.after
        cells = [
            energy(before.figure if before else None),
            energy(after.figure if after else None),
            _percent(each.ratio),
            _both(*(count(standing.pods) if standing else UNKNOWN for standing in (before, after))),
            _both(*(power(standing.busy_watts) if standing else UNKNOWN for standing in (before, after))),
            _both(*(str(standing.accelerator or UNKNOWN) if standing else UNKNOWN for standing in (before, after))),
        ]
        table.add_row(each.namespace, each.title, each.outcome, *cells)
    return table


def _both(before: str, after: str) -> str:
    """Return a text that holds now and then, once where it is the same."""
    return after if before == after else f"{before} → {after}"


def _percent(ratio: float | None) -> str:
    """Return a ratio as a change, such as ``+12 %``."""
    return UNKNOWN if ratio is None else f"{100 * (ratio - 1):+.3g} %"
