"""Scores of seconds and watts of a step and of joules a token, with the default host and with each machine's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.eager_generation import EagerPass, price_eager
from joulecast.errors import JoulecastError
from joulecast_calibration.evaluate.serving.eager.models import configurations, eager_model, parameters_read
from joulecast_calibration.evaluate.serving.eager.rows import FILE, EagerCase, read_eager
from joulecast_calibration.evaluate.serving.latencies import PROPORTIONAL
from joulecast_calibration.evaluate.serving.powers import AT_LIMIT, LIMIT_TIMES_SECONDS
from joulecast_calibration.evaluate.serving.scoring import (
    ALL,
    OWN,
    LeftOut,
    ServedForecast,
    ServedScore,
    batch_band,
    left_out,
    proportional,
    score,
    scored,
)
from joulecast_calibration.fit.cards import HOST

SET = FILE.parent.name
RUNTIME = "torch-eager"
SECONDS, WATTS = f"seconds of a step, {RUNTIME}", f"watts of the card, {RUNTIME}"
JOULES = f"joules a token, {RUNTIME}"
EVERY_ROW = f"{JOULES}, every row alone"
MEASURED_HOST = f"{OWN}, host by the machine's other models in fp16"
"""As a calibration of that host would give: its pace by rows of the same machine that are not quantised."""

_PLAIN = "fp16"


@dataclass(frozen=True, slots=True, kw_only=True)
class EagerForecast:
    """A case with its forecast by the reference host, and by the host of its machine; None where no other row tells it.

    ``limit_watts``: of the card.
    """

    case: EagerCase
    reference: EagerPass
    measured: EagerPass | None
    limit_watts: float

    @property
    def lineage(self) -> str:
        return _lineage(self.case)


def _lineage(case: EagerCase) -> str:
    return configurations()[case.model].lineage


def read_forecasts(folder: Path) -> tuple[list[EagerForecast], tuple[LeftOut, ...]]:
    """Return the cases of the set in ``folder``, forecast; none where it does not hold the set."""
    if not (folder / FILE).is_file():
        return [], ()
    cases, reasons = read_eager(folder)
    refused: Counter[str] = Counter(reasons)
    known = dict(_by_reference(cases, refused))
    paces = {case: pace for case in known if (pace := _pace(case, known)) is not None}
    found = [
        EagerForecast(
            case=case,
            reference=own,
            measured=_priced(case, paces[case]) if case in paces else None,
            limit_watts=accelerator_named(case.accelerator).power_limit_watts,
        )
        for case, own in known.items()
    ]
    return found, tuple(left_out(SET, refused))


def _by_reference(cases: Iterable[EagerCase], refused: Counter[str]) -> Iterator[tuple[EagerCase, EagerPass]]:
    for case in cases:
        try:
            yield case, _priced(case)
        except JoulecastError as error:
            refused[f"refused: {error.reason}"] += len(case.every_seconds)


def _priced(case: EagerCase, pace: float = 1.0) -> EagerPass:
    """Forecast a step on a host that takes ``pace`` times as long for a launch as the reference ``HOST``.

    Not on the host of the accelerator's profile: this set's rows in 16 bits are among those that tell its pace.
    """
    accelerator = accelerator_named(case.accelerator)
    hosts = {**accelerator.hosts, RUNTIME: HOST.paced(pace)}
    step = eager_model(case.model, case.quantisation).step(sequences=case.batch_size, cached_tokens=case.cached_tokens)
    return price_eager(step, replace(accelerator, hosts=hosts))


def _pace(case: EagerCase, known: dict[EagerCase, EagerPass]) -> float | None:
    """Return how long the machine takes, of the reference host's time, by its rows of other lineages in 16 bits."""
    told = [
        other.seconds / reference.seconds
        for other, reference in known.items()
        if other.machine == case.machine and other.quantisation == _PLAIN and _lineage(other) != _lineage(case)
    ]
    return median(told) if told else None


def score_eager(rows: Sequence[EagerForecast]) -> Iterator[ServedScore]:
    """Yield the scores of each figure, by the reference host, by each machine's, and by rules of thumb."""
    hosted = [each for each in rows if each.measured is not None]
    for figure, reference, measured in (
        (SECONDS, _seconds(False), _seconds(True)),
        (WATTS, _watts(False), _watts(True)),
        (JOULES, _joules(False), _joules(True)),
    ):
        yield from scored(SET, figure, OWN, [reference(each) for each in rows])
        yield from scored(SET, figure, MEASURED_HOST, [measured(each) for each in hosted])
        yield from _rules(figure, rows)
    every = [one for each in rows for one in _every_row(each)]
    if every:
        yield score(SET, EVERY_ROW, OWN, ALL, every)


def _rules(figure: str, rows: Sequence[EagerForecast]) -> Iterator[ServedScore]:
    if figure == WATTS:
        yield from scored(SET, figure, AT_LIMIT, [_one(each, each.limit_watts, each.case.watts) for each in rows])
    if figure == JOULES:
        limits = [each.limit_watts * each.reference.seconds / each.case.batch_size for each in rows]
        found = [_one(each, joules, each.case.joules) for each, joules in zip(rows, limits, strict=True)]
        yield from scored(SET, figure, LIMIT_TIMES_SECONDS, found)
        yield from scored(SET, figure, PROPORTIONAL, _proportional(rows))


_Scoring = Callable[[EagerForecast], ServedForecast]


def _chosen(each: EagerForecast, measured: bool) -> EagerPass:
    return each.measured if measured and each.measured is not None else each.reference


def _seconds(measured: bool) -> _Scoring:
    def one(each: EagerForecast) -> ServedForecast:
        found = _chosen(each, measured)
        return _one(each, found.seconds, each.case.seconds, None if measured else found.interval.seconds)

    return one


def _watts(measured: bool) -> _Scoring:
    def one(each: EagerForecast) -> ServedForecast:
        found = _chosen(each, measured)
        watts = float(found.estimate.average_power_watts)
        return _one(each, watts, each.case.watts, None if measured else found.interval.watts)

    return one


def _joules(measured: bool) -> _Scoring:
    def one(each: EagerForecast) -> ServedForecast:
        found = _chosen(each, measured)
        joules = found.joules / each.case.batch_size
        return _one(each, joules, each.case.joules, None if measured else found.interval.joules)

    return one


def _every_row(each: EagerForecast) -> Iterator[ServedForecast]:
    joules = each.reference.joules / each.case.batch_size
    for measured in each.case.every_joules:
        yield _one(each, joules, measured, each.reference.interval.joules)


def _proportional(rows: Sequence[EagerForecast]) -> list[ServedForecast]:
    sizes = [float(parameters_read(each.case.model)) for each in rows]
    kin = [each.lineage for each in rows]
    found = proportional(sizes, [each.case.joules for each in rows], kin) if rows else []
    return [_one(each, joules, each.case.joules) for each, joules in zip(rows, found, strict=True)]


def _one(each: EagerForecast, forecast: float, measured: float, width: float | None = None) -> ServedForecast:
    groups = {
        "card": each.case.accelerator,
        "weights": f"weights {each.case.quantisation}",
        "batch": batch_band(each.case.batch_size),
        "lineage": each.lineage,
    }
    return ServedForecast(groups=groups, forecast=forecast, measured=measured, log_half_width=width)
