"""The command ``joulecast measure``: ``python -m joulecast_calibration.measure`` with progress bars and help."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from joulecast.cli.output import write
from joulecast.errors import JoulecastError

if TYPE_CHECKING:
    from joulecast_calibration.measure.run.options import CommandOptions

EXAMPLES = (
    "Examples: `joulecast measure --dry-run` · `joulecast measure --budget 9.5m --resume rows` ·"
    " `joulecast measure --report rows`"
)

_PLAN, _DEVICE = "What is measured", "On what"

Resume = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the rows; made if it is not there.", file_okay=False),
]
Budget = Annotated[str, typer.Option(metavar="TIME", help="Wall time of this command: 9.5m, 540s.")]
Slices = Annotated[
    list[str] | None,
    typer.Option(
        "--slice", metavar="NAME", show_default="the first run, then the rest", rich_help_panel=_PLAN,
        help="Any of smoke, llm, networks, cudagraph, layers, repeats, additivity, crosscheck, serving, bf16, compile,"
        " hot.",
    ),
]  # fmt: skip
Precision = Annotated[
    str,
    typer.Option(metavar="NAME", help="default, tf32, bf16 or fp16 in every slice.", rich_help_panel=_PLAN),
]
Runtime = Annotated[
    str,
    typer.Option(
        metavar="NAME", rich_help_panel=_PLAN,
        help="Of networks: torch-eager, torch-cudagraph, torch-compile or onnxruntime-cuda.",
    ),
]  # fmt: skip
Seed = Annotated[int, typer.Option(metavar="N", help="Of the order inside blocks, and of the data.")]
Device = Annotated[int, typer.Option(metavar="N", min=0, help="The GPU, as CUDA counts.", rich_help_panel=_DEVICE)]
ProcessMinutes = Annotated[float, typer.Option(metavar="N", help="Longest process of the chain.")]
OneProcess = Annotated[bool, typer.Option("--one-process", help="End with the first process of the chain.")]
Continues = Annotated[
    bool,
    typer.Option("--continues", help="Another command follows at once: no closing anchors."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what the budget covers, and measure nothing.")]
Order = Annotated[bool, typer.Option("--order", help="With --dry-run: every row in its order.")]
Simulate = Annotated[
    str | None,
    typer.Option(metavar="PRESET", help="A device in virtual time: hopper, ampere, …", rich_help_panel=_DEVICE),
]
Fault = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE", help="Fault of the simulated device, as foreign-process=120.", rich_help_panel=_DEVICE
    ),
]
OnCpu = Annotated[
    bool,
    typer.Option("--simulate-on-cpu", help="torch on the processor, a simulated meter.", rich_help_panel=_DEVICE),
]
Check = Annotated[
    bool,
    typer.Option("--check", help="Run all of the first run once on the processor.", rich_help_panel=_DEVICE),
]
Report = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Print the table and the verdict of a folder's rows.", file_okay=False),
]


def command(
    resume: Resume = None,
    budget: Budget = "9.5m",
    slices: Slices = None,
    precision: Precision = "",
    runtime: Runtime = "",
    seed: Seed = 0,
    device: Device = 0,
    process_minutes: ProcessMinutes = 9.5,
    one_process: OneProcess = False,
    continues: Continues = False,
    dry_run: DryRun = False,
    order: Order = False,
    simulate: Simulate = None,
    fault: Fault = None,
    simulate_on_cpu: OnCpu = False,
    check: Check = False,
    report: Report = None,
) -> None:
    """Measure the energy of layers and networks on this machine's GPU, within a time budget.

    Killed at any moment, the same command goes on from the rows in its folder.
    """
    from joulecast_calibration.measure.run.options import CommandOptions

    options = CommandOptions(
        resume=resume, budget=budget, slice=tuple(slices or ()), precision=precision, runtime=runtime, device=device,
        seed=seed, process_minutes=process_minutes, one_process=one_process, continues=continues, dry_run=dry_run,
        order=order, simulate=simulate, fault=tuple(fault or ()), simulate_on_cpu=simulate_on_cpu, check=check,
        report=report,
    )  # fmt: skip
    with usage_errors():
        _run(options)


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn an error of reason WrongUsage into one of the command line, which exits with 2."""
    try:
        yield
    except JoulecastError as error:
        if error.reason == "WrongUsage":
            raise typer.BadParameter(str(error)) from None
        raise


def _run(options: CommandOptions) -> None:
    from joulecast_calibration.measure.run.options import run_command
    from joulecast_calibration.measure.run.progress import PlainReporter

    if not sys.stderr.isatty():
        raise typer.Exit(run_command(options, PlainReporter(), write))
    from joulecast_calibration.cli.measurement import RichReporter

    with RichReporter() as reporter:
        code = run_command(options, reporter, reporter.keep)
    write(reporter.kept)
    raise typer.Exit(code)
