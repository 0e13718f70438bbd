from __future__ import annotations

from joulecast.counting import count
from joulecast.graph import ModelGraph, Node, Tensor
from joulecast_calibration.rows.latencies.autocast import autocast


def _graph() -> ModelGraph:
    """Return a residual block of a transformer: norm, product, scores, and the sum with what came in."""
    shapes = {"x": (2, 8, 16), "n": (2, 8, 16), "h": (2, 8, 16), "g": (2, 8, 16), "s": (2, 8, 16), "y": (2, 8, 16)}
    tensors = {name: Tensor(name=name, dtype="float32", shape=shape) for name, shape in shapes.items()}
    tensors["w"] = Tensor(name="w", dtype="float32", shape=(16, 16), role="parameter")
    tensors["gamma"] = Tensor(name="gamma", dtype="float32", shape=(16,), role="parameter")
    nodes = (
        Node(name="norm", op_type="LayerNormalization", inputs=("x", "gamma"), outputs=("n",)),
        Node(name="fc", op_type="Gemm", inputs=("n", "w"), outputs=("h",), attributes={"transB": 1}),
        Node(name="act", op_type="Gelu", inputs=("h",), outputs=("g",)),
        Node(name="soft", op_type="Softmax", inputs=("g",), outputs=("s",)),
        Node(name="sum", op_type="Add", inputs=("h", "s"), outputs=("y",)),
    )
    return ModelGraph(name="block", nodes=nodes, tensors=tensors, inputs=("x",), outputs=("y",), opset=24)


def test_products_run_low_and_norms_and_softmax_in_float32_with_casts_between() -> None:
    found = autocast(_graph())
    assert [node.op_type for node in found.nodes] == [
        "LayerNormalization", "Cast", "Cast", "Gemm", "Gelu", "Cast", "Softmax", "Add",
    ]  # fmt: skip
    types = {name: found.tensors[name].dtype for name in ("n", "h", "g", "s", "y")}
    assert types == {"n": "float32", "h": "float16", "g": "float16", "s": "float32", "y": "float32"}


def test_casts_move_bytes_and_the_sum_reads_both_types() -> None:
    rows = {row.name: row for row in count(autocast(_graph()))}
    elements = 2 * 8 * 16
    weights = next(row for row in rows.values() if row.op_type == "Cast" and row.weight_numel)
    assert weights.bytes_moved == 16 * 16 * (4 + 2)
    assert rows["fc"].bytes_moved == (2 * elements + 16 * 16) * 2
    assert rows["sum"].bytes_moved == elements * (2 + 4 + 4)


def test_macs_stay() -> None:
    assert sum(row.macs for row in count(autocast(_graph()))) == sum(row.macs for row in count(_graph()))
