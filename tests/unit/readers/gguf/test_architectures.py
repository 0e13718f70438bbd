"""Files as llama.cpp converts each architecture give the counts of the configuration, and every tensor its storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from joulecast.blocks import LanguageModel
from joulecast.errors import ModelFormatError
from joulecast.readers import huggingface
from joulecast.readers.gguf import read
from joulecast.serving.passes import decode, prefill
from joulecast.serving.rows import rows
from joulecast.sources.facts.gguf import read_header
from joulecast.sources.streams.stream import MemoryStream
from tests import checkpoints

F32, Q4_K, Q6_K, BF16 = 0, 12, 14, 30
WIDTH, INNER, WORDS, LAYERS, HEADS, KV_HEADS, SIZE = 256, 512, 1024, 4, 8, 2, 64
Tensors = dict[str, tuple[int, tuple[int, ...]]]

DENSE = {
    "hidden_size": WIDTH, "intermediate_size": INNER, "vocab_size": WORDS, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "max_position_embeddings": 4096,
    "dtype": "bfloat16",
}  # fmt: skip
METADATA = {
    "block_count": LAYERS, "embedding_length": WIDTH, "feed_forward_length": INNER, "attention.head_count": HEADS,
    "attention.head_count_kv": KV_HEADS, "context_length": 4096,
}  # fmt: skip
SIZED = {"head_dim": SIZE}
SIZED_KEYS = {"attention.key_length": SIZE, "attention.value_length": SIZE}
EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 128}
EXPERT_KEYS = {"expert_count": 8, "expert_used_count": 2, "expert_feed_forward_length": 128}

FILES: Mapping[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # what it is: (architecture of the file, keys of config.json, keys of the file)
    "Llama": ("llama", {"model_type": "llama"}, {"rope.dimension_count": 32}),
    "Mistral": ("llama", {"model_type": "mistral", "sliding_window": None}, {}),
    "Mixtral": ("llama", {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2},
                {"expert_count": 8, "expert_used_count": 2}),
    "Qwen2": ("qwen2", {"model_type": "qwen2"}, {}),
    "Qwen3": ("qwen3", {"model_type": "qwen3", **SIZED}, SIZED_KEYS),
    "Qwen2-MoE": ("qwen2moe", {"model_type": "qwen2_moe", **EXPERTS, "shared_expert_intermediate_size": 256},
                  {**EXPERT_KEYS, "expert_shared_feed_forward_length": 256}),
    "Qwen3-MoE": ("qwen3moe", {"model_type": "qwen3_moe", **EXPERTS, **SIZED}, {**EXPERT_KEYS, **SIZED_KEYS}),
    "Gemma": ("gemma", {"model_type": "gemma", **SIZED}, SIZED_KEYS),
    "Gemma 2": ("gemma2", {"model_type": "gemma2", **SIZED, "sliding_window": 128},
                {**SIZED_KEYS, "attention.sliding_window": 128}),
    "Gemma 3": ("gemma3", {"model_type": "gemma3_text", **SIZED, "sliding_window": 128},
                {**SIZED_KEYS, "attention.sliding_window": 128}),
    "Gemma 3, pattern": ("gemma3", {"model_type": "gemma3_text", **SIZED, "sliding_window": 128,
                                    "layer_types": ["sliding_attention", "full_attention"] * 2},
                         {**SIZED_KEYS, "attention.sliding_window": 128,
                          "attention.sliding_window_pattern": [True, False] * 2}),
    "Phi 3": ("phi3", {"model_type": "phi3", "pad_token_id": 0, "partial_rotary_factor": 0.75, "sliding_window": 2047},
              {"rope.dimension_count": 24, "attention.sliding_window": 2047}),
}  # fmt: skip
by_file = pytest.mark.parametrize("name", FILES)


def expected(name: str) -> LanguageModel:
    return huggingface.read({**DENSE, **FILES[name][1]})


def tensors(name: str, kind: int, **other: int) -> Tensors:
    """The tensors of the file, as the converter names them; ``other``: the type of some by their short name."""
    architecture, config, _ = FILES[name]
    found: Tensors = {"token_embd.weight": (kind, (WIDTH, WORDS)), "output_norm.weight": (F32, (WIDTH,))}
    if not architecture.startswith("gemma"):
        found["output.weight"] = (other.get("output", kind), (WIDTH, WORDS))
    for layer in range(LAYERS):
        shapes = _attention(architecture, config.get("head_dim", WIDTH // HEADS)) | _feed_forward(architecture, config)
        for short, shape in shapes.items():
            plain = F32 if short.startswith("ffn_gate_inp") else kind
            found[f"blk.{layer}.{short}.weight"] = (other.get(short, plain), shape)
        if architecture.startswith("qwen2"):
            found |= {f"blk.{layer}.attn_{each}.bias": (F32, (WIDTH,)) for each in "qkv"}
        found[f"blk.{layer}.attn_norm.weight"] = (F32, (WIDTH,))
    return found


def _attention(architecture: str, size: int) -> dict[str, tuple[int, ...]]:
    queries, keys = HEADS * size, KV_HEADS * size
    output = {"attn_output": (queries, WIDTH)}
    if architecture == "phi3":
        return {"attn_qkv": (WIDTH, queries + 2 * keys), **output}
    return {"attn_q": (WIDTH, queries), "attn_k": (WIDTH, keys), "attn_v": (WIDTH, keys), **output}


def _feed_forward(architecture: str, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    if architecture == "phi3":
        return {"ffn_up": (WIDTH, 2 * INNER), "ffn_down": (INNER, WIDTH)}
    count = config.get("num_experts") or config.get("num_local_experts")
    if not count:
        return {"ffn_gate": (WIDTH, INNER), "ffn_up": (WIDTH, INNER), "ffn_down": (INNER, WIDTH)}
    inner, shared = config.get("moe_intermediate_size", INNER), config.get("shared_expert_intermediate_size")
    found: dict[str, tuple[int, ...]] = {
        "ffn_gate_inp": (WIDTH, count), "ffn_gate_exps": (WIDTH, inner, count), "ffn_up_exps": (WIDTH, inner, count),
        "ffn_down_exps": (inner, WIDTH, count),
    }  # fmt: skip
    if shared:
        found |= {
            "ffn_gate_inp_shexp": (WIDTH,), "ffn_gate_shexp": (WIDTH, shared), "ffn_up_shexp": (WIDTH, shared),
            "ffn_down_shexp": (shared, WIDTH),
        }  # fmt: skip
    return found


def model_of(name: str, stored: Tensors) -> LanguageModel:
    architecture, _, keys = FILES[name]
    own = {f"{architecture}.{key}": value for key, value in {**METADATA, **keys}.items()}
    content = checkpoints.gguf({"general.architecture": architecture, **own}, stored)
    return read(read_header(MemoryStream(content), "model.gguf"))


def counted(model: LanguageModel, kind: str) -> list[tuple[Any, ...]]:
    run = prefill(2, 300) if kind == "prefill" else decode(3, 500)
    return [(row.name, row.op_type, row.macs, row.params, row.contractions) for row in rows(model, run)]


@by_file
@pytest.mark.parametrize("kind", ["prefill", "decode"])
@pytest.mark.parametrize("stored", [BF16, Q4_K], ids=["BF16", "Q4_K"])
def test_a_file_counts_as_its_configuration(name: str, kind: str, stored: int) -> None:
    assert counted(model_of(name, tensors(name, stored)), kind) == counted(expected(name), kind)


@by_file
def test_a_file_in_sixteen_bits_moves_the_bytes_of_its_configuration(name: str) -> None:
    plain = tensors(name, BF16, ffn_gate_inp=BF16, ffn_gate_inp_shexp=BF16)
    moved = [row.bytes_moved for row in rows(model_of(name, plain), decode(3, 500))]
    assert moved == [row.bytes_moved for row in rows(expected(name), decode(3, 500))]


@by_file
def test_every_product_is_stored_as_its_tensor(name: str) -> None:
    """Products of attention in 4 bits, those after it in 6, routers in 32."""
    after = {short: Q6_K for short in _feed_forward(*FILES[name][:2]) if "gate_inp" not in short}
    model = model_of(name, tensors(name, Q4_K, **after))
    for path in huggingface.products(model):
        router = path.endswith(("mlp.gate", "block_sparse_moe.gate", "shared_expert_gate"))
        bits = 4.5 if "self_attn" in path or path == "lm_head" else 32 if router else 6.5625
        assert model.storage_of(path).bits == bits, path


@pytest.mark.parametrize(
    ("name", "missing", "said"),
    [
        ("Mixtral", "blk.2.ffn_up_exps.weight", "model.layers.2.block_sparse_moe.experts.w3"),
        ("Llama", "blk.3.attn_q.weight", "model.layers.3.self_attn.q_proj"),
        ("Phi 3", "blk.0.ffn_up.weight", "model.layers.0.mlp.gate_up_proj"),
    ],
)
def test_a_file_without_a_tensor_is_refused(name: str, missing: str, said: str) -> None:
    stored = tensors(name, Q4_K)
    del stored[missing]
    with pytest.raises(ModelFormatError, match="has no tensor of the weights of") as error:
        model_of(name, stored)
    assert said in str(error.value)
