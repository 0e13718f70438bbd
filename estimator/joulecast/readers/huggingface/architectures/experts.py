"""Models that send tokens to experts, with attention as dense models have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from joulecast.blocks import Attention, Norm
from joulecast.readers.huggingface.architectures import rules
from joulecast.readers.huggingface.architectures.entry import Composite, Decoder
from joulecast.readers.huggingface.architectures.mixture import Mixture, after_dense, numbers, stepped
from joulecast.readers.huggingface.configuration import Configuration

WITHOUT_PREDICTION = "layers that predict several tokens are left out: they run in speculative decoding alone"

MIXTRAL = Decoder(
    model_type="mixtral",
    classes="Mixtral",
    windows=rules.one_window,
    feed_forward=Mixture(
        path="block_sparse_moe",
        projections=("w1", "w3", "w2"),
        count="num_local_experts",
        intermediate="intermediate_size",
    ),
)


def _if_used(config: Configuration, layers: int) -> tuple[int | None, ...]:
    """Return ``sliding_window`` for every layer if ``use_sliding_window``."""
    return rules.one_window(config, layers) if config.flag("use_sliding_window") else (None,) * layers


QWEN2_MOE = Decoder(
    model_type="qwen2_moe",
    classes="Qwen2Moe",
    query_bias="qkv_bias",
    windows=_if_used,
    feed_forward=Mixture(
        shared=lambda config: config.count("shared_expert_intermediate_size"), shared_gate=True, routed=stepped
    ),
)

QWEN3_MOE = Decoder(
    model_type="qwen3_moe",
    classes="Qwen3Moe",
    query_bias="attention_bias",
    output_bias="attention_bias",
    query_norm="head",
    windows=_if_used,
    feed_forward=Mixture(routed=stepped),
    uncounted=("max_window_layers",),
)


OLMOE = Decoder(
    model_type="olmoe",
    classes="Olmoe",
    query_bias="attention_bias",
    output_bias="attention_bias",
    query_norm="all heads",
    feed_forward=Mixture(intermediate="intermediate_size"),
)


def _with_sinks(config: Configuration, number: int, usual: Callable[[], Attention]) -> Attention:
    return replace(usual(), sinks=True)


GPT_OSS = Decoder(
    model_type="gpt_oss",
    classes="GptOss",
    query_bias="attention_bias",
    output_bias="attention_bias",
    windows=rules.window_pattern(2),
    mixer=_with_sinks,
    feed_forward=Mixture(
        router="router",
        projections=("gate_up_proj", "down_proj"),
        count="num_local_experts",
        intermediate="intermediate_size",
        bias=True,
    ),
    uncounted=("experts_per_token", "initial_context_length"),
)


def deepseek_shared(config: Configuration) -> int:
    """Return the width of the shared experts, which run as one block."""
    count = config.optional_count("n_shared_experts", least=0)
    return (count or 0) * config.count("moe_intermediate_size")


DEEPSEEK_EXPERTS = Mixture(
    count="n_routed_experts",
    shared=deepseek_shared,
    shared_path="shared_experts",
    routed=after_dense,
    correction=True,
)

ROUTING = (
    "scoring_func", "topk_method", "moe_layer_freq", "ep_size", "aux_loss_alpha", "seq_aux", "num_nextn_predict_layers",
)  # fmt: skip
"""Keys of DeepSeek's files that steer the choice of experts, training, or layers that predict several tokens."""


def _glm_norms(config: Configuration, number: int, usual: Callable[[], Attention]) -> Attention:
    own = usual()
    normed = Norm(kind="rms", width=own.head_size) if config.flag("use_qk_norm") else None
    return replace(own, query_norm=normed, key_norm=normed)


