"""Check and run a measurement request, for both command lines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.plan.plan import PlanOptions
from joulecast_calibration.measure.run.chain import Chain, Ending
from joulecast_calibration.measure.run.process import ProcessJob
from joulecast_calibration.measure.run.progress import Reporter
from joulecast_calibration.measure.run.refusals import (
    LONGEST_PROCESS_SECONDS,
    check_folder,
    check_names,
    check_rows,
    check_times,
    lock,
    wrong_usage,
)
from joulecast_calibration.rows.journals import read_rows

BUDGET_SECONDS = 570.0  # one window of 9.5 minutes: docs/measuring.md
CHECK_BUDGET_SECONDS = 6 * 3600.0  # a check ends when everything has run once


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementRequest:
    """A measurement as asked for.

    - ``folder``: of the rows; what it holds is not measured again.
    - ``device``: ``cuda:N``, ``simulated:PRESET`` or ``processor``.
    - ``single``: run one process only.
    - ``continues``: another command follows on this card at once, so the closing anchors are left to it.
    - ``check``: run everything once, at its smallest.
    - ``faults``: of a simulated device.
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
    def plan_options(self) -> PlanOptions:
        rest = not self.check
        return PlanOptions(
            slices=self.slices, seed=self.seed, precision=self.precision, runtime=self.runtime, rest=rest
        )


def perform(request: MeasurementRequest, reporter: Reporter) -> Ending:
    """Measure what ``check_request`` has accepted.

    Raises MeasurementError where the measurement is refused or cannot continue; the rows measured so far are kept.
    """
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
    if ending.reason == "foreign process":
        raise MeasurementError(
            f"another process stays on the GPU: {ending.rows} rows are kept in {request.folder}; end it, or take a card"
            f" of your own, and give --resume {request.folder} again",
            reason="ForeignProcessOnDevice",
        )
    return ending


def _with_way_out(error: MeasurementError) -> MeasurementError:
    """Add that the runner can be tried without a GPU to an error about a missing GPU."""
    if error.reason != "NoDevice":
        return error
    return MeasurementError(f"{error}, or give --simulate to try the runner without a GPU", reason=error.reason)


def check_request(request: MeasurementRequest) -> None:
    """Check that the request can be performed. Raises MeasurementError (WrongUsage) if not."""
    check_names(request.slices, request.precision, request.runtime)
    check_times(request.budget_seconds, request.process_seconds)
    if request.faults and not request.device.startswith("simulated:"):
        raise wrong_usage("--fault is for a simulated device: give --simulate as well")
    if request.device.startswith("simulated:"):
        from joulecast_calibration.meter.simulated import preset

        preset(request.device.partition(":")[2])


def _job(request: MeasurementRequest) -> ProcessJob:
    return ProcessJob(
        folder=str(request.folder.resolve()),
        options=request.plan_options,
        device=request.device,
        seconds=0.0,
        budget_seconds=request.budget_seconds,
        last=False,
        closing=not request.continues and not request.check,
        spawned_at=0.0,
        check=request.check,
        faults=dict(request.faults),
    )
