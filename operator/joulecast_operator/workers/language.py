"""Read and price language models in the profiler: one pass, or what they generate behind an inference engine.

The model is read again for each job, which takes milliseconds, so that no profile of it is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from joulecast.api.generation import GenerationEstimate, forecast_generation
from joulecast.api.generation_documents import generation_row
from joulecast.api.language_models import FORMATS, in_cache_precision, in_precision, language_model
from joulecast.api.language_profiles import price_forward, profile_language_model
from joulecast.blocks import LanguageModel
from joulecast.energy.engines.intervals import refuse_limit
from joulecast.energy.model import EnergyEstimate
from joulecast.energy.profile import AcceleratorProfile
from joulecast.errors import NotCalibratedError, WorkloadError
from joulecast.serving.kernels import ENGINES
from joulecast.serving.requests import GenerationRequest
from joulecast.sources import FetchedModel
from joulecast.sources.facts.json_files import parsed_object
from joulecast.sources.facts.model_facts import FORMAT, ModelFacts
from joulecast.workloads import DEFAULT_ENGINE, DEFAULT_INPUT_TOKENS, DEFAULT_PRECISION, DEFAULT_RUNTIME
from joulecast_operator.api import bounds
from joulecast_operator.api.objects import camel
from joulecast_operator.api.workload import CLOCK_FIELD
from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.priced import (
    accelerator_of,
    answer,
    batch_layers,
    batch_result,
    finite,
    finite_batch,
    priced_by_product,
    top_layers,
)
from joulecast_operator.workers.stored_models import CONFIGURATION

FORWARD: Final = "forward"
_LISTED: Final = 5  # keys of a configuration that a message names
_FIELDS: Final = (
    "accelerator", "runtime", "precision", "phase", "concurrency", "input_tokens", "output_tokens", "cached_tokens",
    "parallel", "tokens_per_second", "memory_bytes", "average_power_watts", "interval_level", "origin",
)  # fmt: skip
_REQUEST: Final = ("joules_per_request",)
_INPUT: Final = ("joules_per_input_token", "time_to_first_token_seconds")
_OUTPUT: Final = ("joules_per_output_token", "inter_token_latency_seconds")
_INTERVALS: Final = {
    "prefill": _REQUEST + _INPUT,
    "decode": _REQUEST + _OUTPUT,
    "request": _REQUEST + _INPUT + _OUTPUT,
}
"""The figures with an interval that each phase has."""


def is_language(model_format: str) -> bool:
    """Decide whether a stored model of this format is a language model."""
    return model_format in (*FORMATS, CONFIGURATION)


def refuse_generation(header: Header) -> None:
    """Raise WorkloadError where a generation is requested of a model that is no language model."""
    cached = ["cache_precision"] if header["cache_precision"] != DEFAULT_PRECISION else []
    asked = ", ".join(map(camel, [*header["generation"], *cached]))
    if header["phase"] not in (None, FORWARD) or asked:
        named = asked or f"the phase {header['phase']}"
        raise WorkloadError(
            f"{header['model']['reference']} is a model of format {header['model']['format']}, which has the phase"
            f" forward alone: leave {named} out of spec.workload"
        )
    if header["runtime"] in ENGINES:
        raise WorkloadError(
            f"the runtime {header['runtime']} serves language models, and {header['model']['reference']} is of format"
            f" {header['model']['format']}: leave spec.runtime out, or give a torch or onnxruntime one"
        )


def forecast(header: Header, skeleton: bytes) -> Header:
    """Return the forecasts of a language model on all accelerators. Raises JoulecastError."""
    fetched = facts(FetchedModel(**header["model"], skeleton=skeleton))
    model = model_of(header, fetched)
    is_pass = is_forward(header, model, header["batch_sizes"])
    priced = (_passes if is_pass else _generations)(header, fetched, model)
    return priced | {"unsupported": [], "notes": _notes(model)}


def model_of(header: Header, fetched: FetchedModel) -> LanguageModel:
    """Return the language model of a job. Raises WorkloadError for inputs that are no tokens, and what reading it
    raises."""
    if header["input_shapes"] or header["input_values"]:
        raise WorkloadError(
            f"{fetched.reference} is a language model, whose input is tokens: give spec.workload.inputTokens, and leave"
            " inputShapes and inputValues out"
        )
    return in_cache_precision(language_model(fetched, architecture=header["architecture"]), header["cache_precision"])


def facts(fetched: FetchedModel) -> FetchedModel:
    """Return the facts of a model; those of a configuration alone are made here, from its text."""
    if fetched.format != CONFIGURATION:
        return fetched
    document = ModelFacts(config=parsed_object(fetched.skeleton, fetched.reference)).document()
    return replace(fetched, format=FORMAT, skeleton=document)


def is_forward(header: Header, model: LanguageModel, batch_sizes: Sequence[int | None]) -> bool:
    """Tell whether a job is about one pass: as its phase says, else where batch sizes are given or the model generates
    nothing. ``batch_sizes``: those of the job; None stands for one that is not given."""
    if header["phase"] is not None:
        return bool(header["phase"] == FORWARD)
    return any(size is not None for size in batch_sizes) or not model.generates


def _passes(header: Header, fetched: FetchedModel, model: LanguageModel) -> Header:
    """Forecast one pass for each accelerator and batch size."""
    (tokens, cards), run = shape_of_pass(header, model), in_precision(model, header["precision"])
    profiles = [
        profile_language_model(fetched, run, batch_size=size or 1, tokens=tokens) for size in header["batch_sizes"]
    ]

    def price(product: str) -> list[EnergyEstimate]:
        accelerator, runtime = _accelerator(header, product), engine(header)
        _refuse_limit(header, runtime)
        asked = {"precision": header["precision"], "runtime": runtime, "cards": cards, "clock_mhz": header["clock_mhz"]}
        return [finite_batch(price_forward(each, accelerator, **asked)) for each in profiles]

    estimates, unavailable = priced_by_product(header["accelerators"], price)
    return answer(header, estimates, unavailable, profiles[0].totals, result=_pass_result, layers=batch_layers)


def _pass_result(estimate: EnergyEstimate) -> Header:
    return {"phase": FORWARD, **batch_result(estimate), "parallel": estimate.parallel}


def shape_of_pass(header: Header, model: LanguageModel) -> tuple[int, int]:
    """Return the tokens of each sequence of a pass, and the cards. Raises WorkloadError for other fields."""
    given = {name: value for name, value in header["generation"].items() if name != "batched_tokens"}
    tokens, cards = given.pop("input_tokens", DEFAULT_INPUT_TOKENS), given.pop("tensor_parallel", 1)
    if given:
        raise WorkloadError(
            f"{model.architecture} makes one forward pass here, which takes inputTokens, batchSizes and"
            f" tensorParallel: leave {', '.join(map(camel, given))} out of spec.workload"
        )
    asked = _in_spec({"input_tokens": tokens, "tensor_parallel": cards})
    return asked.input_tokens, asked.tensor_parallel


def _generations(header: Header, fetched: FetchedModel, model: LanguageModel) -> Header:
    """Forecast a generation for each accelerator."""
    asked = request(header)

    def price(product: str) -> Sequence[GenerationEstimate]:
        runtime = engine(header)
        _refuse_limit(header, runtime)
        found = forecast_generation(
            model,
            _accelerator(header, product),
            asked,
            precision=header["precision"],
            runtime=runtime,
            clock_mhz=header["clock_mhz"],
        )
        figures = {name: getattr(found, name) for name in _INTERVALS[asked.phase]}
        finite({name: figure.upper for name, figure in figures.items()}, found.accelerator)
        return [found]

    estimates, unavailable = priced_by_product(header["accelerators"], price)
    first = profile_language_model(fetched, model, batch_size=1, tokens=asked.new_tokens)
    result = partial(_result, header)
    return answer(header, estimates, unavailable, first.totals, result=result, layers=_top_layers)


def request(header: Header) -> GenerationRequest:
    """Return what is asked of a generation. Raises WorkloadError that names the fields of the spec."""
    given: dict[str, Any] = dict(header["generation"])
    if "requests_per_second" in given:
        given["concurrency"] = None
    return _in_spec({"phase": header["phase"] or "request", **given})


def _in_spec(given: dict[str, Any]) -> GenerationRequest:
    """Return the request. Raises WorkloadError that names the fields of the spec."""
    try:
        return GenerationRequest(**given)
    except WorkloadError as error:
        raise WorkloadError(_in_fields(str(error)), reason=error.reason) from error


def _in_fields(message: str) -> str:
    """Replace the names of a GenerationRequest in a message by fields of the spec."""
    for name in GenerationRequest.names():
        if "_" in name:
            message = message.replace(name, f"spec.workload.{camel(name)}")
    return message


def _accelerator(header: Header, product: str) -> AcceleratorProfile:
    """Return the profile of a product: engines have no launch times of their own, so it is that of the default."""
    return accelerator_of(product, DEFAULT_RUNTIME, header["overrides"])


def engine(header: Header) -> str:
    """Return the inference engine of a job. Raises WorkloadError for a runtime that is none."""
    found = header["runtime"] or DEFAULT_ENGINE
    if found not in ENGINES:
        raise WorkloadError(
            f"the runtime {found} does not serve language models by their configuration: leave spec.runtime out, or"
            f" give one of {', '.join(ENGINES)}"
        )
    return str(found)


def _refuse_limit(header: Header, runtime: str) -> None:
    """Raise NotCalibratedError for a power limit, with the field of the spec to give instead."""
    try:
        refuse_limit(runtime, header["power_limit_watts"])
    except NotCalibratedError as error:
        message = str(error).replace("clock_mhz", f"spec.workload.{CLOCK_FIELD}")
        raise NotCalibratedError(message, reason=error.reason) from error


def _result(header: Header, estimate: GenerationEstimate) -> Header:
    row = generation_row(estimate)
    ranged = [f"{name}{end}" for name in _INTERVALS[estimate.phase] for end in ("", "_lower", "_upper")]
    found = {camel(name): row[name] for name in (*_FIELDS, *ranged)}
    return found | {"cachePrecision": header["cache_precision"], "coverage": row["coverage_flops"]}


def _top_layers(estimate: GenerationEstimate) -> list[Header]:
    """Return the layers of the pass that a request has most of: of its decode step, else of its input."""
    shown = estimate.phases[-1]
    return top_layers(shown.layers, sum(layer.joules for layer in shown.layers))


def _notes(model: LanguageModel) -> list[str]:
    """Return what the configuration left open, one clause each."""
    found = [f"read as {model.architecture}", *model.notes]
    if model.defaults:
        found.append(f"taken by default: {_listed(tuple(model.defaults))}")
    if model.ignored:
        found.append(f"keys that nothing reads: {_listed(model.ignored)}")
    return [bounds.text(each) for each in found]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(map(bounds.name, names[:_LISTED])) + (f" and {more} more" if more > 0 else "")
