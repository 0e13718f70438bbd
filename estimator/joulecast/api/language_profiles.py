"""The profile of a language model: one pass as an engine runs it, without generation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from joulecast.api.language_models import in_precision, language_model, require_engine
from joulecast.counting import totals
from joulecast.energy.engines.pricing import price_pass, step_seconds
from joulecast.energy.model import ORIGINS, EnergyEstimate
from joulecast.errors import WorkloadError
from joulecast.layers import ENGINE_GRAPH, Coverage, ModelProfile, Workload
from joulecast.serving.kernels import ENGINES
from joulecast.serving.passes import Pass, Sequences
from joulecast.serving.rows import rows
from joulecast.units import Joules, Watts
from joulecast.workloads import DEFAULT_INPUT_TOKENS, DEFAULT_PRECISION

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.sources import FetchedModel
    from joulecast.workloads import WorkloadRequest

INPUT = "input_ids"


def profile_fetched(
    fetched: FetchedModel, request: WorkloadRequest, *, precision: str = DEFAULT_PRECISION
) -> ModelProfile:
    """Return the profile of a fetched language model: sequences of the length that ``input_ids`` has, else 512.

    Raises WorkloadError for another input, and what ``language_model`` raises.
    """
    unknown = [name for name in (*request.input_shapes, *request.input_values) if name != INPUT]
    shape = request.shapes_at(1).get(INPUT, (1, DEFAULT_INPUT_TOKENS))
    if unknown or len(shape) != 2:
        raise WorkloadError(
            f"{fetched.reference} is a language model, whose input is {INPUT} of batch × tokens: leave out"
            f" {unknown[0] if unknown else f'the shape {list(shape)}'}"
        )
    workload = request.resolve(request.leading_batch_size)
    model = in_precision(language_model(fetched), precision)
    return profile_language_model(fetched, model, batch_size=workload.batch_size, tokens=shape[1])


def profile_language_model(
    fetched: FetchedModel, model: LanguageModel, *, batch_size: int, tokens: int
) -> ModelProfile:
    """Return the rows of one pass over ``batch_size`` sequences of ``tokens`` tokens.

    A model that generates computes the logits of each last token, an encoder what its head asks for. Parameters are
    those of the whole model.
    """
    sequences = Sequences(count=batch_size, new_tokens=tokens)
    layers = rows(model, Pass(groups=(sequences,), logits="last" if model.generates else "all"))
    return ModelProfile(
        source=fetched.reference,
        digest=fetched.digest,
        format=fetched.format,
        workload=Workload(batch_size=batch_size, input_shapes={INPUT: (batch_size, tokens)}),
        layers=layers,
        totals=totals(layers, ENGINES),
        coverage=Coverage(flops=1.0, ops=1.0),
        graph=ENGINE_GRAPH,
        input_shapes={INPUT: (batch_size, tokens)},
        verification=fetched.verification,
        bytes_fetched=fetched.bytes_fetched,
    )


def price_forward(
    profile: ModelProfile,
    accelerator: AcceleratorProfile,
    *,
    precision: str,
    runtime: str,
    clock_mhz: float | None = None,
) -> EnergyEstimate:
    """Forecast one pass of ``profile``, which ``profile_language_model`` made, on one card.

    Raises NotCalibratedError for a runtime that is no engine, and what ``price_pass`` raises.
    """
    from joulecast.api.generation import widenings, widths

    require_engine(runtime)
    waiting = step_seconds(runtime, profile.workload.batch_size)
    priced = price_pass(profile.layers, accelerator, engine=runtime, clock_mhz=clock_mhz, waiting_seconds=waiting)
    joules, seconds = priced.step_joules, priced.step_seconds
    wider = widenings(runtime, accelerator.product)
    width = widths(runtime, wider).joules
    return EnergyEstimate(
        accelerator=accelerator.product,
        runtime=runtime,
        precision=precision,
        batch_size=profile.workload.batch_size,
        joules_per_batch=Joules(joules),
        joules_per_batch_lower=Joules(joules * math.exp(-width)),
        joules_per_batch_upper=Joules(joules * math.exp(width)),
        latency_seconds=seconds,
        average_power_watts=Watts(joules / seconds),
        gap_joules=priced.waiting_joules,
        coverage=priced.coverage,
        origin=max([accelerator.origin, *(row.origin for row in priced.layers)], key=ORIGINS.index),
        reasons=tuple(each.reason for each in wider),
        layers=priced.layers,
    )
