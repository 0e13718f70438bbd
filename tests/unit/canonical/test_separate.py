"""Attention that no fused kernel of PyTorch takes, as the kernels that run."""

from __future__ import annotations

from collections import Counter

import pytest

from joulecast.canonical import canonicalise, separated
from joulecast.counting import count
from joulecast.graph import ModelGraph, Node, Shape, Tensor

SHAPES: dict[int, Shape] = {3: (6, 5, 8), 4: (2, 3, 5, 8), 5: (2, 3, 7, 5, 8)}


def attention(axes: int, dtype: str = "float16", *, mask: bool = False) -> ModelGraph:
    shape = SHAPES[axes]
    tensors = {name: Tensor(name=name, dtype=dtype, shape=shape) for name in ("q", "k", "v", "y")}
    inputs = ("q", "k", "v", *(("mask",) if mask else ()))
    if mask:
        tensors["mask"] = Tensor(name="mask", dtype=dtype, shape=(*shape[:-1], shape[-2]))
    heads = {"q_num_heads": 1, "kv_num_heads": 1} if axes == 3 else {}
    node = Node(name="attention", op_type="Attention", inputs=inputs, outputs=("y",), attributes=heads)
    return ModelGraph(name="one", nodes=(node,), tensors=tensors, inputs=inputs, outputs=("y",), opset=23)


def operators(graph: ModelGraph) -> Counter[str]:
    return Counter(row.op_type for row in count(graph) if row.kind != "free")


def macs(graph: ModelGraph) -> int:
    return sum(row.macs for row in count(graph))


@pytest.mark.parametrize("axes", [3, 4])
def test_what_a_fused_kernel_takes_stays_one_row(axes: int) -> None:
    graph = attention(axes)
    assert separated(graph) is graph


def test_five_axes_run_as_products_and_a_softmax() -> None:
    """The kernels are those that torch 2.15 dispatches for the same operands on the processor."""
    graph = attention(5, "float32")
    found = canonicalise(graph, eager=True)
    expected = {"Mul": 2, "MatMul": 2, "Softmax": 1, "Equal": 1, "ReduceMin": 1, "Where": 1}
    assert operators(found) == expected
    assert macs(found) == macs(graph) == 2 * 2 * 3 * 7 * 5 * 5 * 8
    assert found.tensors["y"].shape == SHAPES[5]


def test_half_precision_is_multiplied_in_float32_since_torch_2_5() -> None:
    graph = attention(5)
    found = separated(graph)
    assert operators(found)["Cast"] == 5  # three operands, the probabilities, the result
    assert {row.dtype for row in count(found) if row.macs} == {"float32"}
    before = separated(graph, as_before_torch_2_5=True)
    assert operators(before) == {"Mul": 2, "MatMul": 2, "Softmax": 1}
    assert {row.dtype for row in count(before)} == {"float16"}
    assert macs(found) == macs(before) == macs(graph)


def test_a_mask_is_added_to_the_scores() -> None:
    assert operators(separated(attention(5, mask=True)))["Add"] == 1


def test_inference_runtimes_and_passes_that_change_types_see_one_node() -> None:
    graph = attention(5)
    assert operators(canonicalise(graph)) == {"Attention": 1}
    assert operators(canonicalise(graph, eager=True, whole_attention=True)) == {"Attention": 1}


def test_three_axes_are_taken_apart_where_torch_gave_them_no_fourth() -> None:
    assert "Attention" not in operators(separated(attention(3), fused_axes=(4,)))
