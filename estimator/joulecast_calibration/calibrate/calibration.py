"""Run one calibration: measure rows within the budget, fit them, and compare the new profile with the old one.

A calibration that is killed at any moment continues from the rows in its folder.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulecast.energy.profile import SIMULATED_ALLOWED, AcceleratorProfile
from joulecast.errors import JoulecastError, MeasurementError
from joulecast_calibration.calibrate.summary import CalibrationState, verdict_of
from joulecast_calibration.files import write_whole
from joulecast_calibration.measure.report.report import report
from joulecast_calibration.measure.run.chain import perform
from joulecast_calibration.measure.run.progress import Reporter
from joulecast_calibration.measure.run.request import MeasurementRequest, check_request
from joulecast_calibration.rows.journals import is_simulated, read_rows
from joulecast_calibration.rows.typed import LayerRow, NetworkRow

if TYPE_CHECKING:
    from joulecast_calibration.fit.profiles import FittedRows

QUICK_SECONDS = 300.0
"""A quick calibration: five minutes of a GPU."""
_QUICK_LAYERS_SECONDS = 180.0
"""Part of a quick calibration for constants, anchors and the first layers in coverage order; networks get the rest."""
_LEAST_SECONDS = 60.0  # what a process costs before its first row is not worth less: measure.chain
_MEASURING = 0.9  # share of the progress that measuring makes
_EVERY_SECONDS = 1.0  # between two writes of the summary


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationPlan:
    """What a calibration is asked to do.

    - ``request``: the measurement; its budget applies to the folder, however often the command is started.
    - ``against``: the previous profile, None where there is none.
    - ``out``: file of the fitted profile.
    - ``summary``: file of the calibration's state.
    """

    request: MeasurementRequest
    out: Path
    quick: bool = False
    against: AcceleratorProfile | None = None
    summary: Path | None = None


class Calibration:
    """Performs all stages with ``run`` and writes its state, ``summary``, to the plan's file at every step."""

    def __init__(self, plan: CalibrationPlan, reporter: Reporter) -> None:
        self._plan, self._reporter = plan, reporter
        self._written = -_EVERY_SECONDS
        self._spent = 0.0
        simulated = plan.request.device.startswith("simulated:")
        self.summary = CalibrationState(
            phase="measuring", progress=0.0, message="beginning", simulated=simulated,
            runtime=plan.request.runtime or "torch-eager",
        )  # fmt: skip

    def run(self) -> FittedRows:
        """Measure, fit and compare. Raises JoulecastError, which is also written into the summary."""
        try:
            check(self._plan)
            self._now(message="beginning to measure")
            self._measure()
            return self._fit()
        except JoulecastError as error:
            self._now(phase="failed", message=str(error))
            raise
        except KeyboardInterrupt:
            self._now(message="interrupted: the same command goes on from its folder")
            raise

    def event(self, name: str, columns: Mapping[str, Any], elapsed_seconds: float) -> None:
        """Update the summary after an event of the measurement, as a ``Reporter``."""
        self._reporter.event(name, columns, elapsed_seconds)
        budget = self._plan.request.budget_seconds
        share = min((self._spent + elapsed_seconds) / budget, 1.0)
        if name == "started":
            self._now(accelerator=_product(columns["accelerator"]))
        elif name == "row" and columns["kind"] in ("network", "layer"):
            kind = f"{columns['kind']}s"
            more = {"rows": self.summary.rows + 1, kind: getattr(self.summary, kind) + 1}
            message = f"measured {columns['label']}"
            self._now(wait=True, progress=_MEASURING * share, message=message, **more)

    def _measure(self) -> None:
        """Measure until the budget of the folder is spent, counting the seconds that earlier commands spent."""
        request = self._plan.request
        for stage in _stages(self._plan):
            self._spent = _spent_seconds(request.folder)
            self._count()
            if stage.budget_seconds - self._spent >= _LEAST_SECONDS:
                perform(replace(stage, budget_seconds=stage.budget_seconds - self._spent), self)
        self._count()

    def _count(self) -> None:
        """Return every row in the folder, also those of earlier commands."""
        rows = read_rows(self._plan.request.folder).rows
        networks = sum(isinstance(row, NetworkRow) for row in rows)
        layers = sum(isinstance(row, LayerRow) for row in rows)
        self._now(rows=networks + layers, networks=networks, layers=layers)

    def _fit(self) -> FittedRows:
        from joulecast_calibration.calibrate.comparison import compare
        from joulecast_calibration.fit.learning import learning
        from joulecast_calibration.fit.profiles import fit_measured

        folder = self._plan.request.folder
        self._now(phase="fitting", progress=_MEASURING, message="fitting", verdict=verdict_of(report(folder).findings))
        fitted = fit_measured([folder], advanced=self._fitting)
        compared = compare(fitted.held, self._plan.against)
        text = fitted.profile.to_json()
        write_whole(self._plan.out, text)
        old = compared.old_median_ape
        self._now(
            phase="done",
            progress=1.0,
            message=f"fitted {fitted.table.size} rows",
            simulated=fitted.profile.simulated,
            accelerator=fitted.profile.product,
            held_out=_held_out(fitted.profile.held_out),
            against=None if old is None else {"median_ape": old},
            learning=tuple(asdict(step) for step in learning(fitted.prior, fitted.table)),
            better=compared.better,
            says=compared.says,
            profile_digest=hashlib.sha256(text.encode()).hexdigest(),
        )
        return fitted

    def _fitting(self, share: float) -> None:
        self._now(wait=True, progress=_MEASURING + (1 - _MEASURING) * share, message="leaving out one family at a time")

    def _now(self, *, wait: bool = False, **changes: Any) -> None:
        """Write the summary with ``changes``; ``wait`` postpones the write if the last one is recent."""
        self.summary = replace(self.summary, **changes)
        if wait and time.monotonic() - self._written < _EVERY_SECONDS:
            return
        self.summary.write(self._plan.summary)
        self._written = time.monotonic()


