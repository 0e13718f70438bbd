"""Rows of single layers: MACs, parameters, bytes, kernels, sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast.counting import count, coverage, known, totals
from joulecast.counting.contraction import einsum, matmul
from joulecast.errors import InternalInconsistencyError
from joulecast.graph import ModelGraph, Node, Shape, Tensor
from joulecast.layers import LayerProfile


def layer(
    op_type: str,
    inputs: Mapping[str, tuple[Shape, str]],
    outputs: Mapping[str, Shape],
    *,
    dtype: str = "float32",
    repeats: int = 1,
    domain: str = "",
    **attributes: Any,
) -> LayerProfile:
    """The row of one node; ``inputs``: shape and role by name."""
    tensors = {n: Tensor(name=n, dtype=dtype, shape=shape, role=role) for n, (shape, role) in inputs.items()}  # type: ignore[arg-type]
    tensors |= {n: Tensor(name=n, dtype=dtype, shape=shape) for n, shape in outputs.items()}
    node = Node(
        name="layer",
        op_type=op_type,
        domain=domain,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        attributes=attributes,
        repeats=repeats,
    )
    graph = ModelGraph(name="g", nodes=(node,), tensors=tensors, inputs=(), outputs=tuple(outputs), opset=17)
    (row,) = count(graph)
    return row


def conv(weight: Shape, data: Shape, output: Shape, **attributes: Any) -> LayerProfile:
    return layer("Conv", {"x": (data, "input"), "w": (weight, "parameter")}, {"y": output}, **attributes)


def recurrent(op_type: str, features: int, directions: int = 1) -> LayerProfile:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op_type]
    weights: dict[str, tuple[Shape, str]] = {
        "w": ((directions, gates * 128, features), "parameter"),
        "r": ((directions, gates * 128, 128), "parameter"),
    }
    inputs: dict[str, tuple[Shape, str]] = {"x": ((10, 2, features), "input")} | weights
    direction = "bidirectional" if directions == 2 else "forward"
    return layer(op_type, inputs, {"y": (10, directions, 2, 128)}, direction=direction, hidden_size=128)


def test_grouped_convolution() -> None:
    assert conv((32, 4, 3, 3), (1, 16, 32, 32), (1, 32, 32, 32), group=4).macs == 1_179_648


def test_depthwise_convolution() -> None:
    assert conv((16, 1, 3, 3), (1, 16, 32, 32), (1, 16, 32, 32), group=16).macs == 147_456


@pytest.mark.parametrize(("groups", "macs"), [(1, 2_097_152), (4, 524_288)])
def test_transposed_convolution(groups: int, macs: int) -> None:
    inputs = {"x": ((1, 16, 32, 32), "input"), "w": ((16, 8 // groups, 4, 4), "parameter")}
    assert layer("ConvTranspose", inputs, {"y": (1, 8, 64, 64)}, group=groups).macs == macs


def test_two_lstm_layers() -> None:
    assert recurrent("LSTM", 64).macs + recurrent("LSTM", 128).macs == 4_587_520


def test_bidirectional_lstm() -> None:
    assert recurrent("LSTM", 64, directions=2).macs == 3_932_160


def test_gru() -> None:
    assert recurrent("GRU", 64).macs == 1_474_560


def test_batch_first_recurrence_counts_the_same() -> None:
    inputs = {"x": ((2, 10, 64), "input"), "w": ((1, 384, 64), "parameter"), "r": ((1, 384, 128), "parameter")}
    assert layer("GRU", inputs, {"y": (2, 10, 1, 128)}, layout=1, hidden_size=128).macs == 1_474_560


@given(
    st.lists(st.integers(1, 3), max_size=2),
    st.lists(st.integers(1, 3), max_size=2),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_matmul_counts_as_a_product_of_ones(left: list[int], right: list[int], m: int, k: int, n: int) -> None:
    a, b = (*left, m, k), (*right, k, n)
    try:
        product = np.matmul(np.ones(a), np.ones(b))
    except ValueError:
        return  # the batches do not broadcast
    assert matmul(a, b).macs == product.sum()


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("bij,bjk", [(2, 3, 4), (2, 4, 5)]),
        ("i,j->ij", [(3,), (4,)]),
        ("i,i", [(7,), (7,)]),
        ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("...ij,...jk->...ik", [(2, 6, 3, 4), (6, 4, 5)]),
        ("b q d , k d -> b q k", [(2, 3, 4), (5, 4)]),
        ("ij,ij->ij", [(3, 4), (3, 4)]),
    ],
)
def test_einsum_of_two_counts_as_a_product_of_ones(equation: str, shapes: list[Shape]) -> None:
    product = np.einsum(equation.replace(" ", ""), *(np.ones(shape) for shape in shapes))
    assert sum(c.macs for c in einsum(equation, shapes)) == product.sum()


def test_einsum_of_three_goes_pair_by_pair() -> None:
    first, second = einsum("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)])
    assert (first.macs, second.macs) == (2 * 3 * 4, 2 * 4 * 5)


def test_einsum_of_one_carries_no_macs() -> None:
    row = layer("Einsum", {"x": ((3, 4), "input")}, {"y": (4, 3)}, equation="ij->ji")
    assert (row.macs, row.kind) == (0, "zero")


def test_bytes_are_weights_inputs_and_outputs_in_their_dtype() -> None:
    inputs = {"x": ((2, 8), "input"), "w": ((8, 4), "parameter")}
    row = layer("MatMul", inputs, {"y": (2, 4)}, dtype="float16")
    assert row.bytes_moved == 2 * (16 + 32 + 8)
    assert (row.input_numel, row.weight_numel, row.output_numel, row.float_numel) == (16, 32, 8, 56)
    assert (row.params, row.activations, row.dtype) == (32, 8, "float16")


def test_integers_do_not_change_with_precision() -> None:
    row = layer("ArgMax", {"x": ((2, 8), "input")}, {"y": (2, 1)}, dtype="int64")
    assert (row.bytes_moved, row.float_numel) == (8 * 18, 0)


def test_gather_reads_only_the_rows_it_gathers() -> None:
    row = layer("Gather", {"t": ((1000, 8), "parameter"), "i": ((5,), "input")}, {"y": (5, 8)})
    assert (row.weight_numel, row.params, row.kind) == (40, 8000, "zero")


def test_an_operand_used_twice_is_read_once() -> None:
    tensors = {n: Tensor(name=n, dtype="float32", shape=(4,)) for n in "xy"}
    node = Node(name="square", op_type="Mul", inputs=("x", "x"), outputs=("y",))
    (row,) = count(ModelGraph(name="g", nodes=(node,), tensors=tensors, inputs=("x",), outputs=("y",), opset=17))
    assert (row.input_numel, row.bytes_moved) == (4, 32)


def test_repeats_multiply_all_figures() -> None:
    inputs = {"x": ((2, 8), "input"), "w": ((8, 4), "parameter")}
    once, often = layer("MatMul", inputs, {"y": (2, 4)}), layer("MatMul", inputs, {"y": (2, 4)}, repeats=6)
    for name in ("macs", "activations", "input_numel", "weight_numel", "output_numel", "float_numel", "bytes_moved"):
        assert getattr(often, name) == 6 * getattr(once, name)
    assert often.kernels == {runtime: 6 * launches for runtime, launches in once.kernels.items()}
    assert often.params == once.params
    assert often.macs == sum(c.macs for c in often.contractions)


def test_views_launch_nothing() -> None:
    row = layer("Reshape", {"x": ((2, 8), "input")}, {"y": (16,)})
    assert (row.kind, row.views, set(row.kernels.values())) == ("free", 1, {0})


def test_a_transpose_is_a_view_in_torch_and_a_kernel_in_onnxruntime() -> None:
    row = layer("Transpose", {"x": ((2, 8), "input")}, {"y": (8, 2)})
    assert (row.kind, row.views) == ("free", 1)
    assert row.kernels == {"torch-eager": 0, "torch-cudagraph": 0, "onnxruntime-cuda": 1}


def test_an_unknown_operator_is_unsupported_and_lowers_coverage() -> None:
    row = layer("Mystery", {"x": ((2, 8), "input")}, {"y": (8, 2)}, domain="acme")
    found = coverage((row,))
    assert (row.kind, found.ops, found.unsupported) == ("unsupported", 0.0, ("acme:Mystery",))


def test_the_coefficients_of_a_linear_model_are_its_parameters() -> None:
    """Of surplus coefficients those count that the intercepts say are used."""
    for coefficients, features, expected in ((12, 4, (60, 15)), (12, 2, (30, 9))):
        attributes = {"coefficients": (0.0,) * coefficients, "intercepts": (0.0,) * 3}
        row = layer(
            "LinearClassifier",
            {"x": ((5, features), "input")},
            {"l": (5,), "p": (5, 3)},
            domain="ai.onnx.ml",
            **attributes,
        )
        assert (row.macs, row.params) == expected


def test_totals_leave_free_rows_out_of_the_traffic() -> None:
    executed = layer("Relu", {"x": ((2, 8), "input")}, {"y": (2, 8)})
    view = layer("Transpose", {"x": ((2, 8), "input")}, {"y": (8, 2)})
    assert totals((executed, view)).bytes_moved == executed.bytes_moved
    assert totals(()).macs == 0
    assert coverage(()).ops == 1.0


def test_shapes_that_no_reader_lets_pass_are_refused_by_name() -> None:
    with pytest.raises(InternalInconsistencyError, match="Gemm node 'layer'"):
        layer("Gemm", {"a": ((2, 3, 4), "input"), "b": ((4,), "parameter")}, {"y": (2, 4)})


def test_every_rule_says_its_kind() -> None:
    assert set(known().values()) == {"counted", "zero", "free"}


RESIZED: Mapping[str, tuple[Shape, Shape, dict[str, Any], int]] = {
    "nearest": ((1, 8, 7, 7), (1, 8, 14, 14), {"mode": "nearest"}, 1),
    "left out": ((1, 8, 7, 7), (1, 8, 14, 14), {}, 1),
    "along one axis": ((1, 8, 7), (1, 8, 14), {"mode": "linear"}, 2),
    "bilinear": ((1, 8, 7, 7), (1, 8, 14, 14), {"mode": "linear"}, 4),
    "trilinear": ((1, 8, 3, 7, 7), (1, 8, 6, 14, 14), {"mode": "linear"}, 8),
    "bicubic": ((1, 8, 7, 7), (1, 8, 14, 14), {"mode": b"cubic"}, 16),
    "bicubic, half as large": ((1, 8, 14, 14), (1, 8, 7, 7), {"mode": "cubic", "antialias": 1}, 9 * 9),
    "bilinear, larger without aliases": ((1, 8, 7, 7), (1, 8, 14, 14), {"mode": "linear", "antialias": 1}, 4),
    "of the same size": ((1, 8, 7, 7), (1, 8, 7, 7), {"mode": "linear"}, 1),
}


@pytest.mark.parametrize("case", RESIZED)
def test_an_interpolation_tells_the_elements_that_each_of_its_own_is_made_of(case: str) -> None:
    read, written, attributes, taps = RESIZED[case]
    row = layer("Resize", {"x": (read, "input")}, {"y": written}, **attributes)
    assert (row.kind, row.macs, row.taps) == ("zero", 0, taps)
