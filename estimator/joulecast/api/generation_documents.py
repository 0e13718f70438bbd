"""The JSON contract of forecasts of generation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from joulecast.api.documents import Document, header, layer_fields, problem, rounded

if TYPE_CHECKING:
    from joulecast.api.generation import Figure, GenerationEstimate
    from joulecast.blocks import LanguageModel
    from joulecast.errors import JoulecastError
    from joulecast.sources import FetchedModel

_INTERVALS = (
    "joules_per_request",
    "joules_per_input_token",
    "joules_per_output_token",
    "time_to_first_token_seconds",
    "inter_token_latency_seconds",
)
"""Fields with a ``_lower`` and an ``_upper`` beside them."""

_AS_THEY_ARE = ("accelerator", "runtime", "precision", "phase", "concurrency", "input_tokens", "output_tokens",
                "cached_tokens", "parallel")  # fmt: skip


def generation_document(
    estimates: Sequence[GenerationEstimate],
    *,
    fetched: FetchedModel,
    model: LanguageModel,
    unavailable: Iterable[tuple[str, JoulecastError]] = (),
    with_layers: bool = True,
) -> Document:
    """Return forecasts of one language model as a document of kind ``estimate``, in the order given.

    - ``unavailable``: requested accelerators with the error of each forecast that cannot be made of them.
    - ``with_layers``: add the rows of ``layers``, which name their forecast by position in ``results``, and its phase.
    """
    return {
        **header("estimate"),
        "model": language_model_fields(fetched, model),
        "results": [_result(estimate) for estimate in estimates],
        "unavailable": [problem(name, error) for name, error in unavailable],
        "layers": _layer_rows(estimates) if with_layers else [],
    }


def language_model_fields(fetched: FetchedModel, model: LanguageModel) -> Document:
    """Return which model was read, and what its configuration left open."""
    return {
        "source": fetched.reference,
        "digest": fetched.digest,
        "format": fetched.format,
        "verification": fetched.verification,
        "bytes_fetched": fetched.bytes_fetched,
        "architecture": model.architecture,
        "dtype": model.dtype,
        "quantisation": model.storage.method,
        "context": model.context,
        "defaults": dict(model.defaults),
        "ignored": list(model.ignored),
        "notes": list(model.notes),
    }


def generation_fields(estimate: GenerationEstimate) -> Document:
    """Return the figures of one forecast, rounded, without its coverage and reasons."""
    found: Document = {name: getattr(estimate, name) for name in _AS_THEY_ARE}
    for name in _INTERVALS:
        found |= _interval(name, getattr(estimate, name))
    return found | {
        "request_seconds": rounded(estimate.request_seconds),
        "tokens_per_second": rounded(estimate.tokens_per_second),
        "average_power_watts": rounded(estimate.average_power_watts),
        "memory_bytes": estimate.memory_bytes,
        "origin": estimate.origin,
        "interval_level": estimate.interval_level,
        "interval_guaranteed": estimate.interval_guaranteed,
    }


def generation_row(estimate: GenerationEstimate) -> Document:
    """Return one forecast as a flat row: its figures and the shares that were priced."""
    coverage = estimate.coverage
    shares = {"coverage_flops": rounded(coverage.flops), "coverage_ops": rounded(coverage.ops)}
    return generation_fields(estimate) | shares


def _interval(name: str, figure: Figure) -> Document:
    return {
        name: rounded(figure.value),
        f"{name}_lower": rounded(figure.lower),
        f"{name}_upper": rounded(figure.upper),
    }


def _result(estimate: GenerationEstimate) -> Document:
    coverage = estimate.coverage
    told = {"flops": coverage.flops, "ops": coverage.ops, "unsupported": list(coverage.unsupported)}
    return generation_fields(estimate) | {
        "coverage": told | {"upper_bounds": list(coverage.upper_bounds)},
        "reasons": list(estimate.reasons),
    }


def _layer_rows(estimates: Sequence[GenerationEstimate]) -> list[Document]:
    return [
        {"result": position, "phase": shown.phase} | layer_fields(layer)
        for position, estimate in enumerate(estimates)
        for shown in estimate.phases
        for layer in shown.layers
    ]
