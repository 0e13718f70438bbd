"""What the walk makes of control flow, functions, constants, sequences and operators it does not know."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, parser

from joulecast.canonical import canonicalise
from joulecast.counting import count, coverage, totals
from joulecast.errors import ModelFormatError, UnresolvedShapeError, UnsupportedOperatorError, WorkloadError
from joulecast.graph import ModelGraph
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from joulecast.readers.onnx import walk as walk_module
from tests.unit.readers.small_models import absent, executed_shapes, model

F, I64 = TensorProto.FLOAT, TensorProto.INT64


def read_text(text: str, **workload: Any) -> ModelGraph:
    return read(parser.parse_model(text).SerializeToString(), Workload(**workload), name="text")


def macs(graph: ModelGraph) -> int:
    return totals(count(graph)).macs


LOOP = """
<ir_version: 8, opset_import: ["": 16]>
g (int64 n, float[4, 4] w, float[1, 4] x) => (y, steps) {
  yes = Constant <value = bool {1}> ()
  y, steps = Loop (n, yes, x) <body = b (int64 i, bool go, float[1, 4] h) => (bool more, float[1, 4] next, float[1, 4]
  out) {
    more = Identity (go)
    next = MatMul (h, w)
    out = Relu (next)
  }>
}
"""


@pytest.mark.parametrize("trips", [0, 1, 7, 40, 1_000_000])
def test_a_loop_costs_its_body_times_its_trip_count(trips: int) -> None:
    graph = read_text(LOOP, input_values={"n": trips})
    assert macs(graph) == 16 * trips
    assert [graph.shape(name) for name in graph.outputs] == [(1, 4), (trips, 1, 4)]
    assert len([node for node in graph.nodes if node.op_type == "MatMul"]) <= 2


def test_a_loop_of_unknown_count_asks_for_it() -> None:
    with pytest.raises(UnresolvedShapeError, match=r"trip count 'n' .* --value"):
        read_text(LOOP)


COUNTER = """
<ir_version: 8, opset_import: ["": 16]>
g (float[1, 4] x) => (y) {
  huge = Constant <value = int64 {9223372036854775807}> ()
  yes = Constant <value = bool {1}> ()
  zero = Constant <value = int64 {0}> ()
  w = Constant <value = float[4, 4] {0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}> ()
  last, y = Loop (huge, yes, zero, x) <body = b (int64 i, bool go, int64 t, float[1, 4] h) => (bool more, int64 t2,
  float[1, 4] h2) {
    one = Constant <value = int64 {1}> ()
    limit = Constant <value = int64 {100}> ()
    t2 = Add (t, one)
    more = Less (t2, limit)
    h2 = MatMul (h, w)
  }>
}
"""


def test_a_loop_that_counts_for_itself_runs_as_often_as_it_says() -> None:
    """The form of recurrent layers exported by TensorFlow: the trip count is unbounded, a carried counter ends it."""
    assert macs(read_text(COUNTER)) == 100 * 16


GROWING = """
<ir_version: 8, opset_import: ["": 16]>
g (int64 n, float[1, 4] x) => (y) {
  yes = Constant <value = bool {1}> ()
  y = Loop (n, yes, x) <body = b (int64 i, bool go, float[k, 4] h) => (bool more, float[m, 4] h2) {
    more = Identity (go)
    h2 = Concat <axis = 0> (h, x)
  }>
}
"""


@pytest.mark.parametrize("trips", [3, 100])
def test_a_carried_value_may_grow(trips: int) -> None:
    graph = read_text(GROWING, input_values={"n": trips})
    assert graph.shape(graph.outputs[0]) == (trips + 1, 4)


SCAN = """
<ir_version: 8, opset_import: ["": 16]>
g (float[10, 2, 4] xs, float[2, 4] h, float[4, 4] w) => (last, all) {
  last, all = Scan <num_scan_inputs = 1, scan_output_axes = [1], body = b (float[2, 4] s, float[2, 4] x) => (float[2,
  4] s2, float[2, 4] o) {
    p = MatMul (s, w)
    s2 = Add (p, x)
    o = Identity (s2)
  }> (h, xs)
}
"""


def test_a_scan_costs_its_body_times_the_length() -> None:
    graph = read_text(SCAN)
    assert macs(graph) == 10 * 2 * 16
    assert [graph.shape(name) for name in graph.outputs] == [(2, 4), (2, 10, 4)]


BRANCH = """
<ir_version: 8, opset_import: ["": 16]>
g (bool c, float[2, 4] x, float[4, 4] w) => (y) {
  y = If (c) <
    then_branch = t () => (float[2, 4] a) { a = MatMul (x, w) },
    else_branch = e () => (float[2, 4] b) { r = Relu (x) b = Neg (r) }
  >
}
"""


@pytest.mark.parametrize(("taken", "expected"), [(1, 32), (0, 0)])
def test_only_the_taken_branch_costs(taken: int, expected: int) -> None:
    graph = read_text(BRANCH, input_values={"c": taken})
    assert macs(graph) == expected
    assert len(graph.nodes) == (1 if taken else 2)


def test_an_unknown_condition_asks_for_it() -> None:
    with pytest.raises(UnresolvedShapeError, match=r"branches on 'c'.*--value"):
        read_text(BRANCH)


FUNCTION = """
<ir_version: 8, opset_import: ["": 16, "mine": 1]>
g (float[2, 4] x, float[4, 4] w) => (y) {
  h = mine.Layer <alpha = 0.5> (x, w)
  y = mine.Layer (h, w)
}
<domain: "mine", opset_import: ["": 16]>
Layer <alpha: float = 0.1> (x, w) => (y) {
  p = MatMul (x, w)
  y = LeakyRelu <alpha: float = @alpha> (p)
}
"""


def test_a_function_is_its_body_with_the_callers_attributes() -> None:
    graph = read_text(FUNCTION)
    assert macs(graph) == 2 * 32
    alphas = [node.attributes["alpha"] for node in graph.nodes if node.op_type == "LeakyRelu"]
    assert alphas == [pytest.approx(0.5), pytest.approx(0.1)]
    assert len({name for node in graph.nodes for name in node.outputs}) == 4


CYCLE = """
<ir_version: 8, opset_import: ["": 16, "mine": 1]>
g (float[2] x) => (y) { y = mine.A (x) }
<domain: "mine", opset_import: ["": 16, "mine": 1]> A (x) => (y) { y = mine.B (x) }
<domain: "mine", opset_import: ["": 16, "mine": 1]> B (x) => (y) { y = mine.A (x) }
"""


def test_functions_that_call_each_other_for_ever_are_refused() -> None:
    with pytest.raises(ModelFormatError, match="deep"):
        read_text(CYCLE)


def test_functions_that_double_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten functions, each calling the next twice, thirty times over: a file of a few bytes that unfolds without end."""
    monkeypatch.setattr(walk_module.WalkBudget, "__init__", lambda self: setup(self, 10_000))

    def setup(budget: Any, nodes: int) -> None:
        budget.nodes, budget.depth, budget.deadline = nodes, 0, float("inf")

    head = '<ir_version: 8, opset_import: ["": 16, "m": 1]>\ng (float[2] x) => (y) { y = m.F0 (x) }\n'
    bodies = "".join(
        f'<domain: "m", opset_import: ["": 16, "m": 1]> F{i} (x) => (y) {{ a = m.F{i + 1} (x) y = m.F{i + 1} (a) }}\n'
        for i in range(30)
    )
    tail = '<domain: "m", opset_import: ["": 16]> F30 (x) => (y) { y = Relu (x) }\n'
    with pytest.raises(ModelFormatError, match="unfolds"):
        read_text(head + bodies + tail)


