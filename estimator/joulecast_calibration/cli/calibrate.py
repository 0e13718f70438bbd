"""The command ``joulecast calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from joulecast.cli.output import write
from joulecast.errors import JoulecastError
from joulecast_calibration.cli.evaluate import require_fit
from joulecast_calibration.cli.measure import Device, Precision, Runtime, Seed, Simulate, Slices, usage_errors

if TYPE_CHECKING:
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast_calibration.calibrate.calibration import CalibrationPlan

EXAMPLES = (
    "Examples: `joulecast calibrate --folder rows --quick` ·"
    " `joulecast calibrate --folder rows --budget 25m --against profile.json --out new.json`"
)

Folder = Annotated[
    Path, typer.Option("--folder", metavar="DIR", help="Of the rows; made if it is not there.", file_okay=False)
]
Quick = Annotated[
    bool, typer.Option("--quick", help="At most five minutes of the GPU: constants, first layers, a few networks.")
]
Budget = Annotated[
    str | None,
    typer.Option(metavar="TIME", show_default="25m, with --quick 5m",
                 help="Of measuring, over all commands on this folder."),
]  # fmt: skip
Against = Annotated[
    Path | None,
    typer.Option(metavar="PROFILE", help="The profile there is: is the new one better?", exists=True, dir_okay=False),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="PROFILE", show_default="DIR/profile.json", help="The new profile.", dir_okay=False),
]
SummaryFile = Annotated[
    Path | None,
    typer.Option("--summary", metavar="FILE", help="Also keep the state there, as JSON.", dir_okay=False),
]


def command(
    folder: Folder,
    quick: Quick = False,
    budget: Budget = None,
    slices: Slices = None,
    runtime: Runtime = "",
    precision: Precision = "",
    against: Against = None,
    out: Out = None,
    summary: SummaryFile = None,
    simulate: Simulate = None,
    device: Device = 0,
    seed: Seed = 0,
) -> None:
    """Measure this machine's GPU, fit its profile, and say whether it is better than the one there was.

    Killed at any moment, the same command goes on from its folder. The last line printed is the summary, as JSON.
    """
    if quick and slices:
        raise typer.BadParameter("--quick and --slice both choose what is measured: leave out one of them")
    require_fit()
    from joulecast_calibration.calibrate.calibration import CalibrationPlan
    from joulecast_calibration.measure.run.options import CommandOptions, request_of

    options = CommandOptions(
        resume=folder, budget=budget or ("5m" if quick else "25m"), slice=tuple(slices or ()), runtime=runtime,
        precision=precision, simulate=simulate, device=device, seed=seed,
    )  # fmt: skip
    with usage_errors():
        plan = CalibrationPlan(
            request=request_of(options), out=out or folder / "profile.json", quick=quick, summary=summary,
            against=_profile(against) if against else None,
        )  # fmt: skip
        _run(plan)


def _profile(path: Path) -> AcceleratorProfile:
    """Read the old profile, which may lack coefficients that pricing needs."""
    from joulecast.accelerators.catalogue import profile_text
    from joulecast.energy.profile import AcceleratorProfile

    return AcceleratorProfile.from_json(profile_text(path), called=str(path))


def _run(plan: CalibrationPlan) -> None:
    from joulecast_calibration.calibrate.calibration import Calibration
    from joulecast_calibration.calibrate.summary import PREFIX
    from joulecast_calibration.cli.fit import calibrated_text
    from joulecast_calibration.measure.run.progress import PlainReporter

    calibration = Calibration(plan, PlainReporter())
    try:
        write(calibrated_text(calibration.run(), calibration.summary, plan.out))
    except JoulecastError as error:
        if error.reason != "WrongUsage":
            write(f"{PREFIX}{calibration.summary.to_json()}\n")
        raise
    write(f"{PREFIX}{calibration.summary.to_json()}\n")
