"""Matrix products."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import Entry, Reading, entry


def _linear(reading: Reading) -> None:
    """A product with a stored matrix; with one computed by the model, that of two activations."""
    data, weight, bias = reading.given("input"), reading.given("weight"), reading.name("bias")
    reading.node("Gemm", (data.name, weight.name, *((bias,) if bias else ())), transB=1)


def _matmul(first: str, second: str) -> Entry:
    def rule(reading: Reading) -> None:
        reading.node("MatMul", (reading.name(first), reading.name(second)), ready=1)

    return entry(rule, f"{first} {second}")


def _addmm(reading: Reading) -> None:
    """A product with a bias over its columns; with a whole matrix it is a sum of its own."""
    if len(reading.given("self").shape) == 1:
        reading.node("Gemm", (reading.name("mat1"), reading.name("mat2"), reading.name("self")))
    else:
        _summed(reading, "mat1", "mat2")


def _baddbmm(reading: Reading) -> None:
    _summed(reading, "batch1", "batch2")


def _summed(reading: Reading, left: str, right: str) -> None:
    """``alpha · left · right + beta · self`` in one kernel, for which ONNX has only the parts."""
    shape, dtype, alpha = reading.output.shape, reading.output.dtype, reading.value("alpha", 1)
    result = reading.tensor("product", shape, dtype)
    reading.node("MatMul", (reading.name(left), reading.name(right)), (result,), ready=1, part=1)
    if alpha != 1:
        scaled = reading.tensor("scaled", shape, dtype)
        reading.node("Mul", (result, ""), (scaled,), values={1: alpha}, part=1)
        result = scaled
    if reading.value("beta", 1) != 0:
        reading.node("Add", (reading.name("self"), result), joined="MatMul")
    else:
        reading.node("Identity", (result,), copies=0)


TABLE: Mapping[str, Entry] = {
    "torch.nn.functional.linear": entry(_linear, "input weight bias"),
    "torch.matmul": _matmul("input", "other"),
    "aten.mm": _matmul("self", "mat2"),
    "aten.bmm": _matmul("self", "mat2"),
    "aten.mv": _matmul("self", "vec"),
    "aten.dot": _matmul("self", "tensor"),
    "aten.addmm": entry(_addmm, "self mat1 mat2"),
    "aten.baddbmm": entry(_baddbmm, "self batch1 batch2"),
}
