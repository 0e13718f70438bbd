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
from joulecast.readers.huggingface.architectures.entry import Encoder
from joulecast.readers.huggingface.cache import cache_dtype
from joulecast.readers.huggingface.chosen import Chosen, chosen
from joulecast.readers.huggingface.configuration import Configuration
from joulecast.readers.huggingface.known import general_keys
from joulecast.readers.huggingface.quantisation import storage
from joulecast.readers.huggingface.stacks import stacks
from joulecast.readers.huggingface.tasks import task

_DTYPES = ("bfloat16", "float16", "float32")

_UNSAID_DTYPE = "bfloat16"
"""Where no dtype is named, transformers takes float32, and vLLM (``--dtype auto``) runs float32 as bfloat16."""

_WITHOUT_COUNT = frozenset({
    "_name_or_path", "_commit_hash", "architectures", "auto_map", "model_type", "quantization_config",
    "compression_config", "language", "license", "prefix", "task_specific_params", "tokenizer_class", "torch_dtype",
    "torchscript", "transformers.js_config", "unsloth_fixed", "unsloth_version", "use_bfloat16",
    # what is put in and out
    "begin_suppress_tokens", "bos_token_id", "cls_token_id", "decoder_start_token_id", "eos_token_id",
    "forced_bos_token_id", "forced_decoder_ids", "mask_token_id", "n_ctx", "n_positions", "num_labels",
    "output_attentions", "output_past", "pad_token_id", "sep_token_id", "seq_length", "suppress_tokens", "unk_token_id",
    "use_cache",
    # how it was trained
    "attention_dropout", "embd_pdrop", "gradient_checkpointing", "hidden_dropout", "initializer_range", "max_length",
    "tie_weights_",
    # how a text is generated, from before this had a file of its own
    "diversity_penalty", "do_sample", "early_stopping", "length_penalty", "min_length", "no_repeat_ngram_size",
    "num_beam_groups", "num_beams", "num_return_sequences", "repetition_penalty", "temperature", "top_k", "top_p",
    # heads that are not asked for
    "finetuning_task", "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type",
    "summary_use_proj",
    # how the same products are computed, or elementwise work inside a kernel that runs anyway
    "_attn_implementation", "_attn_implementation_autoset", "attention_layers", "attention_softmax_in_fp32",
    "attn_implementation", "bias_dropout_fusion", "cache_implementation", "global_rope_theta", "hidden_act",
    "is_decoder", "layer_norm_eps", "layer_norm_epsilon", "local_rope_theta", "masked_softmax_fusion", "norm_eps",
    "norm_epsilon", "offset_alibi", "reference_compile", "repad_logits_with_grad", "rms_norm_eps",
    "rope_local_base_freq", "rope_scaling", "rope_theta", "rotary_emb_base", "skip_bias_add", "skip_bias_add_qkv",
    "use_flash_attn",
})  # fmt: skip
"""Keys of published files that change no count and that not every class has as a field."""

_SHOWN_CHARACTERS = 80  # of a key; the longest of transformers' own has 56
_MOST_IGNORED = 50  # keys that are listed by name

_USUAL = {"position_embedding_type": "absolute"}
"""Keys that change no count at one value, and may at others."""


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
    both = stacks(text, entry, job)
    model = LanguageModel(
        model_type=text.model_type,
        architecture=job.architecture,
        decoder=both.decoder,
        encoder=both.encoder,
        encoder_tokens=both.encoder_tokens,
        dtype=dtype,
        storage=storage({}, dtype, ())[0],
        generates=job.name == "generation",
        context=_context(found),
        notes=found.notes,
    )
    own, otherwise = storage(config, dtype, tuple(products(model)))
    cached, more = cache_dtype(config)
    return replace(
        model,
        storage=own,
        cache_dtype=cached,
        notes=(*model.notes, *more),
        stored_otherwise=otherwise,
        defaults=dict(sorted(text.taken.items())),
        ignored=_ignored(text, entry.uncounted),
    )


def _context(found: Chosen) -> int | None:
    """Return the longest sequence. The positions of RoBERTa begin after those of padding."""
    unused = found.entry.unused_positions if isinstance(found.entry, Encoder) else 0
    rows = found.text.optional_count("max_position_embeddings", least=unused + 1)
    return None if rows is None else rows - unused


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

    A key that is set to false, 0 or null asks for nothing.
    """
    known = {*config.known.defaults, *config.known.names, *general_keys(), *_WITHOUT_COUNT, *uncounted, *config.used}
    asked = (key for key, value in config.values.items() if value not in (None, False, _USUAL.get(key)))
    found = sorted(bounded(config.prefix + key, _SHOWN_CHARACTERS) for key in asked if key not in known)
    more = (f"and {len(found) - _MOST_IGNORED} more",) if len(found) > _MOST_IGNORED else ()
    return (*found[:_MOST_IGNORED], *more)


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
    """Yield the products of a head, and those that change the width after the embedding and before the head."""
    table, head = stack.embedding, stack.head
    if table is not None and table.projection is not None:
        yield f"{table.path.rpartition('.')[0]}.project_in"
    if head is None:
        return
    if head.projection is not None:
        yield f"{head.path}.project_out"
    if head.transform is not None:
        yield head.transform
    if head.outputs:
        yield head.path