def test_a_walk_may_take_long_but_not_compute_long(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = walk_module.WalkBudget()
    monkeypatch.setattr("time.monotonic", lambda: float("inf"))  # somebody else had the processor
    budget.spend()
    monkeypatch.setattr("time.thread_time", lambda: float("inf"))
    with pytest.raises(ModelFormatError, match="60 s of processor time"):
        budget.spend()


def test_an_unknown_operator_is_refused_by_name() -> None:
    node = helper.make_node("Mystery", ["x"], ["y"], name="layer/mystery", domain="acme")
    proto = model([node], {"x": (F, [2])}, ["y"], domains={"acme": 1})
    with pytest.raises(UnsupportedOperatorError, match=r"'Mystery' of domain 'acme' \(node 'layer/mystery'\)"):
        read(proto.SerializeToString(), Workload(), name="m")


def test_an_unknown_operator_whose_shape_the_file_declares_lowers_coverage() -> None:
    nodes = [helper.make_node("Mystery", ["x"], ["h"], domain="acme"), helper.make_node("Relu", ["h"], ["y"])]
    proto = model(nodes, {"x": (F, [2, 3])}, ["y"], domains={"acme": 1})
    proto.graph.value_info.append(helper.make_tensor_value_info("h", F, [2, 5]))
    graph = read(proto.SerializeToString(), Workload(), name="m")
    found = coverage(count(graph))
    assert graph.shape("y") == (2, 5)
    assert (found.ops, found.unsupported) == (0.5, ("acme:Mystery",))
    assert found.flops < 1


def test_an_unknown_standard_operator_is_refused() -> None:
    with pytest.raises(UnsupportedOperatorError, match="'NoSuchOp'"):
        read(
            model([helper.make_node("NoSuchOp", ["x"], ["y"])], {"x": (F, [2])}, ["y"]).SerializeToString(),
            Workload(),
            name="m",
        )


DROPPED = {
    "ImageScaler": ({"scale": 0.5, "bias": [0.0] * 3}, (1, 3, 16, 12)),
    "Affine": ({"alpha": 2.0}, (1, 3, 16, 12)),
    "ParametricSoftplus": ({}, (1, 3, 16, 12)),
    "ScaledTanh": ({"alpha": 1.0, "beta": 1.0}, (1, 3, 16, 12)),
    "Crop": ({"border": [1, 2, 3, 4]}, (1, 3, 10, 8)),
}


@pytest.mark.parametrize("op_type", DROPPED)
def test_experimental_operators_of_old_files_are_rows(op_type: str) -> None:
    attributes, shape = DROPPED[op_type]
    proto = model([helper.make_node(op_type, ["x"], ["y"], **attributes)], {"x": (F, [1, 3, 16, 12])}, ["y"], opset=8)
    graph = read(proto.SerializeToString(), Workload(), name="m")
    assert graph.shape("y") == shape
    assert [row.kind for row in count(graph)] == ["zero"]


def test_experts_without_a_rule_lower_coverage_though_no_shape_is_declared() -> None:
    inputs = ["x", "router", "first", "", "second"]
    nodes = [helper.make_node("MoE", inputs, ["h"], domain="com.microsoft"), helper.make_node("Relu", ["h"], ["y"])]
    stored = {"first": absent(F, 4, 8, 16), "second": absent(F, 4, 16, 8)}
    fed = {"x": (F, [5, 8]), "router": (F, [5, 4])}
    proto = model(nodes, fed, ["y"], stored=stored, domains={"com.microsoft": 1})
    rows = count(read(proto.SerializeToString(), Workload(), name="m"))
    assert coverage(rows).unsupported == ("com.microsoft:MoE",)
    assert totals(rows).params == 2 * 4 * 8 * 16


def test_stale_annotations_are_dropped() -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])], {"x": (F, ["N", 3])}, [])
    proto.graph.output.append(helper.make_tensor_value_info("y", F, [1, 99]))
    graph = read(proto.SerializeToString(), Workload(batch_size=4), name="m")
    assert graph.shape("y") == (4, 3)


