"""A configuration as a language model: the way from ``config.json`` to blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from joulecast.blocks import (
    Attention,
    Experts,
    FeedForward,
    LanguageModel,
    LatentAttention,
    Layer,
    Mixer,
    Stack,
    inside,
)
from joulecast.errors import ModelFormatError
from joulecast.printable import bounded
from joulecast.readers.huggingface.chosen import Chosen, chosen
from joulecast.readers.huggingface.configuration import Configuration
from joulecast.readers.huggingface.decoder import decoder
from joulecast.readers.huggingface.known import general_keys
from joulecast.readers.huggingface.quantisation import storage
from joulecast.readers.huggingface.tasks import task

_DTYPES = ("bfloat16", "float16", "float32")

_UNSAID_DTYPE = "bfloat16"
"""Where no dtype is named, transformers takes float32, and vLLM (``--dtype auto``) runs float32 as bfloat16."""

_WITHOUT_COUNT = frozenset({
    "_name_or_path", "architectures", "auto_map", "model_type", "quantization_config", "compression_config",
    "tokenizer_class", "torch_dtype", "torchscript", "transformers.js_config", "rope_theta", "rope_scaling",
    "num_labels", "use_bfloat16", "use_flash_attn", "_attn_implementation", "attn_implementation",
    "_attn_implementation_autoset", "unsloth_version", "unsloth_fixed", "_commit_hash", "gradient_checkpointing",
    "task_specific_params", "language", "license", "prefix", "output_attentions", "use_cache", "pad_token_id",
    "bos_token_id", "eos_token_id", "sep_token_id", "decoder_start_token_id", "cls_token_id", "mask_token_id",
    "is_decoder", "initializer_range", "attention_dropout", "hidden_dropout",
})  # fmt: skip
"""Keys of published files that change no count and that not every class has as a field."""


def read(config: Mapping[str, Any], *, architecture: str | None = None) -> LanguageModel:
    """Return what ``config`` (the object of a ``config.json``) describes.

    ``architecture``: the model type to read it as, in place of the one that it names; for models with code of their
    own that are built like a known one.

    Raises UnsupportedOperatorError (``UnknownArchitecture``) for a model type without an entry, ModelFormatError for a
    value that no such model can have.
    """
    found = chosen(config, architecture)
    text, entry = found.text, found.entry
    job = task(found)
    dtype = _dtype(found)
    model = LanguageModel(
        model_type=text.model_type,
        architecture=job.architecture,
        decoder=decoder(text, entry, job),
        dtype=dtype,
        storage=storage({}, dtype, ())[0],
        context=text.optional_count("max_position_embeddings"),
        notes=found.notes,
    )
    own, otherwise = storage(config, dtype, tuple(products(model)))
    return replace(
        model,
        storage=own,
        stored_otherwise=otherwise,
        defaults=dict(sorted(text.taken.items())),
        ignored=_ignored(text, entry.uncounted),
    )


def _dtype(found: Chosen) -> str:
    for config in (found.text, found.whole):
        for key in ("dtype", "torch_dtype"):
            if config.has(key):
                name = config.text(key).removeprefix("torch.")
                if name in _DTYPES:
                    return name
                raise ModelFormatError(
                    f"{config.prefix}{key} of config.json is {bounded(name, 40)!r}: give one of {', '.join(_DTYPES)}"
                )
    found.text.taken["dtype"] = _UNSAID_DTYPE
    return _UNSAID_DTYPE


def _ignored(config: Configuration, uncounted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys that nothing reads and that the class of transformers does not know either.

    A key that is set to false or null asks for nothing.
    """
    known = {*config.known.defaults, *config.known.names, *general_keys(), *_WITHOUT_COUNT, *uncounted, *config.used}
    asked = (key for key, value in config.values.items() if value is not None and value is not False)
    return tuple(sorted(config.prefix + key for key in asked if key not in known))


def products(model: LanguageModel) -> Iterator[str]:
    """Yield the paths of all modules whose weights are multiplied, as published files name them."""
    for stack in (model.encoder, model.decoder):
        if stack is not None:
            for number, layer in enumerate(stack.each_layer()):
                yield from _of_layer(layer, layer.path.format(number))
            yield from _of_head(stack)


def _of_layer(layer: Layer, path: str) -> Iterator[str]:
    for mixer in layer.mixers:
        yield from (f"{inside(path, mixer.path)}.{name}" for name in _of_mixer(mixer))
    block = layer.feed_forward
    if block is not None:
        yield from (f"{inside(path, block.path)}{name}" for name in _of_block(block))


def _of_mixer(mixer: Mixer) -> Iterator[str]:
    """Yield the products of a mixer, by their paths in it."""
    if isinstance(mixer, Attention):
        yield from mixer.projections
    elif isinstance(mixer, LatentAttention):
        yield from ("q_proj",) if mixer.query_rank is None else ("q_a_proj", "q_b_proj")
        yield from ("kv_a_proj_with_mqa", "kv_b_proj", "o_proj")
        if mixer.indexer is not None and not mixer.indexer.reused:
            yield from ("indexer.wq_b", "indexer.wk", "indexer.weights_proj")
    else:
        yield from (*mixer.projections, *mixer.gates, "out_proj")
        if mixer.kind == "mamba":
            yield from ("x_proj", "dt_proj")


def _of_block(block: FeedForward | Experts) -> Iterator[str]:
    """Yield the products of a feed-forward block, by their paths in it; experts share a path without a number."""
    if isinstance(block, FeedForward):
        yield from (f".{name}" for name in block.projections)
        return
    yield f".{block.router}"
    for each in (block.expert, block.shared):
        if each is not None:
            yield from (f".{each.path}.{name}" for name in each.projections)
    if block.shared is not None and block.shared_gate:
        yield f".{block.shared.path}_gate"


def _of_head(stack: Stack) -> Iterator[str]:
    if stack.head is not None:
        yield stack.head.path
