"""A measurement as asked for, checked, and run: what both command lines share."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from joulecast.calibration import suite
from joulecast.calibration.measure.chain import Chain, Ending
from joulecast.calibration.measure.finding import Finding
from joulecast.calibration.measure.gain import Gain, gain
from joulecast.calibration.measure.plan import Wish
from joulecast.calibration.measure.process import Job
from joulecast.calibration.measure.progress import Reporter
from joulecast.calibration.measure.refusals import (
    LONGEST_PROCESS_SECONDS,
    check_folder,
    check_names,
    check_rows,
    check_times,
    lock,
    wrong_usage,
)
from joulecast.calibration.measure.verdict import judge
from joulecast.calibration.rows.journals import Rows, read_rows
from joulecast.calibration.rows.typed import FailureRow, InvalidRow, TypedRow
from joulecast.errors import MeasurementError

BUDGET_SECONDS = 570.0  # one window of 9.5 minutes: docs/measuring.md
CHECK_BUDGET_SECONDS = 6 * 3600.0  # a check ends when everything has run once


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``folder``: of the rows; what it holds is not measured again. ``device``: ``cuda:N``, ``simulated:PRESET`` or
    ``processor``. ``single``: one process and no more. ``continues``: another command follows on this card at once, so
    the closing anchors are left to it. ``check``: run everything once, at its smallest. ``faults``: of a simulated
    device.
    """

    folder: Path
    slices: tuple[str, ...] = ()
    budget_seconds: float = BUDGET_SECONDS
    process_seconds: float = LONGEST_PROCESS_SECONDS
    device: str = "cuda:0"
    seed: int = 0
    precision: str = ""
    runtime: str = ""
    single: bool = False
    continues: bool = False
    check: bool = False
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def wish(self) -> Wish:
        rest = not self.check
        return Wish(slices=self.slices, seed=self.seed, precision=self.precision, runtime=self.runtime, rest=rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A folder of rows, summed up and judged. ``window``: what the command at hand added; None where none did.
    ``troubles``: key and reason of each row that is not fitted; the place of one that is refused."""

    gain: Gain
    window: Gain | None
    findings: tuple[Finding, ...]
    troubles: tuple[tuple[str, str], ...]


def perform(request: Request, reporter: Reporter) -> Ending:
    """Measure what ``check_request`` has passed. Raises MeasurementError where that is refused or cannot go on; rows so
    far are kept."""
    check_folder(request.folder)
    held = lock(request.folder)
    try:
        check_rows(read_rows(request.folder).lines, request.folder)
        chain = Chain(
            _job(request),
            process_seconds=request.process_seconds,
            reporter=reporter,
            lock=held,
            single=request.single,
        )
        ending = chain.run()
    except MeasurementError as error:
        raise _with_way_out(error) from None
    finally:
        os.close(held)
    if ending.reason == "stranger":
        raise MeasurementError(
            f"another process stays on the GPU: {ending.rows} rows are kept in {request.folder}; end it, or take a card"
            f" of your own, and give --resume {request.folder} again",
            reason="StrangerOnDevice",
        )
    return ending


def _with_way_out(error: MeasurementError) -> MeasurementError:
    """Without a GPU the runner itself can still be tried."""
    if error.reason != "NoDevice":
        return error
    return MeasurementError(f"{error}, or give --simulate to try the runner without a GPU", reason=error.reason)


def check_request(request: Request) -> None:
    """Raises MeasurementError (WrongUsage) for what cannot be asked."""
    check_names(request.slices, request.precision, request.runtime)
    check_times(request.budget_seconds, request.process_seconds)
    if request.faults and not request.device.startswith("simulated:"):
        raise wrong_usage("--fault is for a simulated device: give --simulate as well")
    if request.device.startswith("simulated:"):
        from joulecast.calibration.meter.simulated import preset

        preset(request.device.partition(":")[2])


def report(folder: Path, processes: Collection[tuple[str, int]] = ()) -> Report:
    """Of a folder that holds rows. ``processes``: run id and number of those whose rows are told apart as what was
    gained. Raises MeasurementError (NoRows)."""
    rows = read_rows(folder)
    if not rows.lines:
        raise MeasurementError(
            f"{folder} holds no rows: measure with --resume {folder} first, or give another folder", reason="NoRows"
        )
    return report_of(rows, processes)


def report_of(rows: Rows, processes: Collection[tuple[str, int]] = ()) -> Report:
    new = [row for row in rows.rows if (row.run_id, row.process) in processes]
    return Report(
        gain=gain(rows.rows, suite.layers(), _networks()),
        window=gain(new) if new else None,
        findings=judge(rows, suite.additivity()),
        troubles=(*_troubles(rows.rows), *((line.place, line.flaw.says) for line in rows.refused)),
    )


def _troubles(rows: Iterable[TypedRow]) -> Iterator[tuple[str, str]]:
    for row in rows:
        if isinstance(row, FailureRow | InvalidRow):
            reason = row.reason if isinstance(row, FailureRow) else row.invalid_reason
            yield row.key, f"{reason}: {row.message or 'the row is kept, and not fitted'}"


def _networks() -> tuple[suite.Network, ...]:
    return (*suite.networks(), *suite.llms())


def _job(request: Request) -> Job:
    return Job(
        folder=str(request.folder.resolve()),
        wish=request.wish,
        device=request.device,
        seconds=0.0,
        budget_seconds=request.budget_seconds,
        last=False,
        closing=not request.continues and not request.check,
        spawned_at=0.0,
        check=request.check,
        faults=dict(request.faults),
    )
