"""A GGUF header as a language model: the same blocks as the configuration that it was converted from.

Metadata keys become those of a ``config.json``, which the reader of configurations takes; what keys do not say (biases,
a tied head, the vocabulary) the tensors do. Keys: ggml, docs/gguf.md; names of tensors: gguf-py, constants.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeGuard

from joulecast.blocks import Storage
from joulecast.errors import ModelFormatError, UnsupportedOperatorError
from joulecast.printable import bounded
from joulecast.readers.gguf.types import BLOCK_TYPES, PLAIN, BlockType
from joulecast.readers.huggingface import products
from joulecast.readers.huggingface import reader as configurations

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel
    from joulecast.sources.facts.gguf import GgufFacts, GgufTensor

MODEL_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "llama": "llama",
        "qwen2": "qwen2",
        "qwen2moe": "qwen2_moe",
        "qwen3": "qwen3",
        "qwen3moe": "qwen3_moe",
        "gemma": "gemma",
        "gemma2": "gemma2",
        "gemma3": "gemma3_text",
        "phi3": "phi3",
    }
)
"""``general.architecture`` of files that are read, and the model type of configurations. Mistral's and Mixtral's files
say ``llama``."""

_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "block_count": "num_hidden_layers",
        "embedding_length": "hidden_size",
        "feed_forward_length": "intermediate_size",
        "attention.head_count": "num_attention_heads",
        "attention.head_count_kv": "num_key_value_heads",
        "attention.key_length": "head_dim",
        "attention.sliding_window": "sliding_window",
        "context_length": "max_position_embeddings",
        "expert_count": "num_experts",
        "expert_used_count": "num_experts_per_tok",
        "expert_feed_forward_length": "moe_intermediate_size",
        "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
    }
)
_MIXTRAL_KEYS = MappingProxyType({"num_experts": "num_local_experts"})

_MODULES: Mapping[str, str] = MappingProxyType(
    {
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_qkv": "self_attn.qkv_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
        "ffn_gate_inp": "mlp.gate",
        "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
        "ffn_gate_exps": "mlp.experts.gate_proj",
        "ffn_up_exps": "mlp.experts.up_proj",
        "ffn_down_exps": "mlp.experts.down_proj",
        "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
        "ffn_up_shexp": "mlp.shared_expert.up_proj",
        "ffn_down_shexp": "mlp.shared_expert.down_proj",
    }
)
_MERGED = (("attn_q", "attn_k", "attn_v"), ("ffn_gate", "ffn_up"), ("ffn_gate_exps", "ffn_up_exps"),
           ("ffn_gate_shexp", "ffn_up_shexp"))  # fmt: skip
"""Tensors whose products engines run as one: they count with the bits that all of them have in the mean."""
_RENAMED: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "mixtral": (
            (".mlp.", ".block_sparse_moe."),
            (".experts.gate_proj", ".experts.w1"),
            (".experts.up_proj", ".experts.w3"),
            (".experts.down_proj", ".experts.w2"),
        ),
        "phi3": ((".up_proj", ".gate_up_proj"),),  # the converter stores the merged product as ffn_up
    }
)
"""Parts of the paths of modules that a model type calls otherwise."""
_LAYER = re.compile(r"blk\.(\d{1,5})\.([a-z_]+)\.weight", re.ASCII)
_EMBEDDING, _OUTPUT = "token_embd.weight", "output.weight"


def read(facts: GgufFacts) -> LanguageModel:
    """Return the model that the header describes.

    Raises UnsupportedOperatorError for an architecture or a tensor type that is not known, ModelFormatError for a
    header that contradicts itself or that lacks a key.
    """
    name = facts.metadata.get("general.architecture")
    model_type = MODEL_TYPES.get(name) if isinstance(name, str) else None
    if model_type is None or not isinstance(name, str):
        raise UnsupportedOperatorError(
            f"a GGUF file of architecture {bounded(str(name), 40)!r} is not read: give one of {', '.join(MODEL_TYPES)},"
            " or the folder that it was converted from",
            reason="UnknownArchitecture",
        )
    model = configurations.read(_configuration(facts, name, model_type))
    return _stored(model, facts)


def _configuration(facts: GgufFacts, name: str, model_type: str) -> dict[str, Any]:
    """Return the header's metadata under the keys of ``config.json``."""
    found = {
        ours: _single(facts.metadata[key], key)
        for theirs, ours in _KEYS.items()
        if (key := f"{name}.{theirs}") in facts.metadata
    }
    if model_type == "llama" and found.get("num_experts"):
        model_type = "mixtral"
        found = {_MIXTRAL_KEYS.get(key, key): value for key, value in found.items()}
    if not found.get("num_experts", 1):
        del found["num_experts"]
    return {
        **found,
        **_windows(facts, name),
        **_rotated(facts, name, found),
        "model_type": model_type,
        "vocab_size": _tensor(facts, _EMBEDDING).shape[-1],
        "tie_word_embeddings": _OUTPUT not in facts.tensors,
        "attention_bias": "blk.0.attn_q.bias" in facts.tensors,
        "dtype": _dtype(facts),
    }


