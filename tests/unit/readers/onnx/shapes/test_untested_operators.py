"""Operators for which the standard carries no node test, against onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from joulecast.counting import count
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from tests.contract.node_tests import node_tests
from tests.unit.readers.small_models import executed_shapes, model

ML = "ai.onnx.ml"
X = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
IMAGE = np.ones((2, 3, 8, 8), np.float32)
TREE: dict[str, Any] = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [0, 0, 0],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
}
CLASSES = {"class_treeids": [0, 0], "class_nodeids": [1, 2], "class_ids": [0, 1], "class_weights": [1.0, 1.0]}
TARGETS = {"target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 1], "target_weights": [1.0, 2.0]}
SVM: dict[str, Any] = {
    "support_vectors": [0.1] * 15,
    "kernel_type": "RBF",
    "kernel_params": [0.1, 0.0, 0.0],
    "rho": [0.1],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call: inputs in order (the first is fed, the rest stored), what the row must be, and whether onnxruntime
    yields tensors."""

    op_type: str
    inputs: tuple[Any, ...] = (X,)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    kind: str = "zero"
    macs: int = 0
    domain: str = ""
    tensors: bool = True


CALLS = {
    "GlobalLpPool": Call(op_type="GlobalLpPool", inputs=(IMAGE,), attributes={"p": 2}),
    "MaxRoiPool": Call(
        op_type="MaxRoiPool",
        inputs=(IMAGE, np.array([[0, 0, 0, 4, 4], [1, 0, 0, 7, 7]], np.float32)),
        attributes={"pooled_shape": [2, 3]},
    ),
    "Multinomial": Call(op_type="Multinomial", attributes={"sample_size": 6}),
    "RandomNormal": Call(op_type="RandomNormal", inputs=(), attributes={"shape": [2, 3]}),
    "RandomUniform": Call(op_type="RandomUniform", inputs=(), attributes={"shape": [2, 3]}),
    "RandomNormalLike": Call(op_type="RandomNormalLike"),
    "LinearRegressor": Call(
        op_type="LinearRegressor",
        attributes={"coefficients": [0.1] * 15, "intercepts": [0.0] * 3, "targets": 3},
        domain=ML,
        kind="counted",
        macs=4 * 5 * 3,
    ),
    "LinearClassifier": Call(
        op_type="LinearClassifier",
        attributes={
            "coefficients": [0.1] * 15,
            "intercepts": [0.0] * 3,
            "classlabels_ints": [0, 1, 2],
            "multi_class": 1,
        },
        outputs=2,
        domain=ML,
        kind="counted",
        macs=4 * 5 * 3,
    ),
    "SVMRegressor": Call(
        op_type="SVMRegressor",
        attributes=SVM | {"coefficients": [1.0] * 3, "n_supports": 3},
        domain=ML,
        kind="counted",
        macs=4 * 5 * 3 + 4 * 3,
    ),
    "SVMClassifier": Call(
        op_type="SVMClassifier",
        attributes=SVM | {"coefficients": [1.0] * 3, "classlabels_ints": [0, 1], "vectors_per_class": [1, 2]},
        outputs=2,
        domain=ML,
        kind="counted",
        macs=4 * 5 * 3 + 4 * 3,
    ),
    "TreeEnsembleRegressor": Call(
        op_type="TreeEnsembleRegressor", attributes=TREE | TARGETS | {"n_targets": 2}, domain=ML, kind="unsupported"
    ),
    "TreeEnsembleClassifier": Call(
        op_type="TreeEnsembleClassifier",
        attributes=TREE | CLASSES | {"classlabels_int64s": [0, 1]},
        outputs=2,
        domain=ML,
        kind="unsupported",
    ),
    "Scaler": Call(op_type="Scaler", attributes={"offset": [0.0] * 5, "scale": [2.0] * 5}, domain=ML),
    "Normalizer": Call(op_type="Normalizer", attributes={"norm": "L2"}, domain=ML),
    "Imputer": Call(op_type="Imputer", attributes={"imputed_value_floats": [0.0]}, domain=ML),
    "OneHotEncoder": Call(
        op_type="OneHotEncoder", inputs=(np.arange(4),), attributes={"cats_int64s": [0, 1, 2], "zeros": 1}, domain=ML
    ),
    "FeatureVectorizer": Call(
        op_type="FeatureVectorizer", inputs=(X, X), attributes={"inputdimensions": [5, 5]}, domain=ML
    ),
    "CategoryMapper": Call(
        op_type="CategoryMapper",
        inputs=(np.arange(4),),
        attributes={"cats_int64s": [0, 1], "cats_strings": ["a", "b"], "default_string": "?"},
        domain=ML,
        kind="unsupported",
    ),
    "ZipMap": Call(
        op_type="ZipMap",
        attributes={"classlabels_int64s": [0, 1, 2, 3, 4]},
        domain=ML,
        kind="unsupported",
        tensors=False,
    ),
}

ELSEWHERE = {"ConcatFromSequence", "SequenceErase"}
"""Tested with the walk's sequences."""

WITHOUT_A_RUN = {"CastMap", "DictVectorizer", "Gradient"}
"""Unsupported operators on maps, which a workload cannot feed, and of training."""


def called(name: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    call = CALLS[name]
    given = {f"i{index}": array for index, array in enumerate(call.inputs)}
    node = helper.make_node(
        call.op_type, list(given), [f"o{i}" for i in range(call.outputs)], domain=call.domain, **call.attributes
    )
    fed = {"i0": given.pop("i0")} if given else {}
    domains = {ML: 3} if call.domain else {}
    return model([node], fed, list(node.output), stored=given, domains=domains), fed


@pytest.mark.parametrize("name", CALLS)
def test_shapes_kind_and_macs(name: str) -> None:
    call = CALLS[name]
    proto, fed = called(name)
    graph = read(proto.SerializeToString(), Workload(), name=name)
    if call.tensors:
        assert [graph.shape(output) for output in graph.outputs] == executed_shapes(proto, fed)
    (row,) = count(graph)
    assert (row.kind, row.macs) == (call.kind, call.macs)


@pytest.mark.slow
def test_no_operator_is_left_out() -> None:
    tested = {node.op_type for test in node_tests() for node in all_nodes(test.model)}
    standard = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
    assert standard - tested <= CALLS.keys() | ELSEWHERE | WITHOUT_A_RUN


def all_nodes(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    found = [node for function in proto.functions for node in function.node]
    graphs = [proto.graph]
    while graphs:
        graph = graphs.pop()
        found += graph.node
        graphs += [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return found
