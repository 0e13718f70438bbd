"""Models with state spaces, alone or between layers of attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from joulecast.blocks import Attention, Experts, FeedForward, Norm, StateSpace
from joulecast.errors import UnsupportedOperatorError
from joulecast.readers.huggingface.architectures.entry import Composite, Decoder
from joulecast.readers.huggingface.architectures.experts import WITHOUT_PREDICTION
from joulecast.readers.huggingface.architectures.mixture import Mixture, stepped
from joulecast.readers.huggingface.configuration import MOST_LAYERS, Configuration

DELTA_CHUNK = 64
"""Tokens of a chunk of the gated delta rule (flash-linear-attention: ``chunk_gated_delta_rule``)."""

STATE_DTYPES = ("float32", "bfloat16", "float16")

Kind = Literal["recurrent", "attention", "dense", "experts"]


def _no_block(config: Configuration, number: int, usual: Callable[[], FeedForward]) -> None:
    """Return that a layer is its mixer alone."""
    return


def _state_dtype(config: Configuration, key: str) -> str | None:
    """Return the dtype that states are kept in; None for that of activations."""
    named = config.text(key) if config.value(key) is not None else "auto"
    if named == "auto":
        return None
    if named not in STATE_DTYPES:
        raise config.refused(key, f"states are kept in one of {', '.join(STATE_DTYPES)}")
    return named


def _step_rank(config: Configuration, key: str) -> int:
    """Return the width of mamba's time step: the sixteenth part of the hidden width where it is ``auto``."""
    if config.value(key) == "auto":
        return -(-config.count("hidden_size") // 16)
    return config.count(key)


def _mamba(config: Configuration, number: int, usual: Callable[[], Attention]) -> StateSpace:
    width = config.count("hidden_size")
    own = config.optional_count("intermediate_size")
    return StateSpace(
        path="mixer",
        kind="mamba",
        width=width,
        inner=own if own is not None else config.count("expand") * width,
        state=config.count("state_size"),
        convolution=config.count("conv_kernel"),
        step_rank=_step_rank(config, "time_step_rank"),
        bias=config.flag("use_bias"),
        convolution_bias=config.flag("use_conv_bias"),
    )


def _normed_mamba(config: Configuration, number: int, usual: Callable[[], Attention]) -> StateSpace:
    """Return mamba that normalises the inputs of its step, without parameters (Falcon Mamba)."""
    own = _mamba(config, number, usual)
    widths = (own.step_rank, own.state, own.state)
    return replace(own, step_norms=tuple(Norm(kind="rms", width=width, scale=False) for width in widths))


MAMBA = Decoder(
    model_type="mamba",
    classes="Mamba",
    layer="backbone.layers.{}",
    embedding="backbone.embeddings",
    norms=1,
    mixer=_mamba,
    feed_forward=_no_block,
    uncounted=(
        "d_inner", "d_model", "n_layer", "ssm_cfg", "rms_norm", "fused_add_norm", "pad_vocab_size_multiple",
        "intermediate_size", "use_mambapy", "time_step_init_scheme",
    ),
)  # fmt: skip

FALCON_MAMBA = replace(MAMBA, model_type="falcon_mamba", classes="FalconMamba", mixer=_normed_mamba)


def _mamba2(config: Configuration, number: int, usual: Callable[[], Attention]) -> StateSpace:
    width, heads, size = config.count("hidden_size"), config.count("num_heads"), config.count("head_dim")
    if config.count("expand") * width != heads * size:
        raise config.refused("num_heads", f"{heads} heads of {size} are not the width times expand")
    return scan_in_chunks(
        config, heads=heads, size=size, state="state_size", bias="use_bias", path="mixer", state_dtype=None
    )


def scan_in_chunks(
    config: Configuration, *, heads: int, size: int, state: str, bias: str, path: str, state_dtype: str | None
) -> StateSpace:
    groups = config.count("n_groups")
    if heads % groups:
        raise config.refused("n_groups", f"{heads} heads cannot share them evenly")
    return StateSpace(
        path=path,
        kind="mamba2",
        width=config.count("hidden_size"),
        inner=heads * size,
        state=config.count(state),
        convolution=config.count("conv_kernel"),
        heads=heads,
        head_size=size,
        groups=groups,
        bias=config.flag(bias),
        convolution_bias=config.flag("use_conv_bias"),
        norm=Norm(kind="rms", width=heads * size),
        chunk=config.count("chunk_size"),
        state_dtype=state_dtype,
    )


MAMBA2 = replace(
    MAMBA,
    model_type="mamba2",
    classes="Mamba2",
    mixer=_mamba2,
    uncounted=(*MAMBA.uncounted, "norm_before_gate", "rms_norm"),
)


def _delta(config: Configuration, number: int, usual: Callable[[], Attention]) -> Attention | StateSpace:
    """Return gated attention in one layer of four, or as ``layer_types`` say, and the gated delta rule in others."""
    if not _is_linear(config, number):
        return replace(usual(), gated=True)
    heads, keys = config.count("linear_num_value_heads"), config.count("linear_num_key_heads")
    if heads % keys:
        raise config.refused("linear_num_value_heads", f"{keys} key heads cannot share them evenly")
    size = config.count("linear_value_head_dim")
    return StateSpace(
        path="linear_attn",
        kind="gated-delta",
        width=config.count("hidden_size"),
        inner=heads * size,
        state=config.count("linear_key_head_dim"),
        convolution=config.count("linear_conv_kernel_dim"),
        heads=heads,
        head_size=size,
        groups=keys,
        convolution_bias=False,
        norm=Norm(kind="rms", width=size),
        chunk=DELTA_CHUNK,
        projections=("in_proj_qkvz",),
        gates=("in_proj_ba",),
        state_dtype=_state_dtype(config, "mamba_ssm_dtype"),
    )


def _is_linear(config: Configuration, number: int) -> bool:
    types = config.list_of("layer_types", str, config.layers())
    if types is None:
        return (number + 1) % config.count("full_attention_interval", default=4) != 0
    if types[number] not in ("linear_attention", "full_attention"):
        raise config.refused("layer_types", "its layers are linear_attention and full_attention in this family")
    return bool(types[number] == "linear_attention")


def _split_delta(config: Configuration, number: int, usual: Callable[[], Attention]) -> Attention | StateSpace:
    """Return the mixer of Qwen3.5, whose files keep apart what Qwen3-Next merges."""
    own = _delta(config, number, usual)
    if isinstance(own, Attention):
        return own
    return replace(own, projections=("in_proj_qkv", "in_proj_z"), gates=("in_proj_b", "in_proj_a"))


QWEN3_NEXT = Decoder(
    model_type="qwen3_next",
    classes="Qwen3Next",
    query_bias="attention_bias",
    output_bias="attention_bias",
    query_norm="head",
    rotary=("partial_rotary_factor", 0.25),
    mixer=_delta,
    feed_forward=Mixture(
        shared=lambda config: config.count("shared_expert_intermediate_size"), shared_gate=True, routed=stepped
    ),
)

PREDICTION = (
    "mtp_num_hidden_layers", "mtp_use_dedicated_embeddings", "attn_output_gate", "output_gate_type", "mlp_only_layers",
)  # fmt: skip
"""Keys of layers that predict several tokens, and of gates that every layer has."""

QWEN3_5 = replace(
    QWEN3_NEXT,
    model_type="qwen3_5_text",
    classes="Qwen3_5",
    mixer=_split_delta,
    feed_forward=None,
    uncounted=PREDICTION,
    notes=(WITHOUT_PREDICTION,),
)

QWEN3_5_MOE = replace(
    QWEN3_5,
    model_type="qwen3_5_moe_text",
    classes="Qwen3_5Moe",
    feed_forward=Mixture(shared=lambda config: config.count("shared_expert_intermediate_size"), shared_gate=True),
)

_PATTERN: dict[str, Kind] = {"M": "recurrent", "*": "attention", "-": "dense", "E": "experts"}
_BLOCKS: dict[str, Kind] = {
    "mamba": "recurrent",
    "linear_attention": "recurrent",
    "attention": "attention",
    "full_attention": "attention",
    "mlp": "dense",
    "moe": "experts",
}

_USUAL_BLOCKS = ("linear_attention", "moe", "full_attention", "mlp")
"""Of the class, where a configuration names none."""


def _kinds(config: Configuration) -> tuple[Kind, ...]:
    """Return what each layer of Nemotron-H is: a mixer or a feed-forward block, never both."""
    for key, known in (("hybrid_override_pattern", _PATTERN), ("layers_block_type", _BLOCKS)):
        if config.has(key):
            return _listed(config, key, known)
    config.taken["layers_block_type"] = list(_USUAL_BLOCKS)
    return tuple(_BLOCKS[each] for each in _USUAL_BLOCKS)


def _listed(config: Configuration, key: str, known: dict[str, Kind]) -> tuple[Kind, ...]:
    named = config.value(key)
    if not isinstance(named, str | list) or not 0 < len(named) <= MOST_LAYERS:
        raise config.refused(key, f"it names the kind of each of up to {MOST_LAYERS} layers")
    if not all(isinstance(each, str) and each in known for each in named):
        raise config.refused(key, f"the kinds of layers are {', '.join(known)}")
    return tuple(known[each] for each in named)


def _nemotron_mixer(
    config: Configuration, number: int, usual: Callable[[], Attention]
) -> Attention | StateSpace | None:
    kind = _kinds(config)[number]
    if kind == "attention":
        return usual()
    if kind != "recurrent":
        return None
    return scan_in_chunks(
        config,
        heads=config.count("mamba_num_heads"),
        size=config.count("mamba_head_dim"),
        state="ssm_state_size",
        bias="use_bias",
        path="mixer",
        state_dtype=_state_dtype(config, "mamba_ssm_cache_dtype"),
    )


_NEMOTRON_EXPERTS = Mixture(
    path="mixer",
    projections=("up_proj", "down_proj"),
    count="n_routed_experts",
    shared=lambda config: config.count("moe_shared_expert_intermediate_size"),
    shared_path="shared_experts",
    activation="mlp_hidden_act",
    gated=False,
    correction=True,
)


def _nemotron_block(
    config: Configuration, number: int, usual: Callable[[], FeedForward]
) -> FeedForward | Experts | None:
    kind = _kinds(config)[number]
    if kind not in ("dense", "experts"):
        return None
    if kind == "experts" and config.has("moe_latent_size"):
        raise UnsupportedOperatorError(
            "config.json of nemotron_h has moe_latent_size: experts of a compressed width are not known",
            reason="UnknownArchitecture",
        )
    return usual() if kind == "dense" else _NEMOTRON_EXPERTS(config, number, usual)


NEMOTRON_H = Decoder(
    model_type="nemotron_h",
    classes="NemotronH",
    layer="backbone.layers.{}",
    embedding="backbone.embeddings",
    attention="mixer",
    mlp="mixer",
    mlp_projections=("up_proj", "down_proj"),
    gated=False,
    activation="mlp_hidden_act",
    mlp_bias="mlp_bias",
    norms=1,
    rotary=None,
    layers=lambda config: len(_kinds(config)),
    mixer=_nemotron_mixer,
    feed_forward=_nemotron_block,
    uncounted=(
        "attention_head_dim", "num_hidden_layers", "rescale_layer", "sliding_window", "time_step_rank",
        "mamba_proj_bias", "max_cache_len", "partial_rotary_factor", "norm_eps", "residual_in_fp32",
    ),
)  # fmt: skip


def _jamba_mixer(config: Configuration, number: int, usual: Callable[[], Attention]) -> Attention | StateSpace:
    if number % config.count("attn_layer_period") == config.count("attn_layer_offset", least=0):
        return usual()
    width, state, rank = config.count("hidden_size"), config.count("mamba_d_state"), _step_rank(config, "mamba_dt_rank")
    return StateSpace(
        path="mamba",
        kind="mamba",
        width=width,
        inner=config.count("mamba_expand") * width,
        state=state,
        convolution=config.count("mamba_d_conv"),
        step_rank=rank,
        bias=config.flag("mamba_proj_bias"),
        convolution_bias=config.flag("mamba_conv_bias"),
        step_norms=tuple(Norm(kind="rms", width=each) for each in (rank, state, state)),
    )


def _jamba_routed(config: Configuration, number: int) -> bool:
    period, offset = config.count("expert_layer_period"), config.count("expert_layer_offset", least=0)
    return config.count("num_experts") > 1 and number % period == offset


JAMBA = Decoder(
    model_type="jamba",
    classes="Jamba",
    mlp="feed_forward",
    rotary=None,
    mixer=_jamba_mixer,
    feed_forward=Mixture(path="feed_forward", router="router", intermediate="intermediate_size", routed=_jamba_routed),
    uncounted=("mamba_inner_layernorms", "num_logits_to_keep", "use_mamba_kernels", "sliding_window"),
)

RECURRENT = (MAMBA, FALCON_MAMBA, MAMBA2, QWEN3_NEXT, QWEN3_5, QWEN3_5_MOE, NEMOTRON_H, JAMBA)

COMPOSITES = tuple(
    Composite(
        model_type=entry.model_type.removesuffix("_text"),
        classes=entry.classes,
        text=entry.model_type,
        modules="model.language_model",
        head="lm_head",
    )
    for entry in (QWEN3_5, QWEN3_5_MOE)
)