def test_an_absent_payload_is_unknown() -> None:
    proto = model(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])], {"x": (F, [4])}, ["y"], stored={"shape": absent(I64, 2)}
    )
    with pytest.raises(UnresolvedShapeError, match="'y'"):
        read(proto.SerializeToString(), Workload(), name="m")


def test_the_shape_of_a_data_dependent_value_can_be_given() -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["found"]),
        helper.make_node("Transpose", ["found"], ["rows"]),
        helper.make_node("Cast", ["rows"], ["floats"], to=F),
        helper.make_node("MatMul", ["floats", "w"], ["y"]),
    ]
    proto = model(nodes, {"x": (F, [10, 10])}, ["y"], stored={"w": np.zeros((2, 3), np.float32)}).SerializeToString()
    with pytest.raises(UnresolvedShapeError, match="--input found="):
        read(proto, Workload(), name="m")
    graph = read(proto, Workload(input_shapes={"found": (2, 50)}), name="m")
    assert macs(graph) == 50 * 2 * 3
    with pytest.raises(WorkloadError, match=r"\[2, None\], not \[3, 50\]"):
        read(proto, Workload(input_shapes={"found": (3, 50)}), name="m")


def test_shape_arithmetic_is_folded_and_free() -> None:
    text = """
    <ir_version: 8, opset_import: ["": 16]>
    g (float[N, 6, 4] x) => (y) {
      s = Shape (x)
      zero = Constant <value = int64[1] {0}> ()
      n = Gather (s, zero)
      rest = Constant <value = int64[1] {-1}> ()
      shape = Concat <axis = 0> (n, rest)
      y = Reshape (x, shape)
    }
    """
    rows = count(read_text(text, batch_size=3))
    assert {row.kind for row in rows} == {"free"}
    assert [row.views for row in rows if row.op_type == "Reshape"] == [1]
    assert sum(sum(row.kernels.values()) for row in rows) == 0


