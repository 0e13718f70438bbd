"""Granite 4: layers of Mamba 2 or attention, each with a shared block, and with experts in some sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from joulecast.blocks import Attention, Experts, FeedForward, StateSpace
from joulecast.readers.huggingface.architectures.entry import Decoder
from joulecast.readers.huggingface.architectures.mixture import Mixture
from joulecast.readers.huggingface.architectures.recurrent import scan_in_chunks
from joulecast.readers.huggingface.configuration import Configuration

_MAMBA = ("mamba", "linear_attention")
_ATTENTION = ("attention", "full_attention")
"""Names of the kinds of layers in published files, and in those of transformers 5."""


def _mixer(config: Configuration, number: int, usual: Callable[[], Attention]) -> Attention | StateSpace:
    types = config.list_of("layer_types", str, config.layers())
    if types is not None and types[number] in _ATTENTION:
        return usual() if _rotates(config) else replace(usual(), rotary=0)
    if types is not None and types[number] not in _MAMBA:
        raise config.refused("layer_types", f"the kinds of layers are {', '.join((*_MAMBA, *_ATTENTION))}")
    heads, inner = config.count("mamba_n_heads"), config.count("mamba_expand") * config.count("hidden_size")
    own = config.value("mamba_d_head")
    size = inner // heads if own == "auto" else config.count("mamba_d_head")
    if heads * size != inner:
        raise config.refused("mamba_n_heads", f"{heads} heads of {size} are not the width times mamba_expand")
    return scan_in_chunks(
        config, heads=heads, size=size, state="mamba_d_state", bias="mamba_proj_bias", path="mamba", state_dtype=None
    )


_EXPERTS = Mixture(
    path="",
    router="block_sparse_moe.router.layer",
    expert_path="block_sparse_moe",
    projections=("input_linear", "output_linear"),
    count="num_local_experts",
    intermediate="intermediate_size",
    shared=lambda config: config.count("shared_intermediate_size"),
    shared_path="shared_mlp",
    shared_projections=("input_linear", "output_linear"),
)


def _block(config: Configuration, number: int, usual: Callable[[], FeedForward]) -> FeedForward | Experts:
    """Return the shared block, beside experts where the model has any."""
    return _EXPERTS(config, number, usual) if config.count("num_local_experts", least=0) else usual()


def _rotates(config: Configuration) -> bool:
    """Return whether queries and keys are rotated: published files say ``rope`` or ``nope``."""
    return bool(config.value("position_embedding_type") == "rope")


GRANITE_HYBRID = Decoder(
    model_type="granitemoehybrid",
    classes="GraniteMoeHybrid",
    query_bias="attention_bias",
    output_bias="attention_bias",
    mlp="shared_mlp",
    mlp_projections=("input_linear", "output_linear"),
    intermediate="shared_intermediate_size",
    mixer=_mixer,
    feed_forward=_block,
    names={
        "n_groups": "mamba_n_groups",
        "conv_kernel": "mamba_d_conv",
        "use_conv_bias": "mamba_conv_bias",
        "chunk_size": "mamba_chunk_size",
    },
    uncounted=("normalization_function", "init_method"),
)
