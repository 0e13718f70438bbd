"""Graphs of every kind of control flow, counted as onnxruntime executes them.

The graphs are generated with a fixed seed. onnxruntime runs each with its optimisations off and records the shapes of
every kernel; its products are counted from those shapes, and must be what the profile says before and after
canonicalisation.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from joulecast.canonical import canonicalise
from joulecast.counting import count, totals
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from tests.unit.readers.small_models import model, session

F, I64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
WIDTH = 4
GENERATED = settings(
    max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def info(name: str, element: int = F, dims: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, dims)


@dataclass
class Build:
    """A graph under construction: every value has ``WIDTH`` columns and any number of rows."""

    draw: st.DrawFn
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    stored: dict[str, Any] = field(default_factory=dict)
    names: list[int] = field(default_factory=lambda: [0])

    def name(self) -> str:
        self.names[0] += 1
        return f"v{self.names[0]}"

    def inside(self) -> Build:
        """A nested graph, which sees the stored tensors and has names of its own."""
        return Build(draw=self.draw, stored=self.stored, names=self.names)

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        output = self.name()
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=f"n_{output}", **attributes))
        return output

    def constant(self, value: Any) -> str:
        name = self.name()
        self.stored[name] = value
        return name

    def weight(self) -> str:
        """A matrix: a new one, or one that is there already."""
        known = [name for name, array in self.stored.items() if getattr(array, "shape", ()) == (WIDTH, WIDTH)]
        if known and self.draw(st.booleans()):
            return self.draw(st.sampled_from(known))
        return self.constant(np.full((WIDTH, WIDTH), 0.1, np.float32))

    def graph(self, inputs: list[Any], outputs: list[Any]) -> onnx.GraphProto:
        return helper.make_graph(self.nodes, self.name(), inputs, outputs)


def step(build: Build, x: str, depth: int) -> str:
    """One operation, or one control flow of operations, on ``x``."""
    kinds = ["product", "pair", "bias", "activation", "table"]
    kinds += ["loop", "carried loop", "growing loop", "scan", "branch", "sequence"] if depth else []
    return RULES[build.draw(st.sampled_from(kinds))](build, x, depth)


def steps(build: Build, x: str, depth: int) -> str:
    for _ in range(build.draw(st.integers(1, 3))):
        x = step(build, x, depth)
    return x


def product(build: Build, x: str, depth: int) -> str:
    return build.add("MatMul", x, build.weight())


def pair(build: Build, x: str, depth: int) -> str:
    """The sum of two products, of which one looks like a bias where ``x`` has one row."""
    left, right = product(build, x, depth), product(build, x, depth)
    return build.add("Add", left, right)


def bias(build: Build, x: str, depth: int) -> str:
    shape = build.draw(st.sampled_from([(WIDTH,), (1, WIDTH)]))
    return build.add("Add", product(build, x, depth), build.constant(np.zeros(shape, np.float32)))


def activation(build: Build, x: str, depth: int) -> str:
    return build.add("Mul", x, build.add("Sigmoid", x))


def table(build: Build, x: str, depth: int) -> str:
    """Stored rows times a matrix, added: the product of stored values."""
    rows = build.constant(np.zeros((1, WIDTH), np.float32))
    return build.add("Add", x, build.add("MatMul", rows, build.weight()))


def loop_of(build: Build, body: Build, x: str, carried: str, end: str) -> str:
    more = body.add("Identity", "go")
    inputs = [info("i", I64, []), info("go", BOOL, []), info(carried, F, [None, WIDTH])]
    graph = body.graph(inputs, [info(more, BOOL, []), info(end, F, [None, WIDTH])])
    trips = build.constant(np.int64(build.draw(st.sampled_from([0, 1, 2, 3, 5]))))
    return build.add("Loop", trips, "", x, body=graph)


def loop(build: Build, x: str, depth: int) -> str:
    """A body that reads a value of the outer graph."""
    body, carried = build.inside(), build.name()
    return loop_of(build, body, x, carried, body.add("Add", steps(body, carried, depth - 1), carried))


def carried_loop(build: Build, x: str, depth: int) -> str:
    """A recurrent step that starts with a stored state."""
    body, carried = build.inside(), build.name()
    end = body.add("Tanh", body.add("Add", product(body, carried, 0), product(body, carried, 0)))
    start = build.constant(np.zeros((1, WIDTH), np.float32))
    return build.add("Add", x, loop_of(build, body, start, carried, end))


def growing_loop(build: Build, x: str, depth: int) -> str:
    """A row more each trip; the rows are summed in the end, so that what follows stays small."""
    body, carried = build.inside(), build.name()
    row = build.constant(np.zeros((1, WIDTH), np.float32))
    end = steps(body, body.add("Concat", carried, row, axis=0), depth - 1)
    grown = loop_of(build, body, x, carried, end)
    axis = build.constant(np.array([0]))
    return build.add("ReduceSum", grown, axis, keepdims=1)


def scan(build: Build, x: str, depth: int) -> str:
    """Over the rows of ``x``, each a matrix of one row."""
    one = build.constant(np.array([1]))
    body, row = build.inside(), build.name()
    end = steps(body, row, depth - 1)
    graph = body.graph([info(row, F, [1, WIDTH])], [info(end, F, [1, WIDTH])])
    stacked = build.add("Scan", build.add("Unsqueeze", x, one), body=graph, num_scan_inputs=1)
    return build.add("Squeeze", stacked, one)


def branch(build: Build, x: str, depth: int) -> str:
    branches = []
    for _ in range(2):
        side = build.inside()
        end = steps(side, x, depth - 1)
        branches.append(side.graph([], [info(end, F, [None, WIDTH])]))
    condition = build.constant(np.array(build.draw(st.booleans())))
    return build.add("If", condition, then_branch=branches[0], else_branch=branches[1])


def sequence(build: Build, x: str, depth: int) -> str:
    """The rows of ``x`` one by one, mapped, and joined again."""
    body, item = build.inside(), build.name()
    end = steps(body, item, 0)
    graph = body.graph([info(item, F, [None, WIDTH])], [info(end, F, [None, WIDTH])])
    parts = build.add("SplitToSequence", x, build.constant(np.int64(1)), axis=0)
    return build.add("ConcatFromSequence", build.add("SequenceMap", parts, body=graph), axis=0)


RULES = {
    "product": product, "pair": pair, "bias": bias, "activation": activation, "table": table, "loop": loop,
    "carried loop": carried_loop, "growing loop": growing_loop, "scan": scan, "branch": branch, "sequence": sequence,
}  # fmt: skip


@st.composite
def models(draw: st.DrawFn) -> tuple[onnx.ModelProto, int]:
    """A model and the number of rows that it is fed; one is drawn most."""
    rows = draw(st.sampled_from([1, 1, 2, 3]))
    build = Build(draw=draw)
    end = steps(build, "x", 2)
    shape = draw(st.sampled_from([[rows, WIDTH], ["rows", WIDTH]]))
    return model(build.nodes, {"x": (F, shape)}, [end], stored=build.stored), rows


def executed_macs(proto: onnx.ModelProto, rows: int) -> int:
    """Multiply-accumulates of the products that onnxruntime ran, by the shapes that its profiler recorded."""
    with tempfile.TemporaryDirectory() as folder:
        run = session(proto, enable_profiling=True, profile_file_prefix=f"{folder}/run")
        run.run(None, {"x": np.ones((rows, WIDTH), np.float32)})
        events = json.loads(Path(run.end_profiling()).read_text())
    found = 0
    for event in events:
        arguments = event.get("args", {})
        if event.get("cat") == "Node" and arguments.get("op_name") == "MatMul" and "input_type_shape" in arguments:
            left, _ = (shape for entry in arguments["input_type_shape"] for shape in entry.values())
            found += math.prod(left) * WIDTH
    return found


@pytest.mark.slow
@GENERATED
@given(generated=models())
def test_a_generated_graph_counts_as_onnxruntime_executes_it(generated: tuple[onnx.ModelProto, int]) -> None:
    proto, rows = generated
    expected = executed_macs(proto, rows)
    graph = read(proto.SerializeToString(), Workload(input_shapes={"x": (rows, WIDTH)}, batch_size=rows), name="m")
    assert totals(count(graph)).macs == expected
    for eager in (False, True):
        found = totals(count(canonicalise(graph, eager=eager)))
        assert found.macs == expected
        assert found.params == totals(count(graph)).params


def test_the_generator_reaches_every_rule() -> None:
    seen: set[str] = set()

    @settings(GENERATED, max_examples=60)
    @given(generated=models())
    def collect(generated: tuple[onnx.ModelProto, int]) -> None:
        seen.update(node.op_type for node in generated[0].graph.node)

    collect()
    assert {"Loop", "Scan", "If", "SequenceMap", "MatMul"} <= seen


@pytest.mark.parametrize("rows", [1, 2])
def test_the_oracle_sees_products_inside_loops(rows: int) -> None:
    body = helper.make_graph(
        [helper.make_node("MatMul", ["c", "w"], ["d"]), helper.make_node("Identity", ["go"], ["more"])], "b",
        [info("i", I64, []), info("go", BOOL, []), info("c", F, [None, WIDTH])],
        [info("more", BOOL, []), info("d", F, [None, WIDTH])],
    )  # fmt: skip
    stored = {"n": np.int64(3), "w": np.ones((WIDTH, WIDTH), np.float32)}
    proto = model(
        [helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)], {"x": (F, [rows, WIDTH])}, ["y"], stored=stored
    )
    assert executed_macs(proto, rows) == 3 * rows * WIDTH * WIDTH
