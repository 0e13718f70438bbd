"""Whether a file is damaged or joulecast has a defect: nobody is told the one for the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from joulecast.counting import count, registry
from joulecast.errors import InternalInconsistencyError, ModelFormatError
from joulecast.graph import ModelGraph
from joulecast.layers import Workload
from joulecast.readers.onnx import read, roles, walk
from tests.unit.readers.small_models import model

F = TensorProto.FLOAT
PRODUCT = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")


def graph_of(*nodes: Any) -> ModelGraph:
    stored = {"w": np.ones((4, 4), np.float32)}
    return read(model(nodes, {"x": (F, [2, 4])}, ["y"], stored=stored).SerializeToString(), Workload(), name="m")


def defect(*_: Any, **__: Any) -> Any:
    raise KeyError("nothing of the file")


@pytest.mark.parametrize("target", ["node", "model"])
def test_a_defect_of_the_reader_is_no_damage_of_the_file(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name = (walk, "recorded") if target == "node" else (roles, "assign")
    monkeypatch.setattr(where, name, defect)
    what = "the MatMul node 'product'" if target == "node" else "m"
    with pytest.raises(InternalInconsistencyError, match=rf"reading {what} failed \(KeyError.*report") as raised:
        graph_of(PRODUCT)
    assert isinstance(raised.value.__cause__, KeyError)


def test_a_defect_of_a_counting_rule_is_no_damage_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(PRODUCT)
    count(graph)  # every rule is registered by now
    monkeypatch.setitem(registry._rules, ("", "MatMul"), defect)
    with pytest.raises(
        InternalInconsistencyError, match=r"counting the MatMul node 'product' failed \(KeyError"
    ) as raised:
        count(graph)
    assert isinstance(raised.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("node", "fault"),
    [
        (helper.make_node("ConcatFromSequence", ["q"], ["y"], name="n"), "Required attribute 'axis' is missing"),
        (helper.make_node("Concat", ["x"], ["y"], name="n", axis="first"), "is of kind STRING, not INT"),
        (helper.make_node("Scan", ["x"], ["y"], name="n", num_scan_inputs=1), "has no graph 'body'"),
    ],
)
def test_a_damaged_node_is_named_with_its_fault(node: Any, fault: str) -> None:
    with pytest.raises(ModelFormatError, match=f"'n'.*{fault}"):
        graph_of(helper.make_node("SequenceConstruct", ["x"], ["q"]), node)
