"""Operators in the forms of opsets 7 to 12, where many deployed files live, against onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from onnx import helper

from joulecast.counting import count
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from tests.unit.readers.small_models import executed_shapes, model

X = np.linspace(-1, 1, 2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
ROW = np.ones((1, 3, 1, 4), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """An operator's form: the opsets that have it, its inputs in order (arrays are fed or stored), attributes, number
    of outputs."""

    op_type: str
    opsets: tuple[int, ...]
    inputs: tuple[Any, ...] = (X,)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    kind: str = "zero"


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def floats(*values: float) -> Any:
    return np.array(values, dtype=np.float32)


FORMS = {
    "squeeze attribute": Form(
        op_type="Squeeze", opsets=(7, 11, 12), inputs=(ROW,), attributes={"axes": [0, 2]}, kind="free"
    ),
    "squeeze negative": Form(op_type="Squeeze", opsets=(11, 12), inputs=(ROW,), attributes={"axes": [-2]}, kind="free"),
    "squeeze all": Form(op_type="Squeeze", opsets=(7, 12, 13), inputs=(ROW,), kind="free"),
    "unsqueeze attribute": Form(op_type="Unsqueeze", opsets=(7, 11, 12), attributes={"axes": [0, 5]}, kind="free"),
    "unsqueeze input": Form(op_type="Unsqueeze", opsets=(13, 17), inputs=(X, ints(0, 5)), kind="free"),
    "slice attribute": Form(
        op_type="Slice", opsets=(7, 9), attributes={"starts": [1, -3], "ends": [3, 1000], "axes": [1, 3]}, kind="free"
    ),
    "slice attribute without axes": Form(
        op_type="Slice", opsets=(7, 9), attributes={"starts": [0, 1], "ends": [1, 3]}, kind="free"
    ),
    "slice inputs": Form(
        op_type="Slice", opsets=(10, 11, 12), inputs=(X, ints(1, 0), ints(3, 9), ints(1, 3), ints(1, 2)), kind="free"
    ),
    "slice backwards": Form(
        op_type="Slice", opsets=(10, 12), inputs=(X, ints(3), ints(-99), ints(2), ints(-2)), kind="free"
    ),
    "pad attribute": Form(
        op_type="Pad", opsets=(7, 10), attributes={"pads": [0, 0, 1, 2, 0, 0, 3, 3], "mode": "reflect"}
    ),
    "pad cropping": Form(op_type="Pad", opsets=(7, 10), attributes={"pads": [0, 0, -1, 0, 0, 0, 0, 2], "value": 1.0}),
    "pad input": Form(op_type="Pad", opsets=(11, 12), inputs=(X, ints(0, 0, 1, 2, 0, 0, 3, 4), floats(1)[0])),
    "reducesum attribute": Form(op_type="ReduceSum", opsets=(7, 11, 12), attributes={"axes": [1, 3], "keepdims": 0}),
    "reducesum all": Form(op_type="ReduceSum", opsets=(7, 12), attributes={"keepdims": 1}),
    "reducesum input": Form(op_type="ReduceSum", opsets=(13, 17), inputs=(X, ints(-1)), attributes={"keepdims": 0}),
    "reducemean attribute": Form(op_type="ReduceMean", opsets=(7, 11, 12, 17), attributes={"axes": [2, 3]}),
    "reducel2 attribute": Form(op_type="ReduceL2", opsets=(7, 12), attributes={"axes": [1], "keepdims": 0}),
    "upsample attribute": Form(
        op_type="Upsample", opsets=(7, 8), attributes={"scales": [1.0, 1.0, 2.0, 3.0], "mode": "nearest"}
    ),
    "upsample input": Form(
        op_type="Upsample", opsets=(9,), inputs=(X, floats(1, 1, 2, 2.5)), attributes={"mode": "linear"}
    ),
    "resize scales": Form(
        op_type="Resize", opsets=(10,), inputs=(X, floats(1, 1, 0.5, 2)), attributes={"mode": "nearest"}
    ),
    "resize scales with roi": Form(op_type="Resize", opsets=(11, 12, 13), inputs=(X, floats(), floats(1, 1, 2, 1.5))),
    "resize sizes": Form(op_type="Resize", opsets=(11, 12, 13), inputs=(X, floats(), floats(), ints(2, 3, 7, 5))),
    "clip attribute": Form(op_type="Clip", opsets=(7, 10), attributes={"min": 0.0, "max": 6.0}),
    "clip inputs": Form(op_type="Clip", opsets=(11, 12, 13), inputs=(X, floats(0)[0], floats(6)[0])),
    "dropout attribute": Form(op_type="Dropout", opsets=(7, 10), attributes={"ratio": 0.5}, kind="free"),
    "dropout input": Form(op_type="Dropout", opsets=(12, 13), inputs=(X, floats(0.5)[0]), kind="free"),
    "dropout mask": Form(op_type="Dropout", opsets=(7, 10, 12), outputs=2, kind="free"),
    "split attribute": Form(
        op_type="Split", opsets=(7, 11, 12), attributes={"axis": 1, "split": [1, 2]}, outputs=2, kind="free"
    ),
    "split equal": Form(op_type="Split", opsets=(7, 12, 13), attributes={"axis": 3}, outputs=2, kind="free"),
    "split input": Form(
        op_type="Split", opsets=(13, 17), inputs=(X, ints(1, 3)), attributes={"axis": 2}, outputs=2, kind="free"
    ),
    "topk attribute": Form(op_type="TopK", opsets=(7, 9), attributes={"k": 2, "axis": 3}, outputs=2),
    "topk input": Form(op_type="TopK", opsets=(10, 11, 12), inputs=(X, ints(2)), attributes={"axis": 1}, outputs=2),
    "batchnormalization": Form(
        op_type="BatchNormalization", opsets=(7, 9, 12, 14), inputs=(X, *[np.ones(3, np.float32)] * 4)
    ),
    "softmax": Form(op_type="Softmax", opsets=(7, 11, 12, 13), attributes={"axis": 1}),
    "flatten": Form(op_type="Flatten", opsets=(7, 9, 11), attributes={"axis": 2}, kind="free"),
    "flatten negative": Form(op_type="Flatten", opsets=(11, 12), attributes={"axis": -1}, kind="free"),
    "reshape": Form(op_type="Reshape", opsets=(7, 12), inputs=(X, ints(0, -1, 8)), kind="free"),
    "expand": Form(op_type="Expand", opsets=(8, 12), inputs=(ROW, ints(2, 1, 5, 1)), kind="free"),
    "tile": Form(op_type="Tile", opsets=(7, 12), inputs=(X, ints(1, 2, 1, 3))),
    "gather": Form(op_type="Gather", opsets=(7, 11, 12), inputs=(X, ints(0, 2, 1)), attributes={"axis": 1}),
    "onehot": Form(
        op_type="OneHot", opsets=(9, 11, 12), inputs=(ints(0, 2, 1), ints(4), floats(0, 1)), attributes={"axis": -1}
    ),
    "constantofshape": Form(op_type="ConstantOfShape", opsets=(9, 12), inputs=(ints(2, 3),)),
    "cast": Form(op_type="Cast", opsets=(7, 9, 12), attributes={"to": 7}),
    "averagepool": Form(
        op_type="AveragePool",
        opsets=(7, 10, 11),
        attributes={"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    ),
    "averagepool ceil": Form(
        op_type="AveragePool", opsets=(10, 11), attributes={"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}
    ),
    "maxpool ceil": Form(
        op_type="MaxPool", opsets=(10, 11, 12), attributes={"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}
    ),
    "maxpool same": Form(
        op_type="MaxPool",
        opsets=(7, 8, 12),
        attributes={"kernel_shape": [2, 2], "strides": [3, 3], "auto_pad": "SAME_UPPER"},
    ),
    "scatter": Form(
        op_type="Scatter", opsets=(9, 10), inputs=(X[0, 0], ints(0, 1, 2, 3)[None], ROW[0, 0]), attributes={"axis": 0}
    ),
    "matmul": Form(op_type="MatMul", opsets=(7, 9, 12), inputs=(X, X[0].swapaxes(1, 2)), kind="counted"),
    "gemm": Form(
        op_type="Gemm",
        opsets=(7, 9, 11),
        inputs=(X[0, 0], X[0, 1], floats(0)[0]),
        attributes={"transB": 1},
        kind="counted",
    ),
    "gemm without bias": Form(
        op_type="Gemm", opsets=(11, 12), inputs=(X[0, 0], X[0, 1]), attributes={"transA": 1}, kind="counted"
    ),
    "conv same": Form(
        op_type="Conv",
        opsets=(7, 11),
        inputs=(X, np.ones((6, 1, 3, 3), np.float32)),
        attributes={"group": 3, "auto_pad": "SAME_LOWER", "strides": [2, 2]},
        kind="counted",
    ),
    "convtranspose output_shape": Form(
        op_type="ConvTranspose",
        opsets=(7, 11),
        inputs=(X, np.ones((3, 2, 3, 3), np.float32)),
        attributes={"strides": [2, 2], "output_shape": [9, 8]},
        kind="counted",
    ),
    "where": Form(op_type="Where", opsets=(9, 12), inputs=(X > 0, X, ROW)),
    "mod": Form(op_type="Mod", opsets=(10, 12), inputs=(X, ROW), attributes={"fmod": 1}),
    "lrn": Form(op_type="LRN", opsets=(7, 12), attributes={"size": 3}),
    "instancenormalization": Form(
        op_type="InstanceNormalization", opsets=(7, 12), inputs=(X, *[np.ones(3, np.float32)] * 2)
    ),
    "meanvariancenormalization": Form(op_type="MeanVarianceNormalization", opsets=(9, 12)),
    "greaterorequal": Form(op_type="GreaterOrEqual", opsets=(12,), inputs=(X, ROW)),
    "lppool": Form(op_type="LpPool", opsets=(7, 11), attributes={"kernel_shape": [2, 2]}),
    "depthtospace": Form(
        op_type="DepthToSpace",
        opsets=(7, 11, 12),
        inputs=(np.ones((1, 8, 2, 2), np.float32),),
        attributes={"blocksize": 2},
    ),
    "nonmaxsuppression": Form(
        op_type="NonMaxSuppression",
        opsets=(10, 11),
        inputs=(
            np.array([[[0, 0, 1, 1], [0, 0, 2, 2]]], np.float32),
            np.ones((1, 1, 2), np.float32),
            ints(2),
            floats(0.5),
            floats(0),
        ),
    ),
}

CASES = [(name, opset) for name, form in FORMS.items() for opset in form.opsets]


@pytest.mark.parametrize(("name", "opset"), CASES)
def test_shapes_are_those_of_onnxruntime(name: str, opset: int) -> None:
    form = FORMS[name]
    given = {f"i{index}": np.asarray(array) for index, array in enumerate(form.inputs)}
    outputs = [f"o{index}" for index in range(form.outputs)]
    node = helper.make_node(form.op_type, list(given), outputs, **form.attributes)
    fed, stored = {"i0": given.pop("i0")}, given
    proto = model([node], fed, outputs, stored=stored, opset=opset)
    values = fed if form.op_type in ("ConstantOfShape", "NonMaxSuppression") else {}
    graph = read(proto.SerializeToString(), Workload(input_values=values), name=name)
    assert [graph.shape(output) for output in graph.outputs] == executed_shapes(proto, fed)
    (row,) = [row for row in count(graph) if row.op_type == form.op_type]
    assert row.kind == form.kind
