"""Command-line options of a measurement, and the run that they ask for: a plan or report printed, or rows measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from joulecast.errors import MeasurementError
from joulecast_calibration import suite
from joulecast_calibration.measure.plan.allocation import allocate
from joulecast_calibration.measure.plan.history import History
from joulecast_calibration.measure.plan.plan import make_plan
from joulecast_calibration.measure.report.report import report
from joulecast_calibration.measure.report.text import allocation_text, clock, omitted_text, order_text, report_text
from joulecast_calibration.measure.run.chain import Ending, perform
from joulecast_calibration.measure.run.progress import Reporter
from joulecast_calibration.measure.run.refusals import check_rows, duration_seconds, wrong_usage
from joulecast_calibration.measure.run.request import CHECK_BUDGET_SECONDS, MeasurementRequest, check_request
from joulecast_calibration.rows.journals import Rows, read_rows

_ENDINGS = {
    "complete": "everything asked for is measured",
    "budget": "the budget is spent",
    "process": "this process's time is over: give the same command again for the next one",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOptions:
    """The options by their names, as given."""

    resume: Path | None = None
    budget: str = "9.5m"
    slice: tuple[str, ...] | list[str] = ()
    precision: str = ""
    runtime: str = ""
    device: int = 0
    seed: int = 0
    process_minutes: float = 9.5
    one_process: bool = False
    continues: bool = False
    dry_run: bool = False
    order: bool = False
    simulate: str | None = None
    fault: tuple[str, ...] | list[str] = ()
    simulate_on_cpu: bool = False
    check: bool = False
    report: Path | None = None


def run_command(options: CommandOptions, reporter: Reporter, write: Callable[[str], object]) -> int:
    """Print the plan or the report, or measure; return the exit status. Raises MeasurementError."""
    if options.report:
        write(report_text(report(options.report)))
        return 0
    request = request_of(options)
    check_request(request)
    if options.dry_run:
        write(_dry_run(request, order=options.order))
        return 0
    if options.resume is None:
        raise wrong_usage("the folder for the rows is missing: give --resume DIR, which is created if necessary")
    ending = perform(request, reporter)
    write(_ending_text(ending))
    write(report_text(report(request.folder, ending.processes)))
    if not ending.rows and ending.reason != "complete":
        raise MeasurementError("nothing was measured: give a larger --budget", reason="NothingMeasured")
    return 0


def request_of(options: CommandOptions) -> MeasurementRequest:
    """Build the request. Raises MeasurementError (WrongUsage) for contradicting or incomplete options."""
    devices = [options.simulate is not None, options.simulate_on_cpu or options.check]
    if all(devices):
        raise wrong_usage("--simulate replaces the device: leave out --simulate-on-cpu and --check")
    budget = duration_seconds(options.budget, "--budget")
    return MeasurementRequest(
        folder=options.resume or Path(),
        slices=tuple(name for text in options.slice for name in text.split(",")),
        budget_seconds=max(budget, CHECK_BUDGET_SECONDS) if options.check else budget,
        process_seconds=60 * options.process_minutes,
        device=_device(options),
        seed=options.seed,
        precision=options.precision,
        runtime=options.runtime,
        single=options.one_process,
        continues=options.continues,
        check=options.check,
        faults=_faults(options),
    )


def _device(options: CommandOptions) -> str:
    if options.simulate is not None:
        return f"simulated:{options.simulate}"
    return "processor" if options.simulate_on_cpu or options.check else f"cuda:{options.device}"


def _faults(options: CommandOptions) -> dict[str, str]:
    parts = [text.partition("=") for text in options.fault]
    if bad := [name for name, sign, value in parts if not sign or not value]:
        raise wrong_usage(f"--fault {bad[0]!r} has no value: give NAME=VALUE, as foreign-process=120")
    return {name: value for name, _, value in parts}


def _dry_run(request: MeasurementRequest, *, order: bool) -> str:
    found = read_rows(request.folder) if request.folder != Path() else Rows()
    check_rows(found.lines, request.folder)
    plan = make_plan(suite.committed(), request.plan_options)
    allocated = allocate(plan, request.budget_seconds, request.process_seconds, History(found.rows))
    text = allocation_text(allocated, request.budget_seconds)
    if any(row.slice == "serving" for row in plan.rows):
        text += omitted_text(suite.committed().decoders.omitted)
    return text + (order_text(allocated) if order else "")


def _ending_text(ending: Ending) -> str:
    """Describe how a command ended."""
    text = f"{_ENDINGS[ending.reason]}: {ending.rows} rows in {clock(ending.seconds)}\n"
    for library, count in ending.skipped.items():
        text += f"not measured: {count} rows, for want of {library}\n"
    return text
