"""Matrix products."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import NamingRule, Reading, elementwise, entry


def _linear(reading: Reading) -> None:
    """Add a product with a stored matrix, or of two activations where the model computes the matrix."""
    data, weight, bias = reading.given("input"), reading.given("weight"), reading.name("bias")
    reading.node("Gemm", (data.name, weight.name, *((bias,) if bias else ())), transB=1)


def _matmul(first: str, second: str) -> NamingRule:
    def rule(reading: Reading) -> None:
        reading.node("MatMul", (reading.name(first), reading.name(second)), ready=1)

    return entry(rule, f"{first} {second}")


def _addmm(reading: Reading) -> None:
    """Add a product with a bias over its columns; the addition of a whole matrix is a node of its own."""
    if len(reading.given("self").shape) == 1:
        reading.node("Gemm", (reading.name("mat1"), reading.name("mat2"), reading.name("self")))
    else:
        _summed(reading, "mat1", "mat2")


def _baddbmm(reading: Reading) -> None:
    _summed(reading, "batch1", "batch2")


def _addmv(reading: Reading) -> None:
    _summed(reading, "mat", "vec")


def _summed(reading: Reading, left: str, right: str) -> None:
    """Add ``alpha · left · right + beta · self``, which is one kernel although ONNX has only the parts."""
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


def _addbmm(reading: Reading) -> None:
    """Add ``alpha · Σ batch1 · batch2 + beta · self``."""
    first, output = reading.given("batch1"), reading.output
    products = reading.tensor("products", (first.shape[0], *output.shape), output.dtype)
    total = reading.tensor("total", output.shape, output.dtype)
    reading.node("MatMul", (first.name, reading.name("batch2")), (products,), ready=1, part=1)
    reading.node("ReduceSum", (products,), (total,), axes=(0,), keepdims=0, part=1)
    reading.node("Add", (reading.name("self"), total), joined="MatMul")


def _einsum(reading: Reading) -> None:
    reading.node("Einsum", reading.names("operands"), equation=reading.value("equation"))


def _bilinear(reading: Reading) -> None:
    """Add ``input1 · weight · input2`` for each output feature."""
    inputs = (reading.name("input1"), reading.name("weight"), reading.name("input2"))
    bias, output = reading.name("bias"), reading.output
    if not bias:
        reading.node("Einsum", inputs, equation="...i,oij,...j->...o")
        return
    product = reading.tensor("product", output.shape, output.dtype)
    reading.node("Einsum", inputs, (product,), equation="...i,oij,...j->...o")
    reading.node("Add", (product, bias))


def _distances(reading: Reading) -> None:
    """Add distances of all pairs by one product: each operand takes two more columns, its squares and ones."""
    operands = [reading.given(name) for name in ("x1", "x2")]
    widened = [
        reading.tensor(each, (*spec.shape[:-1], spec.shape[-1] + 2), spec.dtype)
        for each, spec in zip(("left", "right"), operands, strict=True)
    ]
    for spec, wide in zip(operands, widened, strict=True):
        reading.node("Concat", (spec.name,), (wide,), axis=-1)
    *leading, rows, columns = reading.tensors[widened[1]].shape or ()
    turned = reading.tensor("turned", (*leading, columns, rows), operands[1].dtype)
    squares = reading.tensor("squares", reading.output.shape, reading.output.dtype)
    reading.node("Transpose", (widened[1],), (turned,), perm=(*range(len(leading)), len(leading) + 1, len(leading)))
    reading.node("MatMul", (widened[0], turned), (squares,), ready=1)
    reading.node("Sqrt", (squares,))


def _grouped(reading: Reading) -> None:
    """Add rows sorted by expert, each group times its own matrix; other forms are products of batches."""
    left, right = reading.given("self"), reading.given("mat2")
    if len(left.shape) == 2 and len(right.shape) == 3:
        reading.node("Gemm", (left.name, right.name, reading.name("offs")))
    else:
        reading.node("MatMul", (left.name, right.name))


TABLE: Mapping[str, NamingRule] = {
    "torch.nn.functional.linear": entry(_linear, "input weight bias"),
    "torch.nn.functional.bilinear": entry(_bilinear, "input1 input2 weight bias"),
    "torch.matmul": _matmul("input", "other"),
    "torch.einsum": entry(_einsum, "equation operands"),
    "aten._euclidean_dist": entry(_distances, "x1 x2"),
    "aten._int_mm": _matmul("self", "mat2"),
    "aten.mm": _matmul("self", "mat2"),
    "aten.bmm": _matmul("self", "mat2"),
    "aten.mv": _matmul("self", "vec"),
    "aten.dot": _matmul("self", "tensor"),
    "aten.vdot": _matmul("self", "other"),
    "aten._scaled_mm": _matmul("self", "mat2"),
    "aten.addmm": entry(_addmm, "self mat1 mat2"),
    "aten.addmv": entry(_addmv, "self mat vec"),
    "aten.baddbmm": entry(_baddbmm, "self batch1 batch2"),
    "aten.addbmm": entry(_addbmm, "self batch1 batch2"),
    "aten._grouped_mm": entry(_grouped, "self mat2 offs"),
    "aten._scaled_grouped_mm": entry(_grouped, "self mat2 scale_a scale_b offs"),
    **{f"aten.{name}": elementwise("Mul") for name in ("ger", "outer")},
}
