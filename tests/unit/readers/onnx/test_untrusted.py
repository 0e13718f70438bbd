"""Damaged and hostile files: one clear error, in bounded memory and time."""

from __future__ import annotations

import random
import resource
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from joulecast.canonical import canonicalise
from joulecast.counting import count, totals
from joulecast.errors import JoulecastError, UnresolvedShapeError
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from tests import wheels
from tests.contract.node_tests import node_tests
from tests.unit.readers.small_models import absent, model

F, I64 = TensorProto.FLOAT, TensorProto.INT64
BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def attempt(skeleton: bytes, workload: Workload) -> None:
    """Reads and counts; anything but success or an error of ours fails the test."""
    try:
        totals(count(canonicalise(read(skeleton, workload, name="untrusted"))))
    except JoulecastError as error:
        assert str(error)
        assert "\n" not in str(error)


def mutated(data: bytes, seed: int, edits: int) -> bytes:
    """Bytes overwritten, cut out, doubled or cut off, by a seeded generator."""
    chance, changed = random.Random(seed), bytearray(data)
    for _ in range(edits):
        at = chance.randrange(len(changed)) if changed else 0
        match chance.randrange(4):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del changed[at : at + chance.randrange(1, 9)]
            case 2:
                changed[at:at] = changed[at : at + chance.randrange(1, 64)]
            case _ if chance.random() < 0.1:
                del changed[at:]
    return bytes(changed)


@pytest.fixture(scope="module")
def detector() -> bytes:
    return onnx.load(wheels.silero("silero_vad"), load_external_data=False).SerializeToString()


@pytest.mark.slow
@BOUNDED
@given(seed=st.integers(0, 2**32), edits=st.integers(1, 12))
def test_mutated_real_files(detector: bytes, seed: int, edits: int) -> None:
    workload = Workload(input_shapes={"input": (1, 576), "state": (2, 1, 128)}, input_values={"sr": 16000})
    attempt(mutated(detector, seed, edits), workload)


@BOUNDED
@given(seed=st.integers(0, 2**32), edits=st.integers(1, 6))
def test_mutated_node_tests(seed: int, edits: int) -> None:
    tests = node_tests()
    test = tests[seed % len(tests)]
    attempt(mutated(test.skeleton(), seed, edits), test.workload(all_values=False))


@BOUNDED
@given(seed=st.integers(0, 2**32))
def test_node_tests_with_other_attributes_and_shapes(seed: int) -> None:
    """Well-formed files that make no sense: attributes and dimensions replaced by numbers of every size."""
    chance, tests = random.Random(seed), node_tests()
    proto = onnx.ModelProto()
    proto.CopyFrom(tests[seed % len(tests)].model)
    numbers = [-(2**63), -7, -1, 0, 1, 2, 3, 65, 2**31, 2**62, 2**63 - 1]
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.INT:
                attribute.i = chance.choice(numbers)
            for index in range(len(attribute.ints)):
                attribute.ints[index] = chance.choice(numbers)
    for info in proto.graph.input:
        for dim in info.type.tensor_type.shape.dim:
            if chance.random() < 0.5:
                dim.dim_value = chance.choice(numbers)
    attempt(proto.SerializeToString(), Workload())


def peak_kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


BOMBS: dict[str, list[Any]] = {
    "ConstantOfShape": [helper.make_node("ConstantOfShape", ["s"], ["y"])],
    "Expand": [helper.make_node("Expand", ["one", "s"], ["y"])],
    "Range": [helper.make_node("Range", ["zero", "many", "one_int"], ["y"])],
    "Tile": [helper.make_node("Tile", ["row", "repeats"], ["y"])],
    "OneHot": [helper.make_node("OneHot", ["zero", "many", "pair"], ["y"])],
    "EyeLike": [helper.make_node("ConstantOfShape", ["square"], ["m"]), helper.make_node("EyeLike", ["m"], ["y"])],
    "Pad": [helper.make_node("Pad", ["row", "pads"], ["y"])],
    "NonZero of Expand": [helper.make_node("Expand", ["one", "s"], ["e"]), helper.make_node("NonZero", ["e"], ["y"])],
    "SequenceConstruct": [
        helper.make_node("ConstantOfShape", ["s"], ["e"]),
        helper.make_node("SplitToSequence", ["e", "one_int"], ["q"]),
        helper.make_node("SequenceLength", ["q"], ["y"]),
    ],
}
STORED = {
    "s": np.array([4_000_000_000]),
    "one": np.array([1.0], np.float32),
    "zero": np.array(0),
    "many": np.array(4_000_000_000),
    "one_int": np.array(1),
    "row": np.ones(4, np.float32),
    "repeats": np.array([1_000_000_000]),
    "pair": np.array([0.0, 1.0], np.float32),
    "square": np.array([1_000_000, 1_000_000]),
    "pads": np.array([1_000_000_000, 1_000_000_000]),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_cannot_ask_for_much_memory(name: str) -> None:
    proto = model(BOMBS[name], {}, ["y"], stored=STORED)
    before = peak_kilobytes()
    attempt(proto.SerializeToString(), Workload())
    assert peak_kilobytes() - before < 200_000


def test_external_data_is_never_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The location of an absent payload names a file that exists and holds a shape; nothing opens it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "absent").write_bytes(np.array([2, 2]).tobytes())
    tensor = absent(I64, 2)
    node = helper.make_node("Constant", [], ["s"], value=tensor)
    proto = model([node, helper.make_node("Reshape", ["x", "s"], ["y"])], {"x": (F, [4])}, ["y"])
    with pytest.raises(JoulecastError, match="'y'"):
        read(proto.SerializeToString(), Workload(), name="m")


def test_graphs_inside_graphs_without_end_are_refused() -> None:
    """As deep as protobuf's own limit lets a file go."""
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    for _ in range(30):
        branch = helper.make_graph(nodes, "b", [], [helper.make_empty_tensor_value_info("y")])
        nodes = [
            helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=helper.make_graph([], "e", [], []))
        ]
    proto = model(nodes, {"x": (F, [2]), "c": (TensorProto.BOOL, [])}, ["y"])
    attempt(proto.SerializeToString(), Workload(input_values={"c": True}))


@pytest.mark.parametrize("equation", ["......->a", "a..b->a", "a1->a"])
def test_an_equation_that_is_none_is_refused(equation: str) -> None:
    """onnx's own inference does not return from the first."""
    einsum = helper.make_node("Einsum", ["x"], ["y"], equation=equation)
    skeleton = model([einsum], {"x": np.zeros((2, 2), np.float32)}, ["y"]).SerializeToString()
    with pytest.raises(UnresolvedShapeError, match="its equation has the term"):
        read(skeleton, Workload(), name="equation")
