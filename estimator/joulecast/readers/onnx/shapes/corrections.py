"""Corrections where the pinned onnx infers a wrong shape or none."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper

from joulecast.readers.onnx.attributes import plain
from joulecast.readers.onnx.shapes.inference import SHAPE_OF_FIRST
from joulecast.readers.onnx.values import SMALL_NUMEL, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnx import NodeProto

    Inputs = Sequence[Value | None]
    Before = Callable[[NodeProto, Inputs], list[Value] | None]


def before(node: NodeProto, inputs: Inputs) -> list[Value] | None:
    """Return the outputs of an operator that the library infers wrongly, else ``None``."""
    rule = _BEFORE.get((node.domain, node.op_type))
    return rule(node, inputs) if rule is not None else None


def after(node: NodeProto, inputs: Inputs, outputs: list[Value]) -> list[Value]:
    """Return what the library inferred, completed where it infers nothing."""
    first = inputs[0] if inputs else None
    if first is None or all(v.shape is not None or v.container is not None for v in outputs):
        return outputs
    if node.op_type in SHAPE_OF_FIRST:
        return [v if v.shape is not None else replace(v, elem=v.elem or first.elem, shape=first.shape) for v in outputs]
    columns = _columns(node)
    if columns is not None and first.shape:
        rows = first.shape[0] if len(first.shape) > 1 else 1
        return [replace(outputs[0], elem=TensorProto.FLOAT, shape=(rows, columns)), *outputs[1:]]
    return outputs


def _columns(node: NodeProto) -> int | None:
    """Return the output columns of ai.onnx.ml's operators that infer nothing in some version."""
    if node.domain != "ai.onnx.ml":
        return None
    attributes = plain(node)
    if node.op_type in ("LinearRegressor", "TreeEnsembleRegressor"):
        return int(attributes.get("targets", attributes.get("n_targets", 1)))
    if node.op_type == "FeatureVectorizer":
        return int(sum(attributes["inputdimensions"]))
    return 1 if node.op_type == "SVMRegressor" else None


def _svm_classifier(node: NodeProto, inputs: Inputs) -> list[Value] | None:
    """Return a label and one score a class for each row, which the library does not infer."""
    data, attributes = inputs[0], plain(node)
    if data is None or not data.shape:
        return None
    rows = data.shape[0] if len(data.shape) > 1 else 1
    strings = attributes.get("classlabels_strings")
    classes = len(strings or attributes["classlabels_ints"])
    label = TensorProto.STRING if strings else TensorProto.INT64
    return [
        Value(name="", elem=label, shape=(rows,)),
        Value(name="", elem=TensorProto.FLOAT, shape=(rows, classes)),
    ]


def _scalar(inputs: Inputs, position: int) -> Any:
    """Return the content of an input of one element, ``None`` if absent or unknown."""
    value = inputs[position] if position < len(inputs) else None
    return value.data.reshape(())[()] if value is not None and value.data is not None and value.data.size == 1 else None


def _stft(node: NodeProto, inputs: Inputs) -> list[Value] | None:
    """Infer a signal ``(batch, length, 1 or 2)`` to ``(batch, frames, bins, 2)``.

    The library ignores the default of one side.
    """
    signal, step = inputs[0], _scalar(inputs, 1)
    if signal is None or signal.shape is None or len(signal.shape) < 2 or step is None or not signal.static:
        return None
    length = _frame_length(inputs)
    samples = signal.shape[1] or 0
    if length is None or int(step) < 1 or not 0 < length <= samples:
        return None
    bins = length // 2 + 1 if plain(node).get("onesided", 1) else length
    frames = (samples - length) // int(step) + 1
    return [Value(name="", elem=signal.elem, shape=(signal.shape[0], frames, bins, 2))]


def _frame_length(inputs: Inputs) -> int | None:
    given = _scalar(inputs, 3)
    if given is not None:
        return int(given)
    window = inputs[2] if len(inputs) > 2 else None
    return window.shape[0] if window is not None and window.shape else None


def _range(node: NodeProto, inputs: Inputs) -> list[Value] | None:
    """Infer ``ceil((limit - start) / delta)`` elements.

    The library refuses one-element vectors and half-precision floats.
    """
    start, limit, delta = (_scalar(inputs, position) for position in range(3))
    if start is None or limit is None or delta is None or float(delta) == 0 or inputs[0] is None:
        return None
    span = (float(limit) - float(start)) / float(delta)
    if not math.isfinite(span):
        return None
    numel = max(math.ceil(span), 0)
    data = None
    if numel <= SMALL_NUMEL:
        data = (start + np.arange(numel) * delta).astype(helper.tensor_dtype_to_np_dtype(inputs[0].elem))
    return [Value(name="", elem=inputs[0].elem, shape=(numel,), data=data)]


def _max_unpool(node: NodeProto, inputs: Inputs) -> list[Value] | None:
    """Return the shape that an input gives, which the library does not read."""
    if len(inputs) < 3 or inputs[2] is None or inputs[2].data is None or inputs[0] is None:
        return None
    return [Value(name="", elem=inputs[0].elem, shape=tuple(int(d) for d in inputs[2].data))]


def _top_k(node: NodeProto, inputs: Inputs) -> list[Value] | None:
    """Infer with ``k`` as a vector of one element or, in damaged exports, as a scalar, for which the library raises."""
    data, k = inputs[0], _scalar(inputs, 1)
    if data is None or not data.shape or k is None:
        return None
    axis = int(plain(node).get("axis", -1)) % len(data.shape)
    shape = (*data.shape[:axis], int(k), *data.shape[axis + 1 :])
    return [Value(name="", elem=data.elem, shape=shape), Value(name="", elem=TensorProto.INT64, shape=shape)]


_BEFORE: dict[tuple[str, str], Before] = {
    ("", "STFT"): _stft,
    ("", "Range"): _range,
    ("", "MaxUnpool"): _max_unpool,
    ("", "TopK"): _top_k,
    ("ai.onnx.ml", "SVMClassifier"): _svm_classifier,
}
