"""What ``joulecast plan`` shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from joulecast.cli.tables.cells import line
from joulecast.cli.tables.profiles import facts, plain_table
from joulecast.cli.tables.quantities import digits, joules, metric

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from joulecast.planning.candidates import Candidate, Excluded
    from joulecast.planning.choice import Plan
    from joulecast.planning.settings import Setting

_UNITS = {"inference": "inference", "request": "request", "output_token": "output\ntoken"}
_WHY = {
    "memory": "do not fit the memory",
    "slo": "are slower than asked",
    "profile": "cannot be forecast",
    "degree": "cannot share the model",
}


def plan_tables(plan: Plan, source: str, *, top: int) -> list[RenderableType]:
    """Build what was asked, the ``top`` candidates (0: all), the decision, and what was excluded."""
    shown: list[RenderableType] = [facts({"model": source, "asked": _asked(plan)})]
    kept = plan.candidates[: top or None]
    if kept:
        shown.append(_candidates(plan, kept))
    shown.append(line(f"{_decision(plan)}: {plan.reason}" if plan.choice else plan.reason, style="bold"))
    return [*shown, *_today(plan), *_missing(plan), *_left_out(plan)]


def _asked(plan: Plan) -> str:
    limits = [
        f"{each.name.removesuffix('_milliseconds').replace('_', ' ')} ≤ {getattr(plan.objective, each.name):g} ms"
        for each in fields(plan.objective)
        if each.name.endswith("_milliseconds") and getattr(plan.objective, each.name) is not None
    ]
    rate = plan.objective.requests_per_second
    return ", ".join([*limits, *([] if rate is None else [f"{rate:g} requests a second"])]) or "no limits"


def _decision(plan: Plan) -> str:
    if plan.choice is None:
        return "no choice"
    replicas = f", {plan.choice.replicas} replicas" if plan.choice.replicas > 1 else ""
    return f"choice: {plan.choice.setting}{replicas}"


def _candidates(plan: Plan, kept: Sequence[Candidate]) -> Table:
    energy = joules(each.joules for each in kept)
    time = metric("s", [each.latency_seconds for each in kept])
    generates = kept[0].setting.concurrency is not None
    first = metric("s", [each.time_to_first_token_seconds for each in kept])
    later = metric("s", [each.inter_token_latency_seconds for each in kept])
    precisions = len({each.setting.precision for each in plan.candidates}) > 1
    caps = any(_cap(each.setting) for each in kept)
    headers = [
        "at\nonce" if generates else "batch\nsize",
        *(["precision"] if precisions else []),
        *(["cap"] if caps else []),
        "cards",
        f"energy\nper {_UNITS[plan.unit]}",
        f"{time.unit} per\n{'request' if generates else 'batch'}",
        *([f"{first.unit} to\nfirst\ntoken", f"{later.unit}\nbetween\ntokens"] if generates else []),
        "W",
        "origin",
    ]
    table = plain_table("Plan, fewest joules first", ("accelerator", False), *((name, True) for name in headers))
    for each in kept:
        own = each.setting
        cells = [
            str(own.concurrency if generates else own.batch_size),
            *([own.precision] if precisions else []),
            *([_cap(own) or "none"] if caps else []),
            str(each.cards) if each.replicas == 1 else f"{each.replicas} × {own.tensor_parallel}",
            energy.interval(each.joules, each.joules_lower, each.joules_upper),
            time.text(each.latency_seconds),
            *(
                [first.text(each.time_to_first_token_seconds), later.text(each.inter_token_latency_seconds)]
                if generates
                else []
            ),
            digits(each.average_power_watts),
            each.origin,
        ]
        mark = "★ " if each is plan.choice else "  "
        table.add_row(mark + own.accelerator, *cells, style="bold" if each is plan.choice else None)
    return table


def _cap(setting: Setting) -> str:
    power = [] if setting.power_limit_watts is None else [f"{setting.power_limit_watts:g} W"]
    clock = [] if setting.clock_mhz is None else [f"{setting.clock_mhz:g} MHz"]
    return ", ".join(power + clock)


def _today(plan: Plan) -> Iterator[RenderableType]:
    if plan.today is None:
        return
    cost = joules([plan.today.joules])
    spends = cost.interval(plan.today.joules, plan.today.joules_lower, plan.today.joules_upper)
    unit = plan.unit.replace("_", " ")
    yield line(
        f"today: {plan.today.setting}: {spends} per {unit}, {digits(plan.today.average_power_watts)} W", style=""
    )
    if plan.saving is not None and plan.today not in plan.leaders:
        percent = [100 * each for each in (plan.saving.share, plan.saving.lower, plan.saving.upper)]
        yield line(f"{saving_text(*percent, is_choice=plan.choice is not None)} per {unit}", style="")


def saving_text(percent: float, lower: float, upper: float, *, is_choice: bool) -> str:
    """Return what is saved of today's joules, in percent with the ends of its interval, or how much more is needed.

    ``is_choice``: whether the choice saves it; else it is what the one that saves least of several saves.
    """
    who = "the choice" if is_choice else "each that is not told apart"
    if percent < 0:
        most = "" if is_choice else "at most "
        return f"{who} needs {most}{-percent:.3g} % ({-upper:.3g} to {-lower:.3g} %) more than today's joules"
    least = "" if is_choice else "at least "
    return f"{who} saves {least}{percent:.3g} % ({lower:.3g} to {upper:.3g} %) of today's joules"


def _missing(plan: Plan) -> Iterator[RenderableType]:
    """Yield what the leading candidates may miss at the upper ends of their intervals."""
    for each in plan.candidates[:1]:
        for name in each.may_miss:
            what = name.removesuffix("_milliseconds").replace("_", " ")
            yield line(f"{each.setting}: the interval of its {what} reaches above the limit", style="yellow")


_SHOWN = 4


def _left_out(plan: Plan) -> Iterator[RenderableType]:
    """Yield how many settings were excluded for each cause, with the first reasons."""
    counts = Counter(each.why for each in plan.excluded)
    for why, count in counts.items():
        own = [each for each in plan.excluded if each.why == why]
        yield line(f"excluded: {count} {_WHY[why]}", style="yellow")
        yield from (line(f"  · {each}", style="yellow") for each in _told(own))


def _told(excluded: Sequence[Excluded]) -> list[str]:
    first: dict[str, str] = {}
    for each in excluded:
        first.setdefault(each.accelerator, each.message)
    shown = list(dict.fromkeys(first.values()))
    rest = len(shown) - _SHOWN
    return [*shown[:_SHOWN], *([f"and on {rest} more accelerators"] if rest > 0 else [])]
