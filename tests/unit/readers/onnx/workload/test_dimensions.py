"""Dimensions that are worked out of others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from joulecast.errors import UnresolvedShapeError, WorkloadError
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from joulecast.readers.onnx.workload.dimensions import evaluated, is_formula, names, solved
from tests.unit.readers.small_models import model

F = TensorProto.FLOAT


def shapes(inputs: dict[str, list[Any]], **workload: Any) -> dict[str, tuple[int, ...] | None]:
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in inputs]
    proto = model(nodes, {name: (F, dims) for name, dims in inputs.items()}, [f"{name}_out" for name in inputs])
    graph = read(proto.SerializeToString(), Workload(**workload), name="small")
    return {name: graph.shape(name) for name in graph.inputs}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("past + new", 8), ("2*new", 2), ("past//2 + 1", 4), ("(past - 1)*new", 6), ("past % 4", 3),
        ("Max(1, past)", 7), ("-new + past", 6), ("past_sequence_length + 1", 4),
    ],
)  # fmt: skip
def test_a_formula_is_worked_out(text: str, expected: int) -> None:
    assert evaluated(text, {"past": 7, "new": 1, "past_sequence_length": 3}) == expected


@pytest.mark.parametrize(
    "text",
    ["batch", "batch-size", "height/width", "a b", "f(x)", "9**9**9", "__import__('os')",
     "x.y + 1", "1 +", "(" * 300, "a if b else c", "ceil(a/2)"],
)  # fmt: skip
def test_anything_else_is_a_name(text: str) -> None:
    assert not is_formula(text)
    assert names(text) == (text,)
    assert evaluated(text, {"a": 1, "b": 1, "x": 1}) is None


@pytest.mark.parametrize("text", ["new - past", "past//zero", "past/2", "2**53 * past", "other + 1"])
def test_what_is_no_size_is_unknown(text: str) -> None:
    assert evaluated(text, {"past": 7, "new": 1, "zero": 0}) is None


@given(st.integers(1, 1000), st.integers(0, 1000), st.integers(1, 1000))
def test_the_one_unknown_of_a_linear_formula_is_found(factor: int, term: int, number: int) -> None:
    text = f"{factor}*unknown + known"
    assert solved(text, {"known": term}, factor * number + term) == ("unknown", number)


def test_a_mask_is_as_wide_as_the_past_and_the_new() -> None:
    inputs = {"x": ["batch", "new", 16], "mask": ["batch", 1, "past + new"], "cache": ["batch", "past", 16]}
    found = shapes(inputs, input_shapes={"x": (1, 1, 16), "cache": (1, 7, 16)})
    assert found["mask"] == (1, 1, 8)


def test_the_batch_is_worked_out_of_its_multiple() -> None:
    inputs = {"x": ["batch", 4], "heads": ["12*batch", 4]}
    assert shapes(inputs, batch_size=3)["heads"] == (36, 4)
    assert shapes(inputs, input_shapes={"heads": (24, 4)})["x"] == (2, 4)


def test_a_shape_that_contradicts_a_formula_names_its_terms() -> None:
    inputs = {"x": ["batch", "new"], "mask": ["batch", "past + new"], "cache": ["batch", "past"]}
    given_shapes = {"x": (1, 1), "cache": (1, 7), "mask": (1, 9)}
    with pytest.raises(WorkloadError, match=r"'past \+ new' is 8, because past is 7, new is 1, but 9 by --input mask"):
        shapes(inputs, input_shapes=given_shapes)


def test_one_example_stands_in_all_inputs_of_its_symbol() -> None:
    inputs = {"ids": ["batch", "seq"], "mask": ["batch", "seq"], "pixels": ["batch", 3, None, None]}
    with pytest.raises(UnresolvedShapeError) as caught:
        shapes(inputs)
    assert caught.value.options == ("--input ids=batch,128", "--input pixels=batch,3,224,224")
