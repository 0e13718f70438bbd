"""``joulecast compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from joulecast.api.documents import estimate_document, result_row
from joulecast.cli.options import BatchSizes, ModelRequest, NoColor, Output, Precision, Runtime, takes_model
from joulecast.cli.output import OutputFormat, show, write_document
from joulecast.errors import JoulecastError, NotCalibratedError
from joulecast.workloads import DEFAULT_PRECISION, DEFAULT_RUNTIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from joulecast.energy.model import EnergyEstimate
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.layers import ModelProfile

EXAMPLES = (
    "Examples: `joulecast compare model.onnx` ·"
    " `joulecast compare model.onnx -a NVIDIA-H200 -a NVIDIA-L40S -b 1 -b 8 -b 32` ·"
    " `joulecast compare model.onnx --all -o csv`"
)

Accelerators = Annotated[
    list[str] | None,
    typer.Option(
        "--accelerator",
        "-a",
        help="Product name, as in `joulecast accelerators`; repeatable.",
        show_default="all with more behind them than a data sheet",
        rich_help_panel="Workload",
    ),
]
All = Annotated[
    bool,
    typer.Option("--all", help="Also accelerators known by their data sheet alone.", rich_help_panel="Workload"),
]


@takes_model
def command(
    request: ModelRequest,
    accelerator: Accelerators = None,
    batch_size: BatchSizes = None,
    every: All = False,
    precision: Precision = DEFAULT_PRECISION,
    runtime: Runtime = None,
    output: Output = OutputFormat.TABLE,
    no_color: NoColor = False,
) -> None:
    """Compare accelerators and batch sizes for one model, the fewest joules per inference first.

    Without -a: every accelerator that has more behind it than its data sheet.
    """
    from joulecast.cli.models import profiles

    runtime = runtime or DEFAULT_RUNTIME
    found, unavailable = _found(accelerator or _candidates(every=every), runtime)
    profiled = profiles(request, batch_size) if found else []
    estimates = _priced(profiled, found, unavailable, precision=precision, runtime=runtime)
    estimates.sort(key=lambda each: each.joules_per_batch / each.batch_size)
    if output is OutputFormat.TABLE:
        from joulecast.cli.tables.estimates import comparison_tables

        show(comparison_tables(profiled[0], estimates, unavailable), color=not no_color)
        return
    document = estimate_document(estimates, model=profiled[0], unavailable=unavailable, with_layers=False)
    write_document(document, output, [result_row(each) for each in estimates])


def _candidates(*, every: bool) -> list[str]:
    """Return the accelerators known by more than a data sheet; all of them if asked or if there are no others."""
    from joulecast.accelerators.catalogue import installed

    backed = [name for name, accelerator in installed().items() if accelerator.origin != "datasheet"]
    return list(installed()) if every or not backed else backed


def _found(names: Sequence[str], runtime: str) -> tuple[list[AcceleratorProfile], dict[str, JoulecastError]]:
    """Return the accelerators of these names, and the errors of those that are known but not calibrated.

    Raises UnknownAcceleratorError.
    """
    from joulecast.accelerators.catalogue import accelerator_named

    found: list[AcceleratorProfile] = []
    unavailable: dict[str, JoulecastError] = {}
    for name in dict.fromkeys(names):
        try:
            found.append(accelerator_named(name, runtime))
        except NotCalibratedError as error:
            unavailable[name] = error
    return found, unavailable


def _priced(
    profiles: Sequence[ModelProfile],
    accelerators: Sequence[AcceleratorProfile],
    unavailable: dict[str, JoulecastError],
    *,
    precision: str,
    runtime: str,
) -> list[EnergyEstimate]:
    """Return every forecast that can be made.

    Adds the others to ``unavailable``, and raises its first if none can be made.
    """
    from joulecast.api.forecasting import estimate

    estimates: list[EnergyEstimate] = []
    for accelerator in accelerators:
        try:
            estimates += [estimate(profile, accelerator, None, precision, runtime) for profile in profiles]
        except NotCalibratedError as error:
            unavailable[accelerator.product] = error
    if unavailable and not estimates:
        raise next(iter(unavailable.values()))
    return estimates
