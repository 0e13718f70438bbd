"""Models that generate by one stack of layers, dense."""

from __future__ import annotations

from dataclasses import replace

from joulecast.readers.huggingface.architectures import rules
from joulecast.readers.huggingface.architectures.entry import Composite, Decoder

LLAMA = Decoder(
    model_type="llama",
    classes="Llama",
    query_bias="attention_bias",
    output_bias="attention_bias",
    mlp_bias="mlp_bias",
)

MISTRAL = Decoder(model_type="mistral", classes="Mistral", windows=rules.one_window)

QWEN2 = Decoder(model_type="qwen2", classes="Qwen2", query_bias=True, windows=rules.window_after)

QWEN3 = replace(
    QWEN2,
    model_type="qwen3",
    classes="Qwen3",
    query_bias="attention_bias",
    output_bias="attention_bias",
    query_norm="head",
)

GEMMA = replace(LLAMA, model_type="gemma", classes="Gemma", mlp_bias=False, bidirectional="use_bidirectional_attention")

GEMMA2 = replace(
    GEMMA,
    model_type="gemma2",
    classes="Gemma2",
    activation="hidden_activation",
    norms=4,
    windows=rules.window_pattern(2),
)

GEMMA3 = replace(
    GEMMA2,
    names={"sliding_window_pattern": "_sliding_window_pattern"},
    model_type="gemma3_text",
    classes=("Gemma3", "Gemma3Text"),
    windows=rules.window_pattern(6),
    query_norm="head",
)

PHI3 = Decoder(
    model_type="phi3",
    classes="Phi3",
    projections=("qkv_proj", "o_proj"),
    mlp_projections=("gate_up_proj", "down_proj"),
    windows=rules.one_window,
)

PHI = Decoder(
    model_type="phi",
    classes="Phi",
    projections=("q_proj", "k_proj", "v_proj", "dense"),
    mlp_projections=("fc1", "fc2"),
    gated=False,
    query_bias=True,
    output_bias=True,
    mlp_bias=True,
    head_bias=True,
    norm="layer",
    norm_bias=True,
    norms=1,
    rotary=("partial_rotary_factor", 0.5),
    refused=("qk_layernorm",),
)

GRANITE = replace(LLAMA, model_type="granite", classes="Granite")

OLMO = Decoder(
    model_type="olmo",
    classes="Olmo",
    query_bias="attention_bias",
    output_bias="attention_bias",
    norm="layer",
    norm_scale=False,
)

OLMO2 = Decoder(
    model_type="olmo2",
    classes="Olmo2",
    query_bias="attention_bias",
    output_bias="attention_bias",
    query_norm="all heads",
)

OLMO3 = replace(OLMO2, model_type="olmo3", classes="Olmo3", windows=rules.window_pattern(4))

STARCODER2 = Decoder(
    model_type="starcoder2",
    classes="Starcoder2",
    mlp_projections=("c_fc", "c_proj"),
    gated=False,
    query_bias="use_bias",
    output_bias="use_bias",
    mlp_bias="use_bias",
    norm="layer",
    norm_bias=True,
    windows=rules.one_window,
)

GPT2 = Decoder(
    model_type="gpt2",
    classes="GPT2",
    usual="LMHeadModel",
    layer="transformer.h.{}",
    embedding="transformer.wte",
    attention="attn",
    projections=("c_attn", "c_proj"),
    mlp_projections=("c_fc", "c_proj"),
    kv_heads=rules.as_many_heads,
    head_size=rules.even_head_size,
    intermediate=rules.four_times("n_inner"),
    gated=False,
    activation="activation_function",
    query_bias=True,
    output_bias=True,
    mlp_bias=True,
    norm="layer",
    norm_bias=True,
    rotary=None,
    positions="max_position_embeddings",
    refused=("add_cross_attention",),
)

GPT_NEO = replace(
    GPT2,
    model_type="gpt_neo",
    classes="GPTNeo",
    usual="ForCausalLM",
    attention="attn.attention",
    projections=("q_proj", "k_proj", "v_proj", "out_proj"),
    intermediate=rules.four_times("intermediate_size"),
    query_bias=False,
    windows=rules.local_attention,
    refused=(),
)

