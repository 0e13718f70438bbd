"""Judge rows by repeats, anchors, additivity, limits and cross-checks, from the rows alone."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

from joulecast_calibration.measure.plan.history import UNMETERED
from joulecast_calibration.measure.report.smoke import Finding, Outcome, smoke
from joulecast_calibration.rows.journals import FEWEST_ROWS, Rows, is_executed
from joulecast_calibration.rows.typed import (
    ConstantsRow,
    FailureRow,
    GraphRow,
    InvalidRow,
    LayerRow,
    MeasuredRow,
    NetworkRow,
    TypedRow,
    WindowRow,
)
from joulecast_calibration.suite import Additivity

# What is asked of good rows. The first is docs/measuring.md's; the rest are chosen wide of what a steady card shows.
ADDITIVITY = 0.10
_REPEATS = 0.02  # median difference of two measurements: twice the standard error that a window is asked for
_DRIFT = 0.02  # median change of the anchors from start to end, likewise
_POWER_LIMIT = 0.02  # a capped card swings about its limit
_POWER_FIGURE = 0.05  # gain error of the driver's figure (Yang, Adamek, Armour: a few percent)
_CODECARBON = 0.02  # it reads the same counter, so only windowing is between them
_SHORT_WINDOW = 0.02


def judge(rows: Rows, additivity: Sequence[Additivity] = ()) -> tuple[Finding, ...]:
    """Perform every check on all rows of a folder. Only checks of differences of cards compare several."""
    every = rows.rows
    good = [row for row in every if isinstance(row, LayerRow | NetworkRow | WindowRow)]
    invalid = [row for row in every if isinstance(row, InvalidRow)]
    of_the_card = (_anchors(good), _power_figure(good))
    return (
        _may_be_fitted(rows, of_the_card),
        *smoke(every),
        _constants(every),
        _repeats(good),
        *of_the_card,
        _limit(good),
        *(_additive(sum_of, good) for sum_of in additivity),
        _codecarbon(good),
        _short_windows(good),
        _digests(good, every),
        _steady(good),
        _invalid(invalid),
        _failures(every),
        _whole(rows),
    )


def _may_be_fitted(rows: Rows, checks: Iterable[Finding]) -> Finding:
    """Decide whether a fit may use the rows: enough of them, really measured, and neither card nor meter has drifted.

    Problems of single rows stand in their columns, and a fit is robust against them.
    """
    usable = sum(map(is_executed, rows.placed))
    against = [f"{check.name}: {check.figure}" for check in checks if check.outcome == "fails"]
    if any(line.simulated for line in rows.lines):
        against.append("they are simulated")
    if usable < FEWEST_ROWS:
        against.append(f"{usable} valid layers and networks, and a fit needs {FEWEST_ROWS}")
    figure = "; ".join(against) or f"{usable} layers and networks"
    return Finding(name="rows may be fitted", outcome=_outcome(not against), figure=figure)


def _constants(rows: Iterable[TypedRow]) -> Finding:
    """Check the constants; parts may be missing, and the rows are kept without them."""
    found = [row for row in rows if isinstance(row, ConstantsRow)]
    if not found:
        return Finding(name="constants", outcome="unknown", figure="none measured")
    errors = sorted({f"{name}: {why}" for row in found for name, why in _errors(row).items() if why})
    lags = ", ".join(f"{row.lag_seconds:.2f} s" for row in found)
    figure = "; ".join(errors) or f"complete; lag {lags}"
    return Finding(name="constants", outcome=_outcome(not errors), figure=figure)


def _errors(row: ConstantsRow) -> dict[str, str | None]:
    """Return why each part is missing, or None where it is present."""
    return {
        "gap_error": row.gap.gap_error if row.gap else None,
        "host_error": row.host_constants.host_error if row.host_constants else None,
        "ceilings_error": row.ceilings_error,
    }


def _repeats(rows: Iterable[MeasuredRow]) -> Finding:
    """Compute the noise floor: the same configuration measured twice in one run."""
    rows = [row for row in rows if not row.anchor]
    pairs = _pairs(rows, lambda row: not row.repeat, lambda row: bool(row.repeat))
    return _differences("repeats differ", pairs, _REPEATS, signed=False)


def _anchors(rows: Iterable[MeasuredRow]) -> Finding:
    """Check whether the card drifted within a run."""
    pairs = _pairs(rows, lambda row: row.anchor == "start", lambda row: row.anchor == "end")
    return _differences("anchors, end against start", pairs, _DRIFT, signed=True)


def _power_figure(rows: Iterable[MeasuredRow]) -> Finding:
    pairs = [(row.joules, row.power_joules) for row in rows if row.power_joules]
    return _differences("integrated power against the counter", pairs, _POWER_FIGURE, signed=True)


def _codecarbon(rows: Iterable[MeasuredRow]) -> Finding:
    windows = [row for row in rows if isinstance(row, WindowRow)]
    compared = [row.codecarbon for row in windows if row.codecarbon]
    pairs = [(each.joules, each.codecarbon_joules) for each in compared if each.codecarbon_joules]
    missing = sorted({row.codecarbon_missing for row in windows if row.codecarbon_missing})
    if missing and not pairs:
        return Finding(name="CodeCarbon against the counter", outcome="unknown", figure=f"skipped: {missing[0]}")
    return _differences("CodeCarbon against the counter", pairs, _CODECARBON, signed=True)


def _short_windows(rows: Iterable[MeasuredRow]) -> Finding:
    """Compute the bias of a usual window where executions alias with the sensor."""
    rows = list(rows)
    usual = {_configuration(row): row.joules for row in rows if isinstance(row, NetworkRow) and not row.repeat}
    long = [row for row in rows if row.window == "long"]
    pairs = [(row.joules, usual[_configuration(row)]) for row in long if _configuration(row) in usual]
    return _differences("usual windows against 8 s", pairs, _SHORT_WINDOW, signed=True)


def _additive(sum_of: Additivity, rows: Iterable[MeasuredRow]) -> Finding:
    """Compare the sum of layers with the network as a CUDA graph."""
    rows = [row for row in rows if row.precision == "default" and not row.anchor]
    layers = {row.digest: row.joules for row in rows if isinstance(row, LayerRow) and row.l2_state == "rotated"}
    wholes = [
        row.joules
        for row in rows
        if isinstance(row, NetworkRow)
        and row.runtime == "torch-cudagraph"
        and (row.name, row.batch_size) == (sum_of.name, sum_of.batch_size)
    ]
    name = f"additivity of {sum_of.name}, batch {sum_of.batch_size}"
    there = [(layers[layer.digest], count) for layer, count in sum_of.layers if layer.digest in layers]
    if not wholes or len(there) < len(sum_of.layers):
        figure = f"{len(there)} of {len(sum_of.layers)} layers measured, the network {len(wholes)} times"
        return Finding(name=name, outcome="unknown", figure=figure)
    ratio = sum(joules * count for joules, count in there) / statistics.fmean(wholes) - 1
    return Finding(name=name, outcome=_outcome(abs(ratio) <= ADDITIVITY), figure=f"Σ layers {_percent(ratio)}")


def _limit(rows: Iterable[MeasuredRow]) -> Finding:
    """Check that joules over seconds do not exceed the power limit."""
    shares = [row.watts / row.power_limit_watts for row in rows if row.power_limit_watts]
    if not shares:
        return Finding(name="energy ÷ time within the power limit", outcome="unknown", figure="no limit is known")
    over = sum(share > 1 + _POWER_LIMIT for share in shares)
    figure = f"{over} of {len(shares)} rows above; the highest at {max(shares):.0%} of it"
    return Finding(name="energy ÷ time within the power limit", outcome=_outcome(not over), figure=figure)


def _digests(measured: Iterable[MeasuredRow], rows: Iterable[TypedRow]) -> Finding:
    """Count rows whose graph differs from the index's, because another version of a library builds another graph.

    Such a row is valid where its journal holds its own graph.
    """
    measured = list(measured)
    held = {row.digest for row in rows if isinstance(row, GraphRow)}
    others = [row for row in measured if row.digest_expected]
    untraced = sum(bool(row.untraced_reason) for row in measured)
    lost = sorted({_called(row) for row in others if row.digest not in held})
    figure = f"{len({_called(row) for row in others})} differ from the suite's"
    figure += f"; the journal lacks the graph of {_some(lost)}" if lost else ""
    figure += f"; {untraced} without a trace" if untraced else ""
    return Finding(name="each row has its graph", outcome=_outcome(not lost), figure=figure)


def _called(row: MeasuredRow) -> str:
    return f"{row.name} batch {row.batch_size}"


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:5])}{' …' if len(names) > 5 else ''}"


def _steady(rows: Sequence[MeasuredRow]) -> Finding:
    unsteady = sum(row.steady is False for row in rows)
    reasons = Counter(reason for row in rows for reason in row.throttle_reasons)
    listed = "".join(f", {reason} in {count}" for reason, count in reasons.most_common())
    outcome: Outcome = "unknown" if not rows else _outcome(unsteady <= 0.1 * len(rows))
    return Finding(name="steady windows", outcome=outcome, figure=f"{unsteady} of {len(rows)} are not{listed}")


def _invalid(rows: Iterable[InvalidRow]) -> Finding:
    reasons = Counter(row.invalid_reason or "no reason given" for row in rows if row.invalid_reason != UNMETERED)
    return Finding(name="valid rows", outcome=_outcome(not reasons), figure=_counted(reasons, "invalid"))


def _failures(rows: Iterable[TypedRow]) -> Finding:
    failed = [row for row in rows if isinstance(row, FailureRow)]
    reasons = Counter(row.reason for row in failed)
    return Finding(
        name="nothing failed that could be measured",
        outcome=_outcome(all(map(_is_answer, failed))),
        figure=_counted(reasons, "failed"),
    )


def _is_answer(failure: FailureRow) -> bool:
    """Return whether a failure is final: it does not fit, waits for the device or copies from the host."""
    uncaptured = failure.measured_kind == "network" and failure.reason == "CaptureFailed"
    return failure.reason == "OutOfMemory" or uncaptured


def _whole(rows: Rows) -> Finding:
    """Check whether every line is a valid row of its kind; an invalid line counts as not measured."""
    figure = f"{len(rows.damaged)} unreadable" + (f": {', '.join(rows.damaged[:5])}" if rows.damaged else "")
    told = [f"{line.place}, {line.flaw.says}" for line in rows.refused]
    figure += f"; {len(told)} refused: {'; '.join(told[:5])}" if told else ""
    return Finding(name="lines are rows", outcome=_outcome(not rows.damaged and not told), figure=figure)


def _differences(name: str, pairs: Sequence[tuple[float, float]], allowed: float, *, signed: bool) -> Finding:
    """Judge relative differences of ``pairs``: expected value and value found."""
    if not pairs:
        return Finding(name=name, outcome="unknown", figure="nothing to compare")
    changes = [found / expected - 1 for expected, found in pairs]
    middle = statistics.median(changes) if signed else statistics.median(abs(change) for change in changes)
    worst = max(changes, key=abs)
    figure = f"median {_percent(middle)}, largest {_percent(worst)}, of {len(pairs)}"
    return Finding(name=name, outcome=_outcome(abs(middle) <= allowed), figure=figure)


def _pairs(
    rows: Iterable[MeasuredRow], first: Callable[[MeasuredRow], bool], second: Callable[[MeasuredRow], bool]
) -> list[tuple[float, float]]:
    """Pair the joules of the first row with those of every second row of each configuration in a run."""
    groups: dict[tuple[str, str], list[MeasuredRow]] = defaultdict(list)
    for row in rows:
        groups[row.identity, row.run_id].append(row)
    pairs = []
    for members in groups.values():
        firsts = [row.joules for row in members if first(row)]
        pairs += [(firsts[0], row.joules) for row in members if firsts and second(row)]
    return pairs


def _configuration(row: MeasuredRow) -> Hashable:
    """Return what a cross-check's window has in common with the usual row of its configuration."""
    return row.name, row.batch_size, row.sequence_length, row.audio_seconds, row.runtime, row.precision


def _outcome(holds: bool) -> Outcome:
    return "holds" if holds else "fails"


def _percent(ratio: float) -> str:
    return f"{100 * ratio:+.1f} %"


def _counted(reasons: Counter[str], word: str) -> str:
    listed = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    return f"{sum(reasons.values())} {word}" + (f": {listed}" if listed else "")
