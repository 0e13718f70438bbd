"""Cut a graph between two machines, and put the best cuts into the form of a status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from joulecast.planning.links import Link, link_named
from joulecast.planning.splits import cut_row, split_fetched
from joulecast.planning.splitting import Cut, Split
from joulecast.workloads import DEFAULT_RUNTIME, FORECAST_BATCH_SIZE
from joulecast_operator.api import bounds
from joulecast_operator.api.objects import camel
from joulecast_operator.workers import language
from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.plans.jobs import Job, unpriced_error

_CUT: Final = (
    "joules", "joules_lower", "joules_upper", "seconds", "first_joules", "second_joules", "link_joules", "link_bytes",
)  # fmt: skip
_NANO: Final = 1e-9
_MICRO: Final = 1e-6


def cut(job: Job) -> Header:
    """Return the best cuts. Raises WorkloadError for a model that is not a graph, and NotCalibratedError."""
    asked = job.question["split"]
    profiles, unpriced = job.accelerators(asked["between"])
    if unpriced:
        raise unpriced_error(unpriced)
    fetched = language.facts(job.fetched)
    size = asked["batch_size"]
    found = split_fetched(
        fetched,
        job.workload(size, FORECAST_BATCH_SIZE),
        (profiles[0], profiles[-1]),
        _link(asked["link"]),
        precision=asked["precision"],
        runtime=job.header["runtime"] or DEFAULT_RUNTIME,
    )
    rivals = [_place(found, each) for each in found.rivals]
    untold = f", which the intervals do not tell from {' or '.join(rivals)}" if rivals else ""
    return {
        "split": _cuts(found),
        "words": _place(found, found.by_joules),
        "told": not rivals,
        "reason": f"fewest joules: {_place(found, found.by_joules)}{untold}; least time:"
        f" {_place(found, found.by_latency)}",
        "notes": [],
    }


def _link(asked: Mapping[str, Any]) -> Link:
    joules = asked["nanojoules_per_byte"]
    return link_named(
        f"{asked['megabits_per_second']}Mbit",
        over=asked["over"],
        joules_per_byte=None if joules is None else joules * _NANO,
        latency_seconds=asked["latency_microseconds"] * _MICRO,
    )


def _cuts(found: Split) -> Header:
    return {
        "batchSize": found.batch_size,
        "byJoules": _cut(found.by_joules),
        "byLatency": _cut(found.by_latency),
        "allOnFirst": _cut(found.cuts[-1]),
        "allOnSecond": _cut(found.cuts[0]),
        "priced": len(found.cuts),
        "leftOut": found.left_out,
    }


def _cut(one: Cut) -> Header:
    row = cut_row(one)
    after = {} if one.after is None else {"after": bounds.text(one.after)}
    return after | {camel(name): row[name] for name in _CUT}


def _place(found: Split, one: Cut) -> str:
    first, second = found.between
    if one is found.cuts[0]:
        return f"all on {second}"
    if one is found.cuts[-1]:
        return f"all on {first}"
    return f"cut after {bounds.name(one.after or '')}"
