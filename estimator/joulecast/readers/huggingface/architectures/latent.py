"""Models with latent attention: DeepSeek and those that are built like it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from joulecast.blocks import Attention, Indexer, LatentAttention
from joulecast.readers.huggingface.architectures.entry import Composite, Decoder
from joulecast.readers.huggingface.architectures.experts import DEEPSEEK_EXPERTS, ROUTING, WITHOUT_PREDICTION
from joulecast.readers.huggingface.configuration import Configuration


def latent_attention(config: Configuration, number: int, usual: Callable[[], Attention]) -> LatentAttention:
    """Return the attention of every layer of DeepSeek V2 and V3."""
    return LatentAttention(
        path="self_attn",
        width=config.count("hidden_size"),
        heads=config.count("num_attention_heads"),
        latent=config.count("kv_lora_rank"),
        head_size=config.count("qk_nope_head_dim"),
        rotary_size=config.count("qk_rope_head_dim"),
        value_size=config.count("v_head_dim"),
        query_rank=config.optional_count("q_lora_rank"),
        bias=config.flag("attention_bias"),
    )


def _sparse(config: Configuration, number: int, usual: Callable[[], Attention]) -> LatentAttention:
    """Return attention to the tokens that an indexer chooses (DeepSeek V3.2)."""
    chosen = Indexer(
        heads=config.count("index_n_heads"),
        head_size=config.count("index_head_dim"),
        chosen=config.count("index_topk"),
        rotary=config.count("qk_rope_head_dim"),
    )
    return replace(latent_attention(config, number, usual), indexer=chosen)


def _sometimes_chosen(config: Configuration, number: int, usual: Callable[[], Attention]) -> LatentAttention:
    """Return sparse attention of GLM-5, where some layers take the choice of a layer before them."""
    own = _sparse(config, number, usual)
    if own.indexer is None or _chooses(config, number):
        return own
    return replace(own, indexer=replace(own.indexer, reused=True))


def _chooses(config: Configuration, number: int) -> bool:
    types = config.list_of("indexer_types", str, config.layers())
    if types is not None:
        return bool(types[number] == "full")
    if config.has("index_topk_pattern"):
        pattern = config.text("index_topk_pattern")
        if len(pattern) != config.layers() or set(pattern) - {"F", "S"}:
            raise config.refused("index_topk_pattern", "a layer of this model has F or S there")
        return pattern[number] == "F"
    every = config.count("index_topk_freq", default=1)
    return max(0, number - config.count("index_skip_topk_offset", default=2) + 1) % every == 0


DEEPSEEK_V2 = Decoder(
    model_type="deepseek_v2",
    classes="DeepseekV2",
    mixer=latent_attention,
    feed_forward=replace(DEEPSEEK_EXPERTS, correction=False),
    uncounted=ROUTING,
    refused=("mlp_bias",),
)

DEEPSEEK_V3 = Decoder(
    model_type="deepseek_v3",
    classes="DeepseekV3",
    mixer=latent_attention,
    feed_forward=DEEPSEEK_EXPERTS,
    uncounted=ROUTING,
    notes=(WITHOUT_PREDICTION,),
)
"""V3, R1, V3.1 and, under a model type of its own, Kimi K2."""

DEEPSEEK_V32 = replace(DEEPSEEK_V3, model_type="deepseek_v32", classes="DeepseekV32", mixer=_sparse)

GLM4_LITE = replace(
    DEEPSEEK_V3,
    model_type="glm4_moe_lite",
    classes="Glm4MoeLite",
    uncounted=(*ROUTING, "rope_interleave", "partial_rotary_factor"),
)

GLM5 = replace(
    DEEPSEEK_V32,
    model_type="glm_moe_dsa",
    classes="GlmMoeDsa",
    mixer=_sometimes_chosen,
    uncounted=(*ROUTING, "indexer_rope_interleave", "rope_interleave"),
)

KIMI_K25 = Composite(
    model_type="kimi_k25",
    classes=("KimiK25", "Kimi_K25", "DeepseekV3"),
    text="deepseek_v3",
    left_out="the vision tower",
)

LATENT = (DEEPSEEK_V2, DEEPSEEK_V3, DEEPSEEK_V32, GLM4_LITE, GLM5)
SECOND_NAMES = {"kimi_k2": DEEPSEEK_V3}
"""Model types of files that are built as another type is."""

COMPOSITES = (KIMI_K25,)
