"""One process of a run: measure what is left of the plan until its time is over, one row at a time."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import joulecast
import joulecast_calibration
from joulecast.errors import JoulecastError, MeasurementError
from joulecast_calibration.measure.bench.bench import Bench
from joulecast_calibration.measure.loads.prepared import Prepared
from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.measure.plan.expectation import LONG_WINDOW_SECONDS, Pace
from joulecast_calibration.measure.plan.history import PASSING, UNMETERED, History, MeasurementRun
from joulecast_calibration.measure.plan.plan import Plan
from joulecast_calibration.measure.run.journal import JournalWriter
from joulecast_calibration.meter import CounterConstants, Policy, Window
from joulecast_calibration.rows.graphs import KIND, PackedGraph
from joulecast_calibration.rows.typed import ConstantsRow, InvalidRow, TypedRow

CHECK = Policy(fewest_edges=2, shortest_seconds=0.1, longest_seconds=0.5)
"""Policy of a check, which finds out whether everything runs, not what it costs."""

_PACKAGES = tuple(Path(package.__path__[0]) for package in (joulecast, joulecast_calibration))
_LONG = Policy.fixed(LONG_WINDOW_SECONDS)

_SPARE = 1.3  # rows may take a third longer than expected and still end in time
_SPARE_SECONDS = 1.0
_FOREIGN_WAIT_SECONDS = 30.0  # a monitoring tool that opens a context comes and goes
_FOREIGN_POLL_SECONDS = 1.0
_MOST_INTERRUPTIONS = 5  # visits in one process; then the card is not ours
_FATAL = frozenset({"DiskFull", "FolderNotWritable", "SharedDevice", "NoDevice", "NoPermission", "NoCounter"})
"""Failures that end the session; any other failure costs one row."""


Emit = Callable[..., None]
"""Reports an event, by its name and the columns as keywords, to the parent process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """Time limits of a session.

    - ``seconds``: by the bench's clock since the process began, when its last row must have ended.
    - ``last``: whether no other process follows.
    - ``closing``: whether the last process measures the anchors once more.
    """

    seconds: float
    last: bool
    closing: bool


class DeviceLostError(Exception):
    """The context cannot be repaired: the process ends, and the next one continues without this configuration."""


