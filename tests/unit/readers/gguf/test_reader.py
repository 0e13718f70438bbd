"""GGUF headers as language models: the same counts as the configuration, bytes as each tensor is stored."""

from __future__ import annotations

import pytest

from joulecast.errors import ModelFormatError, UnsupportedOperatorError
from joulecast.readers import huggingface
from joulecast.readers.gguf import read
from joulecast.readers.gguf.types import BLOCK_TYPES
from joulecast.serving.passes import decode, prefill
from joulecast.serving.rows import rows
from joulecast.sources.facts.gguf import read_header
from joulecast.sources.streams.stream import MemoryStream
from tests import checkpoints

F16, Q8_0, Q4_K, Q6_K, BF16 = 1, 8, 12, 14, 30
CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1024,
    "max_position_embeddings": 2048,
    "dtype": "bfloat16",
}
METADATA = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.embedding_length": 256,
    "llama.feed_forward_length": 512,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 2048,
}
SHAPES = {
    "attn_q": (256, 256), "attn_k": (256, 64), "attn_v": (256, 64), "attn_output": (256, 256),
    "ffn_gate": (256, 512), "ffn_up": (256, 512), "ffn_down": (512, 256),
}  # fmt: skip


def tensors(kind, *, layers=2, output=True, **other):
    """Return tensors of one type; ``other``: the type of some by their short name."""
    found = {"token_embd.weight": (kind, (256, 1024)), "output_norm.weight": (0, (256,))}
    if output:
        found["output.weight"] = (other.get("output", kind), (256, 1024))
    for layer in range(layers):
        found[f"blk.{layer}.attn_norm.weight"] = (0, (256,))
        found |= {f"blk.{layer}.{name}.weight": (other.get(name, kind), shape) for name, shape in SHAPES.items()}
    return found


def model_of(metadata, stored):
    return read(read_header(MemoryStream(checkpoints.gguf(metadata, stored)), "model.gguf"))


def counted(model, run):
    return [(row.name, row.op_type, row.macs, row.params) for row in rows(model, run)]


@pytest.mark.parametrize("run", [prefill(2, 16), decode(3, 64)], ids=["prefill", "decode"])
def test_a_header_gives_the_rows_of_its_configuration(run):
    expected = huggingface.read(CONFIG)
    assert counted(model_of(METADATA, tensors(BF16)), run) == counted(expected, run)
    plain = model_of(METADATA, tensors(BF16))
    assert [row.bytes_moved for row in rows(plain, run)] == [row.bytes_moved for row in rows(expected, run)]
    assert counted(model_of(METADATA, tensors(Q4_K)), run) == counted(expected, run)


def test_weights_count_with_the_bits_of_their_type():
    stored = tensors(Q4_K, attn_v=Q6_K, ffn_down=Q8_0)
    found = {row.name: row for row in rows(model_of(METADATA, stored), decode(1, 1))}
    merged = found["model.layers.1.self_attn.qkv_proj"]
    weights = (256 * 256 + 256 * 64) * 4.5 + 256 * 64 * 6.5625
    assert merged.bytes_moved == pytest.approx(weights / 8 + 2 * (256 + 384), abs=1)
    down = found["model.layers.1.mlp.down_proj"]
    assert down.bytes_moved == pytest.approx(512 * 256 * 8.5 / 8 + 2 * (512 + 256), abs=1)
    assert merged.dtype == down.dtype == "float16"


def test_a_head_without_a_tensor_of_its_own_is_the_embedding():
    tied = model_of(METADATA, tensors(Q8_0, output=False))
    assert tied.decoder.head is not None
    assert tied.decoder.head.tied
    assert tied.storage_of("lm_head").bits == 8.5


def test_biases_are_told_by_their_tensors():
    stored = tensors(F16) | {f"blk.0.attn_{name}.bias": (0, (256,)) for name in "qkv"}
    assert sum(row.params for row in rows(model_of(METADATA, stored), prefill(1, 1))) > sum(
        row.params for row in rows(model_of(METADATA, tensors(F16)), prefill(1, 1))
    )


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3"])
def test_other_architectures_are_read_by_their_own_keys(architecture):
    metadata = {key.replace("llama.", f"{architecture}."): value for key, value in METADATA.items()}
    metadata["general.architecture"] = architecture
    expected = huggingface.read(CONFIG | {"model_type": architecture, "head_dim": 32})
    assert counted(
        model_of(metadata | {f"{architecture}.attention.key_length": 32}, tensors(F16)), prefill(1, 4)
    ) == counted(expected, prefill(1, 4))


@pytest.mark.parametrize(
    ("metadata", "stored", "said"),
    [
        ({"general.architecture": "rwkv7"}, {}, "of architecture 'rwkv7' is not read"),
        ({}, {}, "of architecture 'None'"),
        ({"general.architecture": [1]}, {}, "is not read"),
        (METADATA | {"llama.attention.head_count_kv": [2, 4]}, None, "differs from layer to layer"),
        (METADATA, {"blk.0.attn_q.weight": (99, (256, 256))}, "has type 99, which is not known"),
    ],
)
def test_what_is_not_known_is_refused_by_name(metadata, stored, said):
    with pytest.raises(UnsupportedOperatorError) as error:
        model_of(metadata, tensors(F16) | (stored or {}))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("metadata", "stored", "said"),
    [
        (METADATA, {}, "has no tensor token_embd.weight"),
        (
            {key: value for key, value in METADATA.items() if "head_count" not in key} | {"llama.block_count": 0},
            tensors(F16),
            "num_hidden_layers",
        ),
    ],
)
def test_headers_that_contradict_themselves_are_refused(metadata, stored, said):
    with pytest.raises(ModelFormatError) as error:
        model_of(metadata, stored)
    assert said in str(error.value)


def test_every_type_of_ggml_has_its_bits():
    assert {kind.name: kind.bits for kind in BLOCK_TYPES.values()}["Q6_K"] == 6.5625
    assert all(1.5 < kind.bits <= 64 for kind in BLOCK_TYPES.values())
