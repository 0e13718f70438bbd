"""Which arithmetic a card multiplies stored weights in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast.blocks import Attention, LanguageModel, Stack, Storage
from joulecast.errors import NotCalibratedError
from joulecast.serving.execution import executed_on
from tests.unit.serving import small

FP8 = Storage(dtype="float8", bits=8, arithmetic="fp8", method="fp8")
NVFP4 = Storage(dtype="float4", bits=4.5, arithmetic="fp4", method="nvfp4")
INT8 = Storage(dtype="int8", bits=8, arithmetic="int8", method="compressed-int8")
AWQ = Storage(dtype="int4", bits=4.16, arithmetic="fp16", method="awq")
GPTQ = Storage(dtype="int4", bits=4.16, arithmetic="fp16", method="gptq")
MXFP4 = Storage(dtype="int4", bits=4.25, arithmetic="bf16", method="mxfp4")
BF16 = Storage(dtype="bfloat16", bits=16, arithmetic="bf16")
GROUPED = Attention(path="self_attn", width=64, heads=4, kv_heads=2, head_size=16)


def model(storage, dtype="bfloat16"):
    return LanguageModel(
        model_type="llama",
        architecture="LlamaForCausalLM",
        decoder=Stack(layers=(), width=8),
        dtype=dtype,
        storage=storage,
        stored_otherwise={"lm_head": BF16 if dtype == "bfloat16" else GPTQ},
    )


@pytest.mark.parametrize(
    ("storage", "architecture", "arithmetic"),
    [
        (FP8, "Hopper GH100", "fp8"),
        (FP8, "Ada AD102", "fp8"),
        (FP8, "Ampere GA100", "bf16"),
        (NVFP4, "Blackwell GB100 + Grace", "fp4"),
        (NVFP4, "Hopper GH100", "bf16"),
        (INT8, "Ampere GA100", "int8"),
        (MXFP4, "Hopper GH100", "bf16"),
        (MXFP4, "Blackwell GB100 + Grace", "fp4"),
        (MXFP4, "Blackwell Ultra GB300", "fp4"),
        (MXFP4, "Blackwell GB202", "bf16"),
        (BF16, "Ampere GA100", "bf16"),
        (BF16, "Fermi", "bf16"),
    ],
)
def test_cards_multiply_in_their_own_arithmetic_or_in_sixteen_bits(storage, architecture, arithmetic):
    run = executed_on(model(storage), architecture=architecture, product="CARD")
    assert run.storage.arithmetic == arithmetic
    assert (run.storage.bits, run.storage.method) == (storage.bits, storage.method)
    assert run.stored_otherwise["lm_head"] == BF16


@pytest.mark.parametrize(
    ("storage", "dtype", "architecture", "said"),
    [
        (FP8, "float16", "Volta", "weights stored by fp8 on CARD (Volta), but on Ada, Ampere"),
        (
            INT8,
            "bfloat16",
            "Blackwell GB100",
            "compressed-int8 on CARD (Blackwell), but on Ada, Ampere, Hopper, Turing",
        ),
        (AWQ, "float16", "Volta", "awq on CARD (Volta)"),
        (BF16, "bfloat16", "Turing TU104", "products in bf16 on CARD (Turing)"),
        (FP8, "float16", "", "(unknown architecture)"),
    ],
)
def test_combinations_that_no_engine_runs_are_refused_with_the_reason(storage, dtype, architecture, said):
    with pytest.raises(NotCalibratedError) as error:
        executed_on(model(storage, dtype), architecture=architecture, product="CARD")
    assert said in str(error.value)
    assert error.value.reason == "UnsupportedOnAccelerator"


def test_gptq_runs_on_volta_where_awq_does_not():
    assert executed_on(model(GPTQ, "float16"), architecture="Volta", product="CARD").storage == GPTQ


def with_cache(mixer, dtype):
    return replace(small.model(mixer), cache_dtype=dtype, dtype="float16", storage=GPTQ)


@pytest.mark.parametrize(
    "architecture", ["Turing TU104", "Ampere GA100", "Ada AD102", "Hopper GH100", "Blackwell GB100"]
)
def test_keys_and_values_in_eight_bits_are_unpacked_where_a_card_has_no_such_products(architecture):
    given = with_cache(GROUPED, "float8")
    assert executed_on(given, architecture=architecture, product="CARD").cache_dtype == "float8"


@pytest.mark.parametrize(
    ("mixer", "architecture", "kept"),
    [
        (GROUPED, "Volta", "keys and values"),
        (small.DEEPSEEK_ATTENTION, "Volta", "latents"),
        (small.DEEPSEEK_ATTENTION, "Turing TU104", "latents"),
        (small.DEEPSEEK_ATTENTION, "Ampere GA100", "latents"),
    ],
)
def test_a_cache_that_no_kernel_reads_is_refused(mixer, architecture, kept):
    with pytest.raises(NotCalibratedError, match=rf"{kept} cached in fp8: keep the cache in bf16 or fp16") as error:
        executed_on(with_cache(mixer, "float8"), architecture=architecture, product="CARD")
    assert error.value.reason == "UnsupportedOnAccelerator"
    assert executed_on(with_cache(mixer, None), architecture=architecture, product="CARD").cache_dtype is None


def test_a_latent_in_eight_bits_is_read_from_ada_on():
    given = with_cache(small.DEEPSEEK_ATTENTION, "float8")
    assert executed_on(given, architecture="Ada AD102", product="CARD").cache_dtype == "float8"
