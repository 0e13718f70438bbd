"""From a model, or its profile, to a forecast on an accelerator."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.errors import UnknownAcceleratorError, WorkloadError
from joulecast.layers import ModelProfile
from joulecast.workloads import (
    DEFAULT_ACCELERATOR,
    DEFAULT_PRECISION,
    DEFAULT_RUNTIME,
    FORECAST_BATCH_SIZE,
    WorkloadRequest,
)

if TYPE_CHECKING:
    from joulecast.accelerators import AcceleratorProfile
    from joulecast.energy.model import EnergyEstimate
    from joulecast.profiling import GraphForm
    from joulecast.readers.module import Module
    from joulecast.sources import FetchBudget, FetchedModel, RegistryAccess


def estimate(
    source: str | os.PathLike[str] | FetchedModel | Module | ModelProfile,
    accelerator: str | AcceleratorProfile = DEFAULT_ACCELERATOR,
    batch_size: int | None = None,
    precision: str = DEFAULT_PRECISION,
    runtime: str = DEFAULT_RUNTIME,
    *,
    example_inputs: object = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    input_values: Mapping[str, object] | None = None,
    path: str | None = None,
    graph: GraphForm = "exported",
    budget: FetchBudget | None = None,
    access: RegistryAccess | None = None,
    platform: str = "linux/amd64",
    verify: bool = False,
    clock_mhz: float | None = None,
) -> EnergyEstimate:
    """Forecast joules, seconds and watts of one batch on ``accelerator``.

    ``source``: anything ``joulecast.profile`` takes, or a profile that it gave. ``accelerator``: a product name as
    the node label ``nvidia.com/gpu.product`` has it, or a profile of one. ``batch_size``: unless said, what
    ``input_shapes`` hold or the model fixes, else 32; a ready profile keeps its own, and another is refused; a module's
    ``example_inputs`` hold a batch already. ``precision``:
    ``default`` (what torch does unasked), ``tf32``, ``bf16``, ``fp16``, ``fp32``.
    ``clock_mhz``: an SM clock lock, in MHz. The rest is for ``joulecast.profile``.

    Raises UnknownAcceleratorError, NotCalibratedError, WorkloadError, and what ``joulecast.profile`` raises.
    """
    from joulecast.estimation import estimate as price

    priced_by = accelerator_named(accelerator, runtime) if isinstance(accelerator, str) else accelerator
    if isinstance(source, ModelProfile):
        profiled = _as_asked(source, batch_size)
    else:
        from joulecast.profiling import ProfileRequest, profile_request

        workload = WorkloadRequest(
            batch_size=batch_size,
            default_batch_size=FORECAST_BATCH_SIZE,
            input_shapes=input_shapes or {},
            input_values=input_values or {},
        )
        profiled = profile_request(
            ProfileRequest(
                source=source,
                example_inputs=example_inputs,
                workload=workload,
                path=path,
                graph=graph,
                budget=budget,
                access=access,
                platform=platform,
                verify=verify,
            )
        )
    return price(profiled, priced_by, precision=precision, runtime=runtime, clock_mhz=clock_mhz)


def accelerator_named(name: str, runtime: str = DEFAULT_RUNTIME) -> AcceleratorProfile:
    """An installed profile by its product name, or by a shorter one that no other card has (``L4``), or one from a
    JSON file. Raises UnknownAcceleratorError, NotCalibratedError.
    """
    from joulecast.accelerators import AcceleratorProfile, find, refuse_simulated
    from joulecast.energy.names import label_of

    if name.endswith(".json"):
        return refuse_simulated(AcceleratorProfile.from_json(profile_text(Path(name)), called=name))
    return find(label_of(name), runtime)


def profile_text(path: Path) -> str:
    """What lies in ``path``. Raises UnknownAcceleratorError."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise UnknownAcceleratorError(f"{path} does not exist: check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnknownAcceleratorError(
            f"{path} cannot be read as an accelerator profile ({error}): give a file that `joulecast fit` wrote"
        ) from None


def _as_asked(profile: ModelProfile, batch_size: int | None) -> ModelProfile:
    own = profile.workload.batch_size
    if batch_size not in (None, own):
        raise WorkloadError(
            f"the profile of {profile.source} was made for batch size {own}, not {batch_size}:"
            f" profile the model again with batch_size={batch_size}"
        )
    return profile
