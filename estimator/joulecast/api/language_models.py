"""From a reference to a language model: fetched facts as blocks, in the precision asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from joulecast.blocks import LanguageModel, Storage
from joulecast.errors import ModelFormatError, NotCalibratedError, UnsupportedOperatorError, WorkloadError
from joulecast.serving.kernels import ENGINES

if TYPE_CHECKING:
    from joulecast.sources import FetchedModel
    from joulecast.sources.facts.model_facts import ModelFacts

FORMATS = ("huggingface", "gguf")
"""Formats of ``FetchedModel`` that hold a language model."""

_DTYPES: Mapping[str, tuple[str, float]] = MappingProxyType(
    {"bf16": ("bfloat16", 16), "fp16": ("float16", 16), "fp32": ("float32", 32)}
)
_HEADER_DTYPES: Mapping[str, str] = MappingProxyType({"BF16": "bfloat16", "F16": "float16", "F32": "float32"})


def is_language_model(fetched: FetchedModel) -> bool:
    """Decide whether ``fetched`` holds the facts of a language model rather than a graph."""
    return fetched.format in FORMATS


def language_model(fetched: FetchedModel, *, architecture: str | None = None) -> LanguageModel:
    """Return the model that the fetched facts describe. ``architecture``: the model type to read it as.

    Raises ModelFormatError for facts without a configuration or that contradict themselves or the headers,
    UnsupportedOperatorError for an architecture or a quantisation that is not known.
    """
    if fetched.format == "gguf":
        from joulecast.readers import gguf
        from joulecast.sources.facts.gguf import read_document as read_header

        return gguf.read(read_header(fetched.skeleton))
    from joulecast.readers import huggingface
    from joulecast.sources.facts.model_facts import read_document

    facts = read_document(fetched.skeleton)
    try:
        found = huggingface.read(_configuration(facts, fetched.reference), architecture=architecture)
    except UnsupportedOperatorError as error:
        raise _with_way_out(error) from None
    return _as_stored(_held_to_headers(found, facts), facts)


def configuration_of(fetched: FetchedModel) -> Mapping[str, Any]:
    """Return the object of a fetched model's ``config.json``.

    Raises UnsupportedOperatorError for a file without one, such as GGUF, of which torch has no class.
    """
    from joulecast.sources.facts.model_facts import read_document

    if fetched.format == "gguf":
        raise UnsupportedOperatorError(
            f"{fetched.reference} has no config.json, of which a class of transformers would be built: take the runtime"
            " vllm",
            reason="UnknownArchitecture",
        )
    return _configuration(read_document(fetched.skeleton), fetched.reference)


def _with_way_out(error: UnsupportedOperatorError) -> UnsupportedOperatorError:
    """Return the error of an unknown architecture with how to count one pass of its module."""
    from joulecast.readers.huggingface.chosen import UNKNOWN

    if error.reason != UNKNOWN:
        return error
    return UnsupportedOperatorError(
        f"{error}; or build its class of transformers in Python and give the module to joulecast.profile, which counts"
        " one pass as torch runs it (pip install 'joulecast[torch]')",
        reason=UNKNOWN,
    )


def _held_to_headers(model: LanguageModel, facts: ModelFacts) -> LanguageModel:
    """Return ``model`` as the headers of the weights say, where those of all files were read."""
    tensors = {name: tensor for name, tensor in facts.tensors.items() if tensor is not None}
    if facts.known != "all" or not tensors:
        return model
    from joulecast.api.weights.headers import as_stored

    return as_stored(model, tensors)


def _configuration(facts: ModelFacts, name: str) -> Mapping[str, Any]:
    """Return the configuration, with the quantisation that ModelOpt writes into a file of its own."""
    if facts.config is None:
        raise ModelFormatError(f"{name} has tensors and no config.json: give the folder that holds both")
    if facts.quantization is None or facts.config.get("quantization_config"):
        return facts.config
    return {**facts.config, "quantization_config": {"quant_method": "modelopt", **facts.quantization}}


def _as_stored(model: LanguageModel, facts: ModelFacts) -> LanguageModel:
    """Return ``model`` in the dtype of the files, where the configuration says another one."""
    elements: Counter[str] = Counter()
    for tensor in facts.tensors.values():
        if tensor is not None and tensor.dtype in _HEADER_DTYPES:
            elements[_HEADER_DTYPES[tensor.dtype]] += math.prod(tensor.shape)
    stored = max(elements, key=lambda dtype: elements[dtype], default=model.dtype)
    if model.storage.method or stored in (model.dtype, "float32"):
        return model
    precision = next(name for name, (dtype, _) in _DTYPES.items() if dtype == stored)
    note = f"config.json says {model.dtype} and the files hold {stored}: priced in {stored}"
    return replace(in_precision(model, precision), notes=(*model.notes, note))


def require_engine(runtime: str) -> None:
    """Raise NotCalibratedError for a runtime that does not run a language model from its configuration."""
    if runtime not in ENGINES:
        raise NotCalibratedError(
            f"a language model is forecast from its configuration as inference engines run it, and {runtime!r} is none:"
            f" choose one of the runtimes {', '.join(ENGINES)}, or torch-eager of a model that generates"
        )


_CACHE_DTYPES: Mapping[str, str] = MappingProxyType({"bf16": "bfloat16", "fp16": "float16", "fp8": "float8"})
CACHE_PRECISIONS = ("default", *_CACHE_DTYPES)
"""Precisions in which engines keep keys and values; default: as the files say, else that of activations."""


def in_cache_precision(model: LanguageModel, precision: str) -> LanguageModel:
    """Return ``model`` with keys and values cached in ``precision`` (``--kv-cache-dtype`` of vLLM).

    Raises WorkloadError for a precision that engines do not cache in.
    """
    if precision == "default":
        return model
    if precision not in _CACHE_DTYPES:
        raise WorkloadError(f"unknown precision {precision!r} of the cache: give one of {', '.join(CACHE_PRECISIONS)}")
    return replace(model, cache_dtype=_CACHE_DTYPES[precision])


def in_precision(model: LanguageModel, precision: str) -> LanguageModel:
    """Return ``model`` with activations and unquantised weights in ``precision``; ``default`` leaves it as stored.

    Quantised weights stay as they are; those that are unpacked multiply in the new precision.

    Raises WorkloadError for a precision that engines do not serve in.
    """
    if precision == "default":
        return model
    if precision not in _DTYPES:
        raise WorkloadError(
            f"precision {precision!r} is not one that engines serve in: give default, bf16, fp16 or fp32"
        )
    dtype, bits = _DTYPES[precision]

    def converted(storage: Storage) -> Storage:
        if storage.method is None:
            return Storage(dtype=dtype, bits=bits, arithmetic=precision)
        return replace(storage, arithmetic=precision) if storage.arithmetic in _DTYPES else storage

    return replace(
        model,
        dtype=dtype,
        storage=converted(model.storage),
        stored_otherwise={path: converted(storage) for path, storage in model.stored_otherwise.items()},
    )