def test_a_value_given_for_an_input_does_not_make_its_arithmetic_free() -> None:
    nodes = [helper.make_node("Add", ["n", "one"], ["m"]), helper.make_node("Expand", ["x", "m"], ["y"])]
    proto = model(nodes, {"n": (I64, [1]), "x": (F, [1])}, ["y"], stored={"one": np.array([1])})
    graph = read(proto.SerializeToString(), Workload(input_values={"n": [6]}), name="m")
    assert graph.shape("y") == (7,)
    assert count(graph)[0].kind == "zero"


def test_enormous_shapes_are_inferred_but_never_computed() -> None:
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["y"]), helper.make_node("Relu", ["y"], ["z"])]
    proto = model(nodes, {"s": (I64, [1])}, ["z"])
    graph = read(proto.SerializeToString(), Workload(input_values={"s": [2_000_000_000_000]}), name="m")
    assert graph.shape("z") == (2_000_000_000_000,)


def test_sequences_keep_the_shapes_of_their_elements() -> None:
    nodes = [
        helper.make_node("SplitToSequence", ["x", "sizes"], ["parts"], axis=0),
        helper.make_node("SequenceAt", ["parts", "last"], ["tail"]),
        helper.make_node("SequenceErase", ["parts", "last"], ["head"]),
        helper.make_node("ConcatFromSequence", ["head"], ["y"], axis=0),
    ]
    stored = {"sizes": np.array([1, 2, 4]), "last": np.array(-1)}
    fed = {"x": np.zeros((7, 3), np.float32)}
    proto = model(nodes, fed, ["tail", "y"], stored=stored)
    graph = read(proto.SerializeToString(), Workload(), name="m")
    assert [graph.shape(name) for name in graph.outputs] == executed_shapes(proto, fed) == [(4, 3), (3, 3)]


def test_node_values_and_attributes_are_plain() -> None:
    nodes = [helper.make_node("Pad", ["x", "pads"], ["y"], mode="edge")]
    proto = model(nodes, {"x": (F, [2, 3])}, ["y"], stored={"pads": np.array([0, 1, 0, 1])})
    (node,) = read(proto.SerializeToString(), Workload(), name="m").nodes
    assert node.values == {1: (0, 1, 0, 1)}
    assert node.attributes == {"mode": "edge"}


