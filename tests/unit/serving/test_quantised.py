"""Published quantised models: bytes on the card and of a step, and what each card multiplies in."""

from __future__ import annotations

import math

import pytest

from joulecast.blocks import LanguageModel
from joulecast.errors import NotCalibratedError
from joulecast.readers.huggingface import read
from joulecast.serving.execution import executed_on
from joulecast.serving.memory import weight_bytes
from joulecast.serving.parameters import parameters
from joulecast.serving.passes import decode
from joulecast.serving.rows import rows
from tests.models.served import CASES, MIXTURES
from tests.unit.readers.huggingface.test_quantisation import (
    AWQ,
    FP8_BLOCKS,
    GPT_OSS,
    GPTQ,
    NVFP4,
    W4A16,
    W8A8_FLOAT,
    W8A8_INT,
)

PUBLISHED = {case.origin: case.published for case in (*CASES, *MIXTURES) if case.origin}
LLAMA_70B = PUBLISHED["meta-llama/Meta-Llama-3-8B"] | {
    "hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64, "num_hidden_layers": 80,
}  # fmt: skip
LLAMA_PRODUCTS = 80 * (2 * 8192 * 8192 + 2 * 8192 * 1024 + 3 * 8192 * 28672)
LLAMA_HEAD = 128256 * 8192
LLAMA_NORMS = 161 * 8192
NF4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
ALL_LAYERS = {"exclude_modules": ["lm_head"]}

METHODS = {
    "GPTQ": (GPTQ, 4 + 20 / 128),
    "AWQ": (AWQ, 4 + 20 / 128),
    "fp8": (FP8_BLOCKS, 8 + 32 / 16384),
    "nvfp4": (NVFP4 | ALL_LAYERS, 4.5),
    "W8A8, int8": (W8A8_INT, 8),
    "W8A8, fp8": (W8A8_FLOAT, 8),
    "W4A16": (W4A16, 4.125),
    "nf4": (NF4, 4.5),
}
by_method = pytest.mark.parametrize("method", METHODS)


def quantised(config: dict[str, object], quantisation: dict[str, object]) -> LanguageModel:
    return read({**config, "quantization_config": quantisation})


@by_method
def test_llama_70b_takes_the_bytes_of_its_files(method: str) -> None:
    quantisation, bits = METHODS[method]
    model = quantised(LLAMA_70B, quantisation)
    assert parameters(model) == LLAMA_PRODUCTS + 2 * LLAMA_HEAD + LLAMA_NORMS == 70_553_706_496
    expected = LLAMA_PRODUCTS * bits / 8 + 2 * (2 * LLAMA_HEAD + LLAMA_NORMS)
    assert weight_bytes(model) == math.ceil(expected)


@by_method
def test_a_step_of_llama_70b_reads_its_weights_once(method: str) -> None:
    quantisation, bits = METHODS[method]
    read_bytes = sum(row.bytes_moved for row in rows(quantised(LLAMA_70B, quantisation), decode(1, 1)))
    weights = LLAMA_PRODUCTS * bits / 8 + 2 * (LLAMA_HEAD + LLAMA_NORMS)
    assert weights < read_bytes < weights + 60e6  # of activations


def test_gpt_oss_takes_the_bytes_of_its_files() -> None:
    """The index of openai/gpt-oss-120b states 65,248,815,744 bytes."""
    assert weight_bytes(quantised(PUBLISHED["openai/gpt-oss-120b"], GPT_OSS)) == 65_248_815_744


def test_deepseek_v3_takes_eight_bits_but_for_tables_norms_and_routers() -> None:
    model = quantised(PUBLISHED["deepseek-ai/DeepSeek-V3"], FP8_BLOCKS)
    routers, tables = 58 * 256 * 7168, 2 * 129280 * 7168
    norms = 61 * (2 * 7168 + 1536 + 512) + 7168
    kept = routers + tables + norms
    unpacked = 61 * 128 * (128 + 128) * 512
    expected = (parameters(model) - kept) * (8 + 32 / 16384) / 8 + 2 * (kept + unpacked)
    assert weight_bytes(model) == math.ceil(expected)


EXECUTED = {
    # method: what an A100, an H100, a B200 and a V100 multiply the products of a layer in; None where no engine runs it
    "GPTQ": ("bfloat16", "bfloat16", "bfloat16", None),
    "AWQ": ("bfloat16", "bfloat16", "bfloat16", None),
    "fp8": ("bfloat16", "float8", "float8", None),
    "nvfp4": ("bfloat16", "bfloat16", "float4", None),
    "W8A8, int8": ("int8", "int8", None, None),
    "W8A8, fp8": ("bfloat16", "float8", "float8", None),
    "W4A16": ("bfloat16", "bfloat16", "bfloat16", None),
    "nf4": ("bfloat16", "bfloat16", "bfloat16", None),
}


@by_method
def test_each_card_multiplies_in_what_it_has(method: str) -> None:
    quantisation, _ = METHODS[method]
    model = quantised(LLAMA_70B, quantisation)
    for family, expected in zip(("Ampere", "Hopper", "Blackwell", "Volta"), EXECUTED[method], strict=True):
        if expected is None:
            with pytest.raises(NotCalibratedError, match="engines do not run") as error:
                executed_on(model, architecture=family, product="the card")
            assert error.value.reason == "UnsupportedOnAccelerator"
            continue
        run = executed_on(model, architecture=family, product="the card")
        found = {row.dtype for row in rows(run, decode(1, 1)) if row.op_type == "Gemm" and "layers" in row.name}
        assert found == {expected}


def test_what_is_left_out_runs_in_sixteen_bits_beside_the_rest() -> None:
    model = quantised(PUBLISHED["Qwen/Qwen2-57B-A14B"], W8A8_FLOAT | {"ignore": ["lm_head", "re:.*self_attn.*"]})
    run = executed_on(model, architecture="Hopper", product="the card")
    found = {row.name: row.dtype for row in rows(run, decode(8, 10)) if row.op_type in ("Gemm", "GroupedGemm")}
    own = "model.layers.27."
    assert found[f"{own}mlp.experts.gate_up_proj"] == found[f"{own}mlp.shared_expert.down_proj"] == "float8"
    for name in ("self_attn.qkv_proj", "mlp.gate", "mlp.shared_expert_gate"):
        assert found[own + name] == "bfloat16"
