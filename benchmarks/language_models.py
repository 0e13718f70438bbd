"""Configurations of published language models, as their repositories have them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests import checkpoints
from tests.harness import hub
from tests.harness.environment import ROOT

LLAMA_3_70B: Mapping[str, Any] = json.loads((ROOT / "examples" / "Llama-3-70B" / "config.json").read_text())
"""meta-llama/Meta-Llama-3-70B."""

DEEPSEEK_V3: Mapping[str, Any] = {
    "architectures": ["DeepseekV3ForCausalLM"], "attention_bias": False, "first_k_dense_replace": 3,
    "hidden_act": "silu", "hidden_size": 7168, "intermediate_size": 18432, "kv_lora_rank": 512,
    "max_position_embeddings": 163840, "model_type": "deepseek_v3", "moe_intermediate_size": 2048,
    "moe_layer_freq": 1, "n_group": 8, "n_routed_experts": 256, "n_shared_experts": 1, "norm_topk_prob": True,
    "num_attention_heads": 128, "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128,
    "num_nextn_predict_layers": 1, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
    "quantization_config": {
        "activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128],
    },
    "rms_norm_eps": 1e-06, "rope_theta": 10000, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid",
    "tie_word_embeddings": False, "topk_group": 4, "topk_method": "noaux_tc", "torch_dtype": "bfloat16",
    "v_head_dim": 128, "vocab_size": 129280,
}  # fmt: skip
"""deepseek-ai/DeepSeek-V3."""

FILES = 30
"""Of the weights of a model of 140 GB, as they are published."""


def stored() -> dict[str, hub.Content]:
    """Return the files of Llama-3-70B as a hub has them: 141 GB of weights, of which only the headers are not zero."""
    parts = checkpoints.shards(checkpoints.tensors(LLAMA_3_70B), FILES)
    return {
        "config.json": json.dumps(LLAMA_3_70B).encode(),
        "model.safetensors.index.json": checkpoints.index_of(parts),
        **{name: hub.Sparse(*checkpoints.safetensors_header(content)) for name, content in parts.items()},
    }


TOKENS = 512
"""Of the pass that tools count: the input of one request, with the logits of its last token."""

CONFIGURATIONS: Mapping[str, Mapping[str, Any]] = {"Llama-3-70B": LLAMA_3_70B, "DeepSeek-V3": DEEPSEEK_V3}


def llama_macs(config: Mapping[str, Any], tokens: int) -> int:
    """Return the multiply-accumulates of a pass by formula: products of every token, attention, the last logit."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    keys = width // config["num_attention_heads"] * config["num_key_value_heads"]
    layer = 2 * width * width + 2 * width * keys + 3 * width * inner
    return config["num_hidden_layers"] * (tokens * layer + 2 * tokens**2 * width) + width * config["vocab_size"]


def deepseek_macs(config: Mapping[str, Any], tokens: int) -> int:
    """Return the same for multi-head latent attention as a prompt is read, and the experts that a token chooses."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    key, rotary, value = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
    query = config["q_lora_rank"] * (width + heads * (key + rotary))
    latent = config["kv_lora_rank"] * (width + heads * (key + value)) + width * rotary
    products = query + latent + heads * value * width
    attention = tokens * products + tokens**2 * heads * (key + rotary + value)
    dense = 3 * width * config["intermediate_size"]
    run = config["num_experts_per_tok"] + config["n_shared_experts"]
    experts = 3 * width * config["moe_intermediate_size"] * run + width * config["n_routed_experts"]
    first, layers = config["first_k_dense_replace"], config["num_hidden_layers"]
    blocks = tokens * (first * dense + (layers - first) * experts)
    return layers * attention + blocks + width * config["vocab_size"]


EXPECTED_MACS = {
    "Llama-3-70B": llama_macs(LLAMA_3_70B, TOKENS),
    "DeepSeek-V3": deepseek_macs(DEEPSEEK_V3, TOKENS),
}