def test_module_paths_come_from_either_exporter() -> None:
    old = helper.make_node("Relu", ["x"], ["h"], name="/encoder/layer.0/act/Relu")
    new = helper.make_node("Relu", ["h"], ["y"], name="node_relu")
    entry = new.metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.name_scopes", "['', 'encoder', 'encoder.layer.1.act', 'relu']"
    graph = read(model([old, new], {"x": (F, [2])}, ["y"]).SerializeToString(), Workload(), name="m")
    assert [node.scope for node in graph.nodes] == ["encoder.layer.0.act", "encoder.layer.1.act"]


@pytest.mark.parametrize("skeleton", [b"", b"\x08\x07", b"not a model at all", b"\xff" * 100])
def test_bytes_that_are_no_model_are_refused(skeleton: bytes) -> None:
    with pytest.raises(ModelFormatError, match="m is not an ONNX model"):
        read(skeleton, Workload(), name="m")


def test_an_opset_of_the_future_is_refused() -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])], {"x": (F, [2])}, ["y"], opset=99)
    with pytest.raises(ModelFormatError, match="opset 99"):
        read(proto.SerializeToString(), Workload(), name="m")


def test_a_name_nobody_provides_is_refused() -> None:
    proto = model([helper.make_node("Relu", ["ghost"], ["y"])], {"x": (F, [2])}, ["y"])
    with pytest.raises(ModelFormatError, match="'ghost'"):
        read(proto.SerializeToString(), Workload(), name="m")


def test_contents_that_contradict_their_shape_are_refused() -> None:
    tensor = onnx.TensorProto(data_type=I64, dims=[4], raw_data=b"\0" * 8)
    proto = model([helper.make_node("Reshape", ["x", "s"], ["y"])], {"x": (F, [4])}, ["y"], stored={"s": tensor})
    with pytest.raises(ModelFormatError, match="'s'"):
        read(proto.SerializeToString(), Workload(), name="m")


def test_inputs_that_an_operator_cannot_take_are_explained() -> None:
    proto = model([helper.make_node("MatMul", ["a", "b"], ["y"])], {"a": (F, [2, 3]), "b": (F, [4, 5])}, ["y"])
    with pytest.raises(UnresolvedShapeError, match=r"MatMul node 'y' does not accept its inputs .*\[2, 3\].*\[4, 5\]"):
        read(proto.SerializeToString(), Workload(), name="m")