class Session:
    """Measures the rows of one process.

    ``run`` returns how it ended: ``complete``, ``process`` (another one must follow), ``budget`` or ``foreign
    process``.
    """

    def __init__(
        self,
        *,
        bench: Bench,
        journal: JournalWriter,
        history: History,
        plan: Plan,
        run: MeasurementRun,
        limits: SessionLimits,
        emit: Emit,
        seconds: Callable[[], float],
        policy: Policy,
    ) -> None:
        self._bench, self._journal, self._history, self._plan = bench, journal, history, plan
        self._run, self._limits, self._emit, self._seconds = run, limits, emit, seconds
        self._policy = policy
        self._left = [row for row in plan.rows if not history.over(row)]
        self._pace = Pace()
        self._interruptions = 0
        self._graphs = set(run.graphs)
        self._constants: ConstantsRow | None = None
        self._counter: CounterConstants | None = None

    @property
    def rows_left(self) -> int:
        """Count the rows of the slices that are left, including repeats of what is not measured yet."""
        return len(self._left)

    def run(self) -> str:
        """Measure until the rows or the time are over; the ``end`` row is the last one written."""
        try:
            ended = self._measure_all()
        except _ForeignProcessStays:
            ended = "foreign process"
        self._journal.record("end", {"reason": ended})
        return ended

    def _measure_all(self) -> str:
        if not any(map(self._history.wants, self._left)):
            return "complete"
        self._learn_constants()
        for configuration in self._plan.opening[1:]:
            if configuration.key not in self._run.opened:
                self._measure_unless_given_up(configuration)
        ended = self._measure_rows()
        if self._limits.closing and ended != "process":
            for configuration in self._plan.closing:
                if self._seconds() + self._pace.seconds(configuration) + _SPARE_SECONDS <= self._limits.seconds:
                    self._measure_unless_given_up(configuration)
        return ended

    def _learn_constants(self) -> None:
        """Measure the constants once a run; later processes of the run read the row."""
        row = self._run.constants
        if row is None:
            configuration = self._plan.opening[0]
            self._begin(configuration)
            row = self._record_constants(configuration)
            self._emit("row", **_summary(configuration, row))
        self._constants = row
        self._counter = CounterConstants.from_row(asdict(row))
        if self._policy is CHECK:  # asks for no warm state, and a busy processor makes a lag look long
            self._counter = replace(self._counter, rise_seconds=0.0, fall_seconds=0.0)

    def _record_constants(self, configuration: Configuration) -> ConstantsRow:
        row = self._journal.record("constants", {"key": configuration.key, **self._bench.constants()})
        assert isinstance(row, ConstantsRow)  # noqa: S101 (its kind says so)
        return row

    def _measure_rows(self) -> str:
        skipped, rows = False, self._left
        for position, configuration in enumerate(rows):
            self._left = rows[position:]
            if not self._history.wants(configuration):
                continue
            if self._fits(configuration):
                self._measure(configuration)
            elif self._limits.last:
                skipped = True  # a shorter one may still fit
            else:
                return "process"
        return "budget" if skipped else "complete"

    def _fits(self, configuration: Configuration) -> bool:
        reserved = self._plan.closing if self._limits.closing and self._limits.last else ()
        needed = sum(self._pace.seconds(row) for row in (configuration, *reserved))
        return self._seconds() + _SPARE * needed + _SPARE_SECONDS <= self._limits.seconds

    def _measure_unless_given_up(self, configuration: Configuration) -> None:
        if self._history.wants(configuration):
            self._measure(configuration)

    def _measure(self, configuration: Configuration) -> None:
        """Measure one row, and repeat it while foreign processes disturb it and time is left."""
        while self._is_disturbed(configuration):
            self._wait_for_foreign_processes()
            if not self._fits(configuration):
                return

    def _is_disturbed(self, configuration: Configuration) -> bool:
        """Return whether another process was on the GPU while the row was measured."""
        began = self._seconds()
        self._begin(configuration)
        row = self._attempt(configuration)
        self._history.add(row)
        self._emit("row", **_summary(configuration, row))
        if isinstance(row, InvalidRow) and row.invalid_reason in PASSING:
            return True
        self._pace.learn(configuration, self._seconds() - began)
        return False

    def _begin(self, configuration: Configuration) -> None:
        self._emit(
            "begin", key=configuration.key, label=configuration.label, slice=configuration.slice,
            rows_left=len(self._left), seconds_left=self._seconds_left(),
        )  # fmt: skip

    def _seconds_left(self) -> float:
        """Return the seconds until the rows or the time are over, whichever is first."""
        available, needed = max(0.0, self._limits.seconds - self._seconds()), 0.0
        for row in self._left:
            needed += self._pace.seconds(row)
            if needed > available:
                return available
        return needed

    def _attempt(self, configuration: Configuration) -> TypedRow:
        """Try to measure once and return the row. Raises DeviceLostError, and errors that end the session."""
        try:
            with self._bench.prepare(configuration) as prepared:
                columns = self._columns(configuration, prepared)
                self._keep_graph(prepared.graph)
                return self._journal.record(configuration.kind, columns)
        except JoulecastError as error:
            return self._trouble(configuration, error)
        except Exception as error:  # it costs this row alone
            traceback.print_exc(file=sys.stderr)  # standard error is the log of the measuring processes
            return self._failure(configuration, failure_reason(error), _sentence(error))

    def _keep_graph(self, graph: PackedGraph | None) -> None:
        """Write the graph before its first row in this file, so that the file can be fitted alone."""
        if graph is not None and graph.digest not in self._graphs:
            self._journal.record(KIND, graph.columns())
            self._graphs.add(graph.digest)

    def _trouble(self, configuration: Configuration, error: JoulecastError) -> TypedRow:
        """Return the row of a joulecast error. Raises errors that end the process."""
        if error.reason == "DeviceLost":
            raise DeviceLostError(str(error)) from error
        if error.reason in _FATAL:
            raise error
        if error.reason == "ForeignProcessOnDevice":
            invalid = {"valid": False, "invalid_reason": "foreign process", "message": str(error)}
            return self._journal.record(configuration.kind, _known(configuration) | invalid)
        return self._failure(configuration, error.reason, str(error))

    def _failure(self, configuration: Configuration, reason: str, sentence: str) -> TypedRow:
        return self._journal.record("failure", failure_columns(configuration, reason, sentence))

    def _columns(self, configuration: Configuration, prepared: Prepared) -> dict[str, Any]:
        assert self._counter is not None  # noqa: S101 (constants come first)
        policy = _LONG if configuration.window == "long" else self._policy
        try:
            window = self._bench.measure(prepared, policy, self._counter)
        except MeasurementError as error:
            if self._policy is not CHECK or error.reason != "CounterSilent":
                raise
            return _known(configuration) | _unmetered(prepared.columns)
        columns = _known(configuration) | dict(prepared.columns) | window.row() | self._context()
        columns = _with_digests(configuration, columns)
        if configuration.window == "codecarbon":
            columns |= self._beside_codecarbon(configuration, prepared, window)
        return columns

    def _beside_codecarbon(self, configuration: Configuration, prepared: Prepared, window: Window) -> dict[str, Any]:
        """Measure the same load by CodeCarbon; the window is kept as a row without it."""
        try:
            return {"codecarbon": dict(self._bench.compare(configuration.label, prepared, window))}
        except MeasurementError as error:
            if error.reason not in ("NoCodeCarbon", "TooLong"):
                raise
            return {"codecarbon": None, "codecarbon_missing": str(error)}

    def _context(self) -> dict[str, Any]:
        """Return the columns of the run that each row repeats, so that a row can be fitted alone."""
        assert self._constants is not None  # noqa: S101 (constants come first)
        return {
            "idle_watts": self._constants.idle_watts,
            "gap_watts": self._constants.gap_watts,
            "power_limit_watts": self._bench.sensor.card.power_limit_watts,
        }

    def _wait_for_foreign_processes(self) -> None:
        self._interruptions += 1
        deadline = self._seconds() + _FOREIGN_WAIT_SECONDS
        self._emit("note", text="another process is on the GPU: the row is invalid; waiting for it to leave")
        while self._interruptions <= _MOST_INTERRUPTIONS and self._seconds() < deadline:
            if not self._bench.sensor.foreign_processes():
                return
            self._bench.clock.sleep(_FOREIGN_POLL_SECONDS)
        raise _ForeignProcessStays


