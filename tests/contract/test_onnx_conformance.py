"""The reader and the counting rules against the standard's own node tests."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from joulecast.counting import count, known
from joulecast.counting.unsupported import STANDARD
from joulecast.errors import UnresolvedShapeError
from joulecast.graph import ModelGraph
from joulecast.readers.onnx import read
from tests.contract.mac_formulas import FORMULAS, expected
from tests.contract.node_tests import NodeTest, node_tests

pytestmark = pytest.mark.slow

SKIPS = Path(__file__).with_name("conformance_skips.txt")


def skipped() -> dict[str, str]:
    lines = [line for line in SKIPS.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(": ", 1) for line in lines)


def required() -> list[NodeTest]:
    return [test for test in node_tests() if test.name not in skipped()]


@functools.cache
def graph_of(name: str) -> ModelGraph:
    (test,) = [test for test in node_tests() if test.name == name]
    return read(test.skeleton(), test.workload(all_values=True), name=name)


def differences(test: NodeTest, graph: ModelGraph) -> list[Any]:
    """Outputs whose shape is not the recorded one."""
    assert len(graph.outputs) == len(test.outputs)
    pairs = zip(graph.outputs, test.outputs, strict=True)
    return [
        (name, graph.shape(name), out.shape)
        for name, out in pairs
        if isinstance(out, np.ndarray) and graph.shape(name) != out.shape
    ]


def is_upper_bound(graph: ModelGraph, difference: Any) -> bool:
    """Whether the graph says that this shape is the most that a selection may keep, and it is."""
    name, bound, kept = difference
    return name in graph.upper_bounds and len(bound) == len(kept) and all(np.array(bound) >= np.array(kept))


def test_skips_are_few_and_carry_no_macs() -> None:
    skips = skipped()
    by_name = {test.name: test for test in node_tests()}
    assert len(skips) <= 20
    assert all(reason.strip() for reason in skips.values())
    assert skips.keys() <= by_name.keys()
    assert not {node.op_type for name in skips for node in by_name[name].model.graph.node} & FORMULAS.keys()


@pytest.mark.slow
def test_all_values_give_every_recorded_shape() -> None:
    wrong = {test.name: found for test in required() if (found := differences(test, graph_of(test.name)))}
    assert len(required()) > 1_800
    assert wrong == {}


@pytest.mark.slow
def test_shape_steering_values_give_the_recorded_shape_or_say_what_is_missing() -> None:
    wrong, unresolved = {}, []
    for test in node_tests():
        try:
            graph = read(test.skeleton(), test.workload(all_values=False), name=test.name)
        except UnresolvedShapeError:
            unresolved.append(test.name)
            continue
        if found := [each for each in differences(test, graph) if not is_upper_bound(graph, each)]:
            wrong[test.name] = found
    assert wrong == {}
    assert len(unresolved) <= 0.06 * len(node_tests()), unresolved


def base_of(test: NodeTest) -> NodeTest:
    """The test whose operator this one spells out in smaller ones; itself for a plain one."""
    by_name = {t.name: t for t in node_tests()}
    return by_name.get(re.sub(r"_expanded(_ver\d+)?$|_expanded_function.*$", "", test.name), test)


def padded_grid(base: NodeTest) -> int:
    """AffineGrid's function body turns a grid of two dimensions into one of three, one deep: ``theta`` becomes 3 ×
    4."""
    batch, height, width, _ = base.outputs[0].shape
    return int((np.ones((batch, 3, 4)) @ np.ones((batch, 4, height * width))).sum())


def expected_macs(test: NodeTest) -> int:
    base = base_of(test)
    if re.fullmatch(r"test_affine_grid_2d_.*expanded", test.name):
        return padded_grid(base)
    (node,) = base.model.graph.node if len(base.model.graph.node) == 1 else (None,)
    macs = expected(node, base.inputs, base.outputs) if node is not None else None
    assert macs is not None, f"{test.name} counts MACs, but no formula says how many"
    return macs


def test_macs_of_every_mac_bearing_test_follow_an_independent_formula() -> None:
    wrong, bearing = {}, 0
    for test in required():
        rows = count(graph_of(test.name))
        names = {row.op_type for row in rows} | {node.op_type for node in test.model.graph.node}
        macs = sum(row.macs for row in rows)
        if not macs and not names & FORMULAS.keys():
            continue
        bearing += 1
        if macs != (wanted := expected_macs(test)):
            wrong[test.name] = (macs, wanted)
    assert bearing >= 319
    assert wrong == {}


def test_every_row_keeps_its_invariants() -> None:
    for test in required():
        for row in count(graph_of(test.name)):
            assert row.macs == sum(c.macs for c in row.contractions), test.name
            assert (row.macs > 0) <= (row.kind == "counted"), test.name
            assert row.bytes_moved >= 0, test.name
            assert row.kind != "free" or row.kernels["torch-eager"] == 0, test.name


def test_every_standard_operator_has_a_rule_or_a_reason() -> None:
    standard = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas_with_history()}
    assert standard - known().keys() == STANDARD.keys()


def test_no_unsupported_operator_carries_macs() -> None:
    inference = [reason for (domain, _), reason in STANDARD.items() if domain != "ai.onnx.preview.training"]
    assert all("carries no MACs" in reason for reason in inference)
