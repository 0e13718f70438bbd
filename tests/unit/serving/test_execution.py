"""Which arithmetic a card multiplies stored weights in."""

from __future__ import annotations

import pytest

from joulecast.blocks import LanguageModel, Stack, Storage
from joulecast.errors import NotCalibratedError
from joulecast.serving.execution import executed_on

FP8 = Storage(dtype="float8", bits=8, arithmetic="fp8", method="fp8")
NVFP4 = Storage(dtype="float4", bits=4.5, arithmetic="fp4", method="nvfp4")
INT8 = Storage(dtype="int8", bits=8, arithmetic="int8", method="compressed-int8")
AWQ = Storage(dtype="int4", bits=4.16, arithmetic="fp16", method="awq")
GPTQ = Storage(dtype="int4", bits=4.16, arithmetic="fp16", method="gptq")
MXFP4 = Storage(dtype="int4", bits=4.25, arithmetic="bf16", method="mxfp4")
BF16 = Storage(dtype="bfloat16", bits=16, arithmetic="bf16")


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