class TestParameters:
    """Which stored tensors are trainable, and that each counts once."""

    @staticmethod
    def params(nodes: list[Any], stored: dict[str, Any], inputs: dict[str, Any] | None = None) -> int:
        proto = model(nodes, inputs or {"x": (F, [2, 4])}, ["y"], stored=stored)
        return totals(count(read(proto.SerializeToString(), Workload(), name="m"))).params

    def test_a_shared_weight_counts_once_even_transposed(self) -> None:
        nodes = [
            helper.make_node("Gather", ["table", "x"], ["h"]),
            helper.make_node("Transpose", ["table"], ["head"], perm=[1, 0]),
            helper.make_node("MatMul", ["h", "head"], ["y"]),
        ]
        assert self.params(nodes, {"table": absent(F, 100, 8)}, {"x": (I64, [3])}) == 800

    def test_statistics_of_a_normalisation_are_none(self) -> None:
        nodes = [helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])]
        stored = dict.fromkeys("sbmv", np.ones(4, np.float32))
        assert self.params(nodes, stored) == 8

    def test_scalars_and_shapes_are_none(self) -> None:
        nodes = [helper.make_node("Mul", ["x", "half"], ["h"]), helper.make_node("Reshape", ["h", "shape"], ["y"])]
        assert self.params(nodes, {"half": np.float32(0.5), "shape": np.array([4, 2])}) == 0

    def test_weight_normalisation_counts_direction_and_magnitude(self) -> None:
        nodes = [
            helper.make_node("ReduceL2", ["v"], ["norm"], axes=[1]),
            helper.make_node("Div", ["v", "norm"], ["unit"]),
            helper.make_node("Mul", ["unit", "g"], ["w"]),
            helper.make_node("MatMul", ["x", "w"], ["y"]),
        ]
        assert self.params(nodes, {"v": absent(F, 4, 6), "g": absent(F, 4, 1)}) == 28

    def test_rotary_frequencies_are_none(self) -> None:
        nodes = [helper.make_node("Mul", ["x", "model.rotary_emb.inv_freq"], ["y"])]
        assert self.params(nodes, {"model.rotary_emb.inv_freq": np.ones(4, np.float32)}) == 0

    def test_a_trained_bias_is_one_whatever_its_layer_is_called(self) -> None:
        nodes = [
            helper.make_node("Gemm", ["x", "w", "attn.bias"], ["h"]),
            helper.make_node("Add", ["h", "dec.pe"], ["y"]),
        ]
        stored = {"w": absent(F, 4, 6), "attn.bias": np.ones(6, np.float32), "dec.pe": np.ones(6, np.float32)}
        assert self.params(nodes, stored) == 24 + 6 + 6

    def test_a_causal_mask_and_a_table_of_waves_are_none(self) -> None:
        nodes = [helper.make_node("Add", ["x", "h.0.attn.bias"], ["h"]), helper.make_node("Add", ["h", "pe"], ["y"])]
        stored = {"h.0.attn.bias": absent(F, 1, 1, 4, 4), "pe": absent(F, 4, 1, 4)}
        assert self.params(nodes, stored, {"x": (F, [1, 1, 4, 4])}) == 0

    @pytest.mark.parametrize("moved", ["Gather", "Gather Reshape Transpose", "Gather Concat Slice Squeeze"])
    def test_a_quantised_table_counts_behind_what_only_moves_it(self, moved: str) -> None:
        nodes, at = [helper.make_node("Gather", ["table", "x"], ["v0"])], 0
        for op_type in moved.split()[1:]:
            inputs = {"Reshape": ["shape"], "Slice": ["zero", "one", "zero"], "Squeeze": ["zero"], "Concat": [f"v{at}"]}
            extra = {"Concat": {"axis": 0}}.get(op_type, {})
            nodes.append(helper.make_node(op_type, [f"v{at}", *inputs.get(op_type, [])], [f"v{at + 1}"], **extra))
            at += 1
        nodes.append(helper.make_node("DequantizeLinear", [f"v{at}", "scale"], ["y"]))
        stored = {
            "table": np.ones((10, 6), np.int8), "scale": np.float32(0.1), "shape": np.array([6, 1]),
            "zero": np.array([0]), "one": np.array([1]),
        }  # fmt: skip
        assert self.params(nodes, stored, {"x": (I64, [1])}) == 60

    def test_a_table_unpacked_by_hand_counts_without_its_zero_points(self) -> None:
        nodes = [
            helper.make_node("Cast", ["q"], ["f"], to=F),
            helper.make_node("Cast", ["z"], ["zf"], to=F),
            helper.make_node("Sub", ["f", "zf"], ["c"]),
            helper.make_node("Mul", ["c", "s"], ["w"]),
            helper.make_node("MatMul", ["x", "w"], ["y"]),
        ]
        stored = {"q": absent(TensorProto.INT8, 4, 6), "z": np.ones(6, np.int8), "s": np.float32(0.1)}
        assert self.params(nodes, stored) == 24

    def test_quantised_weights_count_as_what_they_stand_for(self) -> None:
        nodes = [
            helper.make_node("DequantizeLinear", ["q", "scale"], ["w"]),
            helper.make_node("MatMul", ["x", "w"], ["y"]),
        ]
        assert self.params(nodes, {"q": np.ones((4, 6), np.int8), "scale": np.float32(0.1)}) == 24


