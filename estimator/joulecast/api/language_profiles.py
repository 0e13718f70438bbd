"""The profile of a language model: one pass as an engine runs it, without generation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.api.language_models import in_precision, language_model, require_engine
from joulecast.counting import totals
from joulecast.energy.engines.pricing import price_pass, step_seconds
from joulecast.energy.model import ORIGINS, EnergyEstimate
from joulecast.errors import NotCalibratedError, UnsupportedOperatorError, WorkloadError
from joulecast.layers import ENGINE_GRAPH, Coverage, ModelProfile, Workload
from joulecast.serving.execution import SUPPORT, executed_on
from joulecast.serving.kernels import COMPUTED_AS, ENGINES
from joulecast.serving.passes import Pass, Sequences
from joulecast.serving.requests import require_degree
from joulecast.serving.rows import rows
from joulecast.units import Joules, Watts
from joulecast.workloads import DEFAULT_INPUT_TOKENS, DEFAULT_PRECISION

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel
    from joulecast.energy.model import LayerEnergy
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.layers import LayerProfile
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
    try:
        model = in_precision(language_model(fetched), precision)
    except UnsupportedOperatorError as error:
        if not falls_back(fetched, error):
            raise
        return traced_instead(fetched, error, batch_size=workload.batch_size, tokens=shape[1])
    return profile_language_model(fetched, model, batch_size=workload.batch_size, tokens=shape[1])


def falls_back(fetched: FetchedModel, error: UnsupportedOperatorError) -> bool:
    """Decide whether the class of transformers can be traced in place of an entry that there is not."""
    from joulecast.api.traced_models import can_trace
    from joulecast.readers.huggingface.chosen import UNKNOWN

    return fetched.format == "huggingface" and error.reason == UNKNOWN and can_trace()


def traced_instead(
    fetched: FetchedModel, error: UnsupportedOperatorError, *, batch_size: int, tokens: int
) -> ModelProfile:
    """Return the profile of the traced class. Raises ``error`` where transformers has none of that name."""
    from joulecast.api.traced_models import profile_traced
    from joulecast.readers.huggingface.chosen import UNKNOWN
    from joulecast.sources.facts.model_facts import read_document

    config = read_document(fetched.skeleton).config or {}
    try:
        return profile_traced(fetched, config, batch_size=batch_size, tokens=tokens)
    except UnsupportedOperatorError as other:
        if other.reason != UNKNOWN:
            raise
        raise UnsupportedOperatorError(f"{error}; a trace is no way out either: {other}", reason=UNKNOWN) from None


def profile_language_model(
    fetched: FetchedModel, model: LanguageModel, *, batch_size: int, tokens: int
) -> ModelProfile:
    """Return the rows of one pass over ``batch_size`` sequences of ``tokens`` tokens, on one card.

    A model that generates computes the logits of each last token, others what their head asks for. Parameters are
    those of the whole model.
    """
    layers = rows(model, _pass(model, batch_size, tokens))
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
        model=model,
    )


def _pass(model: LanguageModel, sequences: int, tokens: int) -> Pass:
    read = Sequences(count=sequences, new_tokens=tokens)
    return Pass(groups=(read,), logits="last" if model.generates else "all")


def price_forward(
    profile: ModelProfile,
    accelerator: AcceleratorProfile,
    *,
    precision: str,
    runtime: str,
    clock_mhz: float | None = None,
    cards: int = 1,
) -> EnergyEstimate:
    """Forecast one pass of ``profile``, which ``profile_language_model`` made, on ``cards`` cards that share the model.

    Weights are multiplied in what an engine executes of them on this accelerator; a saved profile, which does not tell
    how they are stored, is priced as it was counted.

    Raises NotCalibratedError for a runtime that is no engine and for weights that no engine runs on this accelerator,
    WorkloadError where the cards cannot share the model, and what ``price_pass`` raises.
    """
    from joulecast.energy.engines.intervals import widenings, widths

    require_engine(runtime)
    require_degree(cards)
    run, waiting = _rows_on(profile, accelerator, cards), step_seconds(runtime, profile.workload.batch_size)
    priced = price_pass(run, accelerator, engine=runtime, cards=cards, clock_mhz=clock_mhz, waiting_seconds=waiting)
    joules, seconds = cards * priced.step_joules, priced.step_seconds
    wider = widenings(runtime, accelerator.product, clock_mhz)
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
        gap_joules=Joules(cards * priced.waiting_joules),
        coverage=priced.coverage,
        origin=max([accelerator.origin, *(row.origin for row in priced.layers)], key=ORIGINS.index),
        reasons=tuple(each.reason for each in wider),
        layers=tuple(_of_all(row, cards) for row in priced.layers),
        parallel=cards,
    )


def _rows_on(profile: ModelProfile, accelerator: AcceleratorProfile, cards: int) -> tuple[LayerProfile, ...]:
    """Return the rows that one of ``cards`` cards executes."""
    if profile.model is None:
        if cards > 1:
            raise WorkloadError(
                f"the profile of {profile.source} was counted on one card: leave the tensor-parallel degree of {cards}"
                " out, or give the model itself"
            )
        _require_native(profile, accelerator)
        return profile.layers
    run = executed_on(profile.model, architecture=accelerator.architecture, product=accelerator.product)
    if run is profile.model and cards == 1:
        return profile.layers
    return rows(run, _pass(run, *profile.input_shapes[INPUT]), cards=cards)


def _require_native(profile: ModelProfile, accelerator: AcceleratorProfile) -> None:
    """Raise NotCalibratedError where a saved profile multiplies in what engines would unpack the weights from."""
    family = accelerator.architecture.partition(" ")[0]
    for name, support in SUPPORT.items():
        if family in support.unpacked and any(row.macs and row.dtype == COMPUTED_AS[name] for row in profile.layers):
            raise NotCalibratedError(
                f"the profile of {profile.source} multiplies in {name}, which {accelerator.product} does not: engines"
                " unpack such weights there, so give the model itself in place of the saved profile"
            )


def _of_all(row: LayerEnergy, cards: int) -> LayerEnergy:
    """Return what a row costs on all cards; each runs it in the same seconds."""
    if cards == 1:
        return row
    return replace(
        row,
        static_joules=Joules(cards * row.static_joules),
        compute_joules=Joules(cards * row.compute_joules),
        memory_joules=Joules(cards * row.memory_joules),
    )