class _ForeignProcessStays(Exception):  # noqa: N818 (an ending, not an error)
    pass


def failure_columns(configuration: Configuration, reason: str, sentence: str) -> dict[str, Any]:
    """Return the columns of a ``failure`` row."""
    return _known(configuration) | {"measured_kind": configuration.kind, "reason": reason, "message": sentence}


def failure_reason(error: BaseException) -> str:
    """Return ``OutOfMemory``, ``InternalError`` for an error raised by joulecast's own code, else ``Error``.

    torch's own error is recognised by its name, because a session may run without torch.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "OutOfMemory"
    return "InternalError" if _is_our_own(error) else "Error"


def _is_our_own(error: BaseException) -> bool:
    """Return whether joulecast's own code raised the error, not code that it called."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(map(Path(frames[-1].filename).is_relative_to, _PACKAGES))


def _known(configuration: Configuration) -> dict[str, Any]:
    return configuration.columns() | {"identity": configuration.identity}


def _unmetered(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Mark a row that ran too long for a meter on the same processor, unless it is invalid for another reason."""
    reason = {} if columns.get("valid") is False else {"valid": False, "invalid_reason": UNMETERED}
    return {**columns, **reason}


def _with_digests(configuration: Configuration, columns: dict[str, Any]) -> dict[str, Any]:
    """Set ``digest`` as traced (None where it could not be), and the index's digest beside it where it differs.

    Of forward passes and layers the index does not hold graphs in half precision, so there is no difference to record.
    """
    traced = columns.get("digest")
    held = bool(configuration.phase) or configuration.precision not in ("bf16", "fp16")
    comparable = bool(configuration.digest) and held
    differs = comparable and traced != configuration.digest
    return columns | {"digest_expected": configuration.digest if differs else None}


def _summary(configuration: Configuration, row: TypedRow) -> dict[str, Any]:
    """Return the columns of a row that progress shows."""
    names = ("kind", "joules", "seconds", "watts", "valid", "invalid_reason", "reason", "message")
    return {"key": configuration.key, "label": configuration.label, "slice": configuration.slice} | {
        name: value for name in names if (value := getattr(row, name, None)) is not None
    }


def _sentence(error: BaseException) -> str:
    """Return the first line of an error, cut to the length that a row may hold."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:300]