UNEQUAL = """
<ir_version: 8, opset_import: ["": 16]>
g (int64 n, float[1, 4] x) => (y) {
  yes = Constant <value = bool {1}> ()
  y = Loop (n, yes, x) <body = b (int64 i, bool go, float[1, 4] h) => (bool more, float[1, 4] h2) {
    zero = Constant <value = int64 {0}> ()
    one = Constant <value = int64 {1}> ()
    four = Constant <value = int64[1] {4}> ()
    more = Identity (go)
    r = Range (zero, i, one)
    length = Shape (r)
    size = Concat <axis = 0> (length, four)
    wide = Expand (h, size)
    turned = Transpose <perm = [1, 0]> (wide)
    square = MatMul (turned, wide)
    h2 = Identity (h)
  }>
}
"""


def test_passes_that_differ_by_their_number_ask_for_nothing() -> None:
    """Whether the rest of the passes repeats one is tried without their number; what is open there is no question."""
    graph = read_text(UNEQUAL, input_values={"n": 40})
    assert graph.shape(graph.outputs[0]) == (1, 4)


CHOICE = """
<ir_version: 8, opset_import: ["": 17]>
g (float[1, 16] x, float[16, 8] w, float[16, 4] v) => (y) {
  s = MatMul (x, v)
  t = ReduceMax <axes = [1]> (s)
  c = Cast <to = 9> (t)
  y = If (c) <then_branch = a () => (float[1, 8] p) { p = MatMul (x, w) }, else_branch = b () => (float[1, 8] q) {
    z = Constant <value = float[1, 8] {0,0,0,0,0,0,0,0}> ()
    q = Identity (z)
  }>
}
"""


@pytest.mark.parametrize(("content", "expected"), [(1, 64 + 128), ([[True]], 64 + 128), (0, 64), ([[0]], 64)])
def test_a_condition_may_be_said_as_a_number_or_in_full(content: Any, expected: int) -> None:
    with pytest.raises(UnresolvedShapeError) as caught:
        read_text(CHOICE)
    assert caught.value.options == ("--value c=1",)
    assert macs(canonicalise(read_text(CHOICE, input_values={"c": content}))) == expected


def test_a_condition_of_another_shape_is_refused() -> None:
    with pytest.raises(WorkloadError, match=r"'c' \(Cast\) has shape \[1, 1\], not \[1\]"):
        read_text(CHOICE, input_values={"c": [1]})


@pytest.mark.parametrize("first", [1, "batch", "batch + 0"])
def test_outputs_of_another_vendor_may_be_declared_with_symbols(first: Any) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Pick", ["a"], ["y"], domain="vendor.plugin")]
    proto = model(nodes, {"x": (F, ["batch", 3])}, [], domains={"vendor.plugin": 1})
    proto.graph.output.append(helper.make_tensor_value_info("y", F, [first, 100, 4]))
    graph = read(proto.SerializeToString(), Workload(batch_size=2), name="m")
    assert graph.shape("y") == (1 if first == 1 else 2, 100, 4)
    assert coverage(count(graph)).unsupported == ("vendor.plugin:Pick",)


def test_an_output_of_another_vendor_that_stays_open_is_refused() -> None:
    node = helper.make_node("Pick", ["x"], ["y"], domain="vendor.plugin")
    proto = model([node], {"x": (F, ["batch", 3])}, [], domains={"vendor.plugin": 1})
    proto.graph.output.append(helper.make_tensor_value_info("y", F, ["boxes", 4]))
    with pytest.raises(UnsupportedOperatorError, match="does not say its output shape"):
        read(proto.SerializeToString(), Workload(), name="m")


def test_questions_come_together_and_the_file_is_read_on_with_examples() -> None:
    text = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[batch, length, 4] x, int64[1] c, float[4, 4] w) => (y, z) {
      p = MatMul (x, w)
      y = Squeeze (p, c)
      z = Identity (w)
    }
    """
    with pytest.raises(UnresolvedShapeError, match="leaves dimension length open; the shape of 'y'") as caught:
        read_text(text)
    assert caught.value.options == ("--input x=batch,…,4", "--value c=…")
