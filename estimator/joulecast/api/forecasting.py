"""From a model, or its profile, to a forecast on an accelerator."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.errors import NotCalibratedError, WorkloadError
from joulecast.layers import ENGINE_GRAPH, TRACED_GRAPH, ModelProfile
from joulecast.serving.kernels import ENGINES, graph_runtime
from joulecast.workloads import (
    DEFAULT_ACCELERATOR,
    DEFAULT_ENGINE,
    DEFAULT_PRECISION,
    DEFAULT_RUNTIME,
    FORECAST_BATCH_SIZE,
    WorkloadRequest,
)

if TYPE_CHECKING:
    from joulecast.api.profiling import GraphForm
    from joulecast.energy.model import EnergyEstimate
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.readers.module import Module
    from joulecast.sources import FetchBudget, FetchedModel, RegistryAccess

TRACED = "no entry reads the configuration: its class of transformers was traced, whose calls torch runs and no engine"
"""Reason of a forecast that was made of a traced class, which no set of measurements scores."""


def estimate(
    source: str | os.PathLike[str] | FetchedModel | Module | ModelProfile,
    accelerator: str | AcceleratorProfile = DEFAULT_ACCELERATOR,
    batch_size: int | None = None,
    precision: str = DEFAULT_PRECISION,
    runtime: str | None = None,
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
    power_limit_watts: float | None = None,
    tensor_parallel: int = 1,
) -> EnergyEstimate:
    """Forecast joules, seconds and watts of one batch on ``accelerator``.

    - ``source``: anything that ``joulecast.profile`` takes, or a profile that it returned.
    - ``accelerator``: a product name as in the node label ``nvidia.com/gpu.product``, or a profile of one.
    - ``batch_size``: by default what ``input_shapes`` hold, else what the model fixes, else 32. A ready profile keeps
      its own, and another is refused; a module's ``example_inputs`` hold a batch already.
    - ``precision``: ``default`` (what torch uses by default), ``tf32``, ``bf16``, ``fp16``, ``fp32``.
    - ``runtime``: ``torch-eager`` (the default), ``torch-cudagraph``, ``onnxruntime-cuda``; of a language model
      ``vllm`` (its default) or ``sglang``. ``joulecast.estimate_generation`` forecasts what it generates.
    - ``clock_mhz``: an SM clock lock, in MHz.
    - ``power_limit_watts``: a power limit below the card's own; not of an engine, whose rows carry no clock.
    - ``tensor_parallel``: cards that share a language model: 1, 2, 4 or 8; joules and watts are those of all.

    The other arguments are those of ``joulecast.profile``.

    Raises UnknownAcceleratorError, NotCalibratedError, WorkloadError, and what ``joulecast.profile`` raises.
    """
    from joulecast.accelerators.catalogue import accelerator_named
    from joulecast.energy.pricing import price

    priced_by = accelerator_named(accelerator, graph_runtime(runtime)) if isinstance(accelerator, str) else accelerator
    if isinstance(source, ModelProfile):
        profiled = _as_asked(source, batch_size)
    else:
        from joulecast.api.profiling import ProfileRequest, profile_request

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
                precision=precision,
            )
        )
    if profiled.graph == ENGINE_GRAPH:
        from joulecast.api.language_profiles import price_forward
        from joulecast.energy.engines.intervals import refuse_limit

        if isinstance(source, ModelProfile) and precision != DEFAULT_PRECISION:
            raise WorkloadError(
                f"the profile of {source.source} was counted as its files are stored: leave the precision {precision}"
                " out, or give the model itself"
            )
        engine = runtime or DEFAULT_ENGINE
        refuse_limit(engine, power_limit_watts)
        return price_forward(
            profiled, priced_by, precision=precision, runtime=engine, clock_mhz=clock_mhz, cards=tensor_parallel
        )
    if tensor_parallel != 1:
        raise WorkloadError(
            f"{profiled.source} is a graph, which runs on one card: leave tensor_parallel out, or give a language model"
            " by its configuration"
        )
    if runtime in ENGINES:
        from joulecast.counting.registry import RUNTIMES

        what = "was traced as torch runs it" if profiled.graph == TRACED_GRAPH else "is a graph"
        raise NotCalibratedError(
            f"{profiled.source} {what}, which {runtime} does not run: choose one of the runtimes"
            f" {', '.join(RUNTIMES)}, or give a language model by its configuration"
        )
    found = price(
        profiled,
        priced_by,
        precision=precision,
        runtime=runtime or DEFAULT_RUNTIME,
        clock_mhz=clock_mhz,
        power_limit_watts=power_limit_watts,
    )
    return replace(found, reasons=(*found.reasons, TRACED)) if profiled.graph == TRACED_GRAPH else found


def _as_asked(profile: ModelProfile, batch_size: int | None) -> ModelProfile:
    own = profile.workload.batch_size
    if batch_size not in (None, own):
        raise WorkloadError(
            f"the profile of {profile.source} was made for batch size {own}, not {batch_size}:"
            f" profile the model again with batch_size={batch_size}"
        )
    return profile