def _floored_head_size(config: Configuration) -> int:
    """Return ``head_dim``, or the width divided by the heads without its rest where it is left out."""
    own = config.optional_count("head_dim")
    return own if own is not None else max(1, config.count("hidden_size") // config.count("num_attention_heads"))


GLM4_MOE = Decoder(
    model_type="glm4_moe",
    classes="Glm4Moe",
    head_size=_floored_head_size,
    query_bias="attention_bias",
    rotary=("partial_rotary_factor", 0.5),
    mixer=_glm_norms,
    feed_forward=DEEPSEEK_EXPERTS,
    uncounted=ROUTING,
    notes=(WITHOUT_PREDICTION,),
)

MINIMAX_M2 = Decoder(
    model_type="minimax_m2",
    classes="MiniMaxM2",
    query_norm="all heads",
    feed_forward=Mixture(
        path="block_sparse_moe",
        projections=("w1", "w3", "w2"),
        count="num_local_experts",
        intermediate="intermediate_size",
        correction=True,
    ),
    uncounted=(
        "attn_type_list", "layernorm_full_attention_alpha", "layernorm_full_attention_beta",
        "layernorm_linear_attention_alpha", "layernorm_linear_attention_beta", "layernorm_mlp_alpha",
        "layernorm_mlp_beta", "max_model_len", "mtp_transformer_layers", "num_mtp_modules", "postnorm", "qk_norm_type",
        "rotary_dim", "scale_fmt", "scoring_func", "shared_intermediate_size", "shared_moe_mode", "use_mtp",
        "use_qk_norm", "use_routing_bias", "use_grouped_topk", "num_expert_group", "topk_group",
    ),
    notes=(WITHOUT_PREDICTION,),
)  # fmt: skip


def _rotated(config: Configuration, number: int) -> bool:
    """Return whether a layer of Llama 4 rotates queries and keys; those that do attend within chunks."""
    listed = config.list_of("no_rope_layers", int, config.layers()) if config.value("no_rope_layers") else None
    if listed is not None:
        return bool(listed[number])
    return (number + 1) % config.count("no_rope_layer_interval", default=4) != 0


def _chunks(config: Configuration, layers: int) -> tuple[int | None, ...]:
    chunk = config.optional_count("attention_chunk_size")
    return tuple(chunk if _rotated(config, number) else None for number in range(layers))


def _llama4_attention(config: Configuration, number: int, usual: Callable[[], Attention]) -> Attention:
    own = usual()
    if not _rotated(config, number):
        return replace(own, rotary=0)
    normed = Norm(kind="rms", width=own.head_size, scale=False) if config.flag("use_qk_norm") else None
    return replace(own, query_norm=normed, key_norm=normed)


def _interleaved(config: Configuration, number: int) -> bool:
    """Return whether a layer of Llama 4 is among ``moe_layers``, or one in ``interleave_moe_layer_step``."""
    if config.has("moe_layers"):
        return number in numbers(config, "moe_layers")
    return (number + 1) % config.count("interleave_moe_layer_step", default=1) == 0


LLAMA4 = Decoder(
    model_type="llama4_text",
    classes="Llama4",
    mlp="feed_forward",
    intermediate="intermediate_size_mlp",
    query_bias="attention_bias",
    output_bias="attention_bias",
    windows=_chunks,
    mixer=_llama4_attention,
    feed_forward=Mixture(
        path="feed_forward",
        router="router",
        projections=("gate_up_proj", "down_proj"),
        count="num_local_experts",
        intermediate="intermediate_size",
        shared=lambda config: config.count("intermediate_size"),
        routed=_interleaved,
    ),
    uncounted=("for_llm_compressor",),
    notes=("attention within chunks is priced as a window of that many tokens, which is an upper bound",),
)

LLAMA4_COMPOSITE = Composite(model_type="llama4", classes="Llama4", text="llama4_text")

EXPERTS = (MIXTRAL, QWEN2_MOE, QWEN3_MOE, OLMOE, GPT_OSS, GLM4_MOE, MINIMAX_M2, LLAMA4)
COMPOSITES = (LLAMA4_COMPOSITE,)