def check(plan: CalibrationPlan) -> None:
    """Check that the calibration can be performed, before anything is measured. Raises MeasurementError."""
    check_request(plan.request)
    if plan.request.device.startswith("simulated:") and os.environ.get(SIMULATED_ALLOWED) != "1":
        raise MeasurementError(
            f"a simulated device cannot be calibrated for use: leave out --simulate,"
            f" or, in a test, set {SIMULATED_ALLOWED}=1",
            reason="SimulatedProfile",
        )


def _stages(plan: CalibrationPlan) -> tuple[MeasurementRequest, ...]:
    """Return the requests in order, each with the seconds that the folder may have cost when it ends."""
    request = plan.request
    if not plan.quick:
        return (request,)
    share = _QUICK_LAYERS_SECONDS / QUICK_SECONDS
    layers = replace(
        request, slices=("layers",), continues=True, budget_seconds=share * request.budget_seconds
    )  # fmt: skip
    return layers, replace(request, slices=("networks",), continues=True)


def _spent_seconds(folder: Path) -> float:
    """Return the seconds that the rows in ``folder`` took to measure, from each process's start to its last row."""
    from joulecast_calibration.measure.report.gain import gain

    return 60 * gain(read_rows(folder).rows).minutes


def _product(accelerator: str) -> str:
    """Return the product that a simulated accelerator simulates, or the accelerator itself."""
    from joulecast_calibration.fit.journal import product_of

    return product_of(accelerator, simulated=is_simulated(accelerator))


def _held_out(found: Mapping[str, float]) -> Mapping[str, float] | None:
    names = ("median_ape", "mean_ape", "max_ape", "interval_coverage")
    if not found:
        return None
    return {name: found[name] for name in names} | {name: int(found[name]) for name in ("rows", "families")}
