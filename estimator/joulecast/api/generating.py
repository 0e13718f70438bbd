"""From a source to a forecast of generation: by an inference engine, or as transformers runs it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from joulecast.api.generation import GenerationEstimate, forecast_generation
from joulecast.blocks import LanguageModel
from joulecast.errors import WorkloadError
from joulecast.serving.requests import GenerationRequest
from joulecast.workloads import DEFAULT_ACCELERATOR, DEFAULT_ENGINE, DEFAULT_PRECISION

if TYPE_CHECKING:
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.sources import FetchBudget, FetchedModel, RegistryAccess

TORCH = ("torch-eager",)
"""Runtimes under which a language model runs as its class of transformers, launched by the host."""


def estimate_generation(
    source: str | os.PathLike[str] | FetchedModel | LanguageModel,
    accelerator: str | AcceleratorProfile = DEFAULT_ACCELERATOR,
    request: GenerationRequest | None = None,
    *,
    precision: str = DEFAULT_PRECISION,
    runtime: str = DEFAULT_ENGINE,
    architecture: str | None = None,
    path: str | None = None,
    budget: FetchBudget | None = None,
    access: RegistryAccess | None = None,
    platform: str = "linux/amd64",
    clock_mhz: float | None = None,
    cache_precision: str = DEFAULT_PRECISION,
) -> GenerationEstimate:
    """Forecast joules and seconds of generation by a language model behind an inference engine.

    - ``source``: a folder with a ``config.json``, such a file, a GGUF file, ``hf://org/name[@revision]``, an image,
      what ``fetch`` returned, or a ``LanguageModel``.
    - ``accelerator``: a product name as in the node label ``nvidia.com/gpu.product``, or a profile of one.
    - ``request``: phase, tokens, concurrency or rate, and the cards that share the model.
    - ``precision``: ``default`` (as the files are stored), ``bf16``, ``fp16``, ``fp32``.
    - ``runtime``: ``vllm`` or ``sglang``; ``torch-eager`` for transformers' ``generate`` (with torch installed).
    - ``architecture``: the model type to read the configuration as, where its own is not known.
    - ``clock_mhz``: an SM clock lock, in MHz.
    - ``cache_precision``: of cached keys and values: ``default`` (as the files say, else that of activations),
      ``bf16``, ``fp16``, ``fp8``.

    Raises WorkloadError (DoesNotFit, with the fewest cards that do), UnknownAcceleratorError, NotCalibratedError,
    UnsupportedOperatorError, and what ``joulecast.fetch`` raises.
    """
    priced_by = _accelerator(accelerator)
    model, fetched = _model(source, architecture, path=path, budget=budget, access=access, platform=platform)
    return forecast_fetched(
        fetched,
        model,
        priced_by,
        request or GenerationRequest(),
        precision=precision,
        runtime=runtime,
        clock_mhz=clock_mhz,
        cache_precision=cache_precision,
    )


def forecast_fetched(
    fetched: FetchedModel | None,
    model: LanguageModel,
    accelerator: AcceleratorProfile,
    asked: GenerationRequest,
    *,
    precision: str = DEFAULT_PRECISION,
    runtime: str = DEFAULT_ENGINE,
    clock_mhz: float | None = None,
    cache_precision: str = DEFAULT_PRECISION,
) -> GenerationEstimate:
    """Forecast ``asked`` of ``model``, which was read of ``fetched``: by an engine, or as transformers runs its class.

    Raises what ``forecast_generation`` and ``forecast_eager`` raise.
    """
    if runtime not in TORCH or fetched is None:
        return forecast_generation(
            model,
            accelerator,
            asked,
            precision=precision,
            runtime=runtime,
            clock_mhz=clock_mhz,
            cache_precision=cache_precision,
        )
    from joulecast.api.eager_generation import forecast_eager
    from joulecast.api.language_models import configuration_of, in_precision

    if cache_precision != DEFAULT_PRECISION:
        raise WorkloadError(f"torch keeps keys and values as activations: leave out the precision {cache_precision!r}")
    return forecast_eager(
        configuration_of(fetched),
        in_precision(model, precision),
        accelerator,
        asked,
        precision=precision,
        runtime=runtime,
        clock_mhz=clock_mhz,
    )


def _model(
    source: str | os.PathLike[str] | FetchedModel | LanguageModel,
    architecture: str | None,
    *,
    path: str | None,
    budget: FetchBudget | None,
    access: RegistryAccess | None,
    platform: str,
) -> tuple[LanguageModel, FetchedModel | None]:
    if isinstance(source, LanguageModel):
        return source, None
    from joulecast.api.language_models import is_language_model, language_model
    from joulecast.sources import FetchBudget, FetchedModel, RegistryAccess, fetch

    fetched = (
        source
        if isinstance(source, FetchedModel)
        else fetch(
            os.fspath(source),
            path=path,
            budget=budget or FetchBudget(),
            access=access or RegistryAccess.of_user(),
            platform=platform,
        )
    )
    if not is_language_model(fetched):
        raise WorkloadError(
            f"{fetched.reference} is a model of format {fetched.format}, which has the phase forward alone: leave the"
            " phase and the tokens out"
        )
    return language_model(fetched, architecture=architecture), fetched


def _accelerator(accelerator: str | AcceleratorProfile) -> AcceleratorProfile:
    if not isinstance(accelerator, str):
        return accelerator
    from joulecast.accelerators.catalogue import accelerator_named

    return accelerator_named(accelerator)
