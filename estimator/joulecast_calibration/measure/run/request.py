"""A measurement as asked for, for both command lines and the calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from joulecast_calibration.measure.plan.plan import PlanOptions
from joulecast_calibration.measure.run.refusals import (
    LONGEST_PROCESS_SECONDS,
    check_names,
    check_times,
    wrong_usage,
)

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


def check_request(request: MeasurementRequest) -> None:
    """Check that the request can be performed. Raises MeasurementError (WrongUsage) if not."""
    check_names(request.slices, request.precision, request.runtime)
    check_times(request.budget_seconds, request.process_seconds)
    if request.faults and not request.device.startswith("simulated:"):
        raise wrong_usage("--fault is for a simulated device: give --simulate as well")
    if request.device.startswith("simulated:"):
        from joulecast_calibration.meter.simulated import preset

        preset(request.device.partition(":")[2])