GPT_NEOX = Decoder(
    model_type="gpt_neox",
    classes="GPTNeoX",
    layer="gpt_neox.layers.{}",
    embedding="gpt_neox.embed_in",
    head="embed_out",
    attention="attention",
    projections=("query_key_value", "dense"),
    mlp_projections=("dense_h_to_4h", "dense_4h_to_h"),
    kv_heads=rules.as_many_heads,
    head_size=rules.even_head_size,
    gated=False,
    query_bias="attention_bias",
    output_bias="attention_bias",
    mlp_bias=True,
    norm="layer",
    norm_bias=True,
    rotary=("rotary_pct", 0.25),
)

OPT = replace(
    GPT2,
    model_type="opt",
    classes="OPT",
    usual="ForCausalLM",
    layer="model.decoder.layers.{}",
    embedding="model.decoder.embed_tokens",
    attention="self_attn",
    mlp="",
    projections=("q_proj", "k_proj", "v_proj", "out_proj"),
    mlp_projections=("fc1", "fc2"),
    intermediate="ffn_dim",
    query_bias="enable_bias",
    output_bias="enable_bias",
    mlp_bias="enable_bias",
    norm_scale="layer_norm_elementwise_affine",
    final_norm=rules.opt_final_norm,
    embedding_width="word_embed_proj_dim",
    more_positions=2,
    refused=(),
)

BLOOM = replace(
    GPT_NEOX,
    model_type="bloom",
    classes="Bloom",
    layer="transformer.h.{}",
    embedding="transformer.word_embeddings",
    head="lm_head",
    attention="self_attention",
    intermediate=rules.four_times(),
    activation="",
    query_bias=True,
    output_bias=True,
    embedding_norm=True,
    rotary=None,
    names={"hidden_size": "n_embed"},
)

FALCON = replace(
    BLOOM,
    model_type="falcon",
    classes="Falcon",
    kv_heads=rules.falcon_kv_heads,
    intermediate=rules.four_times("ffn_hidden_size"),
    activation="activation",
    query_bias="bias",
    output_bias="bias",
    mlp_bias="bias",
    norms=rules.falcon_norms,
    embedding_norm=False,
    rotary=("partial_rotary_factor", 1.0),
    alibi="alibi",
)

SMOLLM3 = replace(LLAMA, model_type="smollm3", classes="SmolLM3", refused=("use_sliding_window",))

SEED_OSS = replace(LLAMA, model_type="seed_oss", classes="SeedOss", output_bias="attention_out_bias")

ERNIE4_5 = replace(
    LLAMA,
    model_type="ernie4_5",
    classes="Ernie4_5",
    query_bias="use_bias",
    output_bias="use_bias",
    mlp_bias="use_bias",
)

GLM4 = replace(
    PHI3,
    model_type="glm4",
    classes="Glm4",
    projections=LLAMA.projections,
    query_bias="attention_bias",
    norms=4,
    rotary=("partial_rotary_factor", 0.5),
    windows=rules.no_window,
)

STABLELM = Decoder(
    model_type="stablelm",
    classes="StableLm",
    query_bias="use_qkv_bias",
    norm="layer",
    norm_bias=True,
    norms=rules.stablelm_norms,
    rotary=("partial_rotary_factor", 0.25),
    refused=("qk_layernorm",),
)

COHERE = Decoder(
    model_type="cohere",
    classes="Cohere",
    query_bias="attention_bias",
    output_bias="attention_bias",
    norm="layer",
    norms=1,
    refused=("use_qk_norm",),
)

DECODERS = (
    LLAMA, MISTRAL, QWEN2, QWEN3, GEMMA, GEMMA2, GEMMA3, PHI3, PHI, GRANITE, OLMO, OLMO2, OLMO3, STARCODER2, GPT2,
    GPT_NEO, GPT_NEOX, OPT, BLOOM, FALCON, SMOLLM3, SEED_OSS, ERNIE4_5, GLM4, STABLELM, COHERE,
)  # fmt: skip

COMPOSITES = (
    Composite(model_type="gemma3", classes="Gemma3", text="gemma3_text"),
    Composite(model_type="mistral3", classes="Mistral3", text="mistral"),
)
