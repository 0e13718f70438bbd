"""Values of small nodes, computed by ONNX's own reference implementation after their shapes were bounded."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import FunctionProto, NodeProto, helper
from onnx.reference import ReferenceEvaluator

from joulecast.readers.onnx.shapes.inference import bare_node
from joulecast.readers.onnx.values import SMALL_NUMEL, Value, static_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

SHAPE_READERS = frozenset({"Shape", "Size"})
"""Operators that read only the shape of their input, so its content may be unknown."""

BOUNDED_BY_INPUT = frozenset({"NonZero", "Unique", "Compress", "NonMaxSuppression", "StringSplit", "StringNormalizer"})
"""Operators whose output depends on content but holds no more elements than a small multiple of their inputs."""

FOLDABLE = (
    SHAPE_READERS
    | BOUNDED_BY_INPUT
    | frozenset(
        """Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr
        BitwiseXor
    Cast CastLike Ceil
    Celu Clip Concat ConstantOfShape Cos Cosh CumSum Div Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather
    GatherElements GatherND
    Greater GreaterOrEqual HardSigmoid Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mod Mul Neg
    Not OneHot Or Pad Pow
    Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare
    Relu Reshape ReverseSequence Round Scatter ScatterElements ScatterND Selu Sigmoid Sign Sin Sinh Slice Softmax
    Softplus Softsign Split Sqrt
    Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor""".split()
    )
)
"""Standard operators cheap in the size of what they read and write. Anything else (regular expressions, images,
randomness,
matrix products, recurrences) is never run on a user's file."""


@dataclass(slots=True)
class Folding:
    """One-node evaluators, made once for equal nodes."""

    opsets: dict[str, int]
    _evaluators: dict[bytes, ReferenceEvaluator | None] = field(default_factory=dict)

    def values(self, node: NodeProto, inputs: Sequence[Value | None], outputs: Sequence[Value]) -> list[Any] | None:
        """Compute the content of every output, or return ``None`` if it is unknown or too large to keep.

        ``outputs`` are the inferred ones: nothing is computed unless each is bounded by ``SMALL_NUMEL`` elements.
        """
        if not _may_fold(node, inputs, outputs):
            return None
        evaluator = self._evaluator(node)
        if evaluator is None:
            return None
        feeds = {f"i{index}": _feed(value) for index, value in enumerate(inputs) if value is not None}
        return _run(evaluator, feeds)

    def _evaluator(self, node: NodeProto) -> ReferenceEvaluator | None:
        bare = bare_node(node)
        key = bare.SerializeToString()
        if key not in self._evaluators:
            self._evaluators[key] = _make(bare, self.opsets)
        return self._evaluators[key]


def _may_fold(node: NodeProto, inputs: Sequence[Value | None], outputs: Sequence[Value]) -> bool:
    if node.domain or node.op_type not in FOLDABLE or "" in node.output:
        return False
    if node.op_type not in BOUNDED_BY_INPUT and any(v.numel is None or v.numel > SMALL_NUMEL for v in outputs):
        return False
    if node.op_type in SHAPE_READERS:
        return all(value is not None and value.static for value in inputs)
    if node.op_type == "CastLike":  # of the second input it takes the type alone
        inputs = inputs[:1]
    return all(value is None or value.known for value in inputs)


def _feed(value: Value) -> Any:
    """Return the content, or one element with strides of zero for an operator that reads shape or type alone."""
    if value.data is not None:
        return value.data
    return np.broadcast_to(np.zeros((), helper.tensor_dtype_to_np_dtype(value.elem)), static_shape(value) or ())


def _make(node: NodeProto, opsets: dict[str, int]) -> ReferenceEvaluator | None:
    names = [name for name in node.input if name]
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    function = FunctionProto(
        name="one", domain="joulecast.one", input=names, output=list(node.output), opset_import=imports
    )
    function.node.append(node)
    try:
        return ReferenceEvaluator(function)
    except Exception:
        return None  # the library implements no such form: its value stays unknown


def _run(evaluator: ReferenceEvaluator, feeds: dict[str, Any]) -> list[Any] | None:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = evaluator.run(None, feeds, attributes={})
    except Exception:
        return None  # a value that the library cannot compute stays unknown
    arrays = [np.asarray(value) for value in found]
    return arrays if all(array.size <= SMALL_NUMEL for array in arrays) else None