def _windows(facts: GgufFacts, name: str) -> dict[str, Any]:
    """Return which layers have a window: each but the n-th, or one flag a layer."""
    pattern = facts.metadata.get(f"{name}.attention.sliding_window_pattern")
    if pattern is None:
        return {}
    if isinstance(pattern, list | tuple):
        return {"layer_types": ["sliding_attention" if own else "full_attention" for own in pattern]}
    return {"sliding_window_pattern": pattern}


def _rotated(facts: GgufFacts, name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the share of a head that is rotated, where it is not the whole head."""
    rotated = facts.metadata.get(f"{name}.rope.dimension_count")
    width, heads = found.get("hidden_size"), found.get("num_attention_heads")
    if not (_is_count(rotated) and _is_count(width) and _is_count(heads)) or heads > width:
        return {}
    size = found.get("head_dim")
    whole = size if _is_count(size) else width // heads
    return {"partial_rotary_factor": rotated / whole} if rotated < whole else {}


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and value > 0


def _single(value: Any, key: str) -> Any:
    """Return a value that all layers share, out of one value or one a layer."""
    if not isinstance(value, list | tuple):
        return value
    if len(set(value)) == 1:
        return value[0]
    raise UnsupportedOperatorError(
        f"{key} of the GGUF file differs from layer to layer, which is not read: give the folder that it was converted"
        " from",
        reason="UnknownArchitecture",
    )


def _tensor(facts: GgufFacts, name: str) -> GgufTensor:
    found = facts.tensors.get(name)
    if found is None or not found.shape:
        raise ModelFormatError(f"the GGUF file has no tensor {name}: it is damaged, or not a language model")
    return found


def _dtype(facts: GgufFacts) -> str:
    """Return what activations run in: the plain type of the products, else 16 bits, as llama.cpp and vLLM do."""
    kinds = {PLAIN.get(_type_of(tensor, name).name) for name, tensor in facts.tensors.items() if _LAYER.fullmatch(name)}
    plain = kinds - {None, "float32"}
    return str(next(iter(plain))) if len(plain) == 1 and None not in kinds else "float16"


def _type_of(tensor: GgufTensor, name: str) -> BlockType:
    found = BLOCK_TYPES.get(tensor.kind)
    if found is None:
        raise UnsupportedOperatorError(
            f"tensor {bounded(name, 60)} of the GGUF file has type {tensor.kind}, which is not known: convert the model"
            " to a type that llama.cpp publishes",
            reason="UnsupportedQuantisation",
        )
    return found


def _stored(model: LanguageModel, facts: GgufFacts) -> LanguageModel:
    """Return ``model`` with every product stored as its tensor is."""
    found = {
        f"model.layers.{layer}.{_MODULES[tensor]}": _mean(model, facts, layer, _group_of(tensor))
        for layer, tensor in _layer_tensors(facts.tensors)
    }
    found = {_renamed(path, model): storage for path, storage in found.items()}
    if _OUTPUT in facts.tensors:
        found["lm_head"] = _storage(model, [(_OUTPUT, facts.tensors[_OUTPUT])])
    elif _EMBEDDING in facts.tensors:
        found["lm_head"] = _storage(model, [(_EMBEDDING, facts.tensors[_EMBEDDING])])
    missing = next((path for path in products(model) if path not in found), None)
    if missing is not None:
        raise ModelFormatError(
            f"the GGUF file has no tensor of the weights of {missing}: give all parts of the model, converted by a"
            " llama.cpp of 2024 or later"
        )
    return replace(model, stored_otherwise=found)


def _layer_tensors(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    matches = filter(None, map(_LAYER.fullmatch, names))
    return ((match[1], match[2]) for match in matches if match[2] in _MODULES)


def _group_of(tensor: str) -> tuple[str, ...]:
    return next((group for group in _MERGED if tensor in group), (tensor,))


def _mean(model: LanguageModel, facts: GgufFacts, layer: str, group: tuple[str, ...]) -> Storage:
    names = [f"blk.{layer}.{tensor}.weight" for tensor in group]
    return _storage(model, [(name, facts.tensors[name]) for name in names if name in facts.tensors])


def _storage(model: LanguageModel, tensors: Iterable[tuple[str, GgufTensor]]) -> Storage:
    """Return the storage of tensors that are multiplied together: their bits in the mean over elements."""
    sizes = [(math.prod(tensor.shape), _type_of(tensor, name)) for name, tensor in tensors]
    elements = sum(count for count, _ in sizes)
    bits = sum(count * kind.bits for count, kind in sizes) / elements if elements else 0.0
    names = dict.fromkeys(kind.name for _, kind in sizes)
    if len(names) == 1 and next(iter(names)) in PLAIN:
        return replace(model.storage, dtype=PLAIN[next(iter(names))], bits=bits)
    return Storage(dtype="int8", bits=bits, arithmetic=model.storage.arithmetic, method=f"gguf-{'+'.join(names)}")


def _renamed(path: str, model: LanguageModel) -> str:
    """Return the path under which the architecture has the module."""
    for theirs, ours in _RENAMED.get(model.model_type, ()):
        path = path.replace(theirs, ours)
    return path
