from __future__ import annotations

import pytest
import torch

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.loads.precision import arithmetic, built_dtype, in_precision
from tests.unit.joulecast_calibration.measure.loads import calls


def switches() -> tuple[object, ...]:
    return (
        torch.get_float32_matmul_precision(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
        torch.backends.cuda.matmul.fp32_precision,
        torch.backends.mkldnn.matmul.fp32_precision,
        torch.backends.cudnn.conv.fp32_precision,
    )


@pytest.mark.parametrize("precision", ["default", "bf16", "fp16"])
def test_torchs_own_switches_are_not_touched(precision: str) -> None:
    before = switches()
    with arithmetic(precision):
        assert switches() == before
        assert before[:4] == ("highest", False, True, False)


def test_tf32_lets_products_use_it_and_puts_it_back() -> None:
    before = switches()
    with pytest.raises(ValueError, match="inside"), arithmetic("tf32"):
        assert torch.backends.cuda.matmul.allow_tf32
        raise ValueError("inside")
    assert switches() == before


def test_a_call_is_converted_where_it_is_float32() -> None:
    call = next(call for call in calls.text() if "embedding" in call.function)
    converted = in_precision(call, "fp16")
    assert [spec.dtype for spec in converted.tensors] == ["float16", "int64"]
    assert [spec.dtype for spec in converted.outputs] == ["float16"]
    assert in_precision(call, "tf32") == call


def test_names() -> None:
    assert [built_dtype(name) for name in ("default", "tf32", "bf16", "fp16")] == [
        "float32", "float32", "bfloat16", "float16",
    ]  # fmt: skip
    with pytest.raises(MeasurementError, match="'int8'"), arithmetic("int8"):
        pass
