"""Operators that carry no MACs by definition: they move bytes and launch a kernel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from joulecast.counting.registry import Cost, rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from joulecast.graph import ModelGraph, Node

ZERO = Cost(kind="zero")

STANDARD = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Bernoulli BitCast BitShift
BitwiseAnd
BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress Concat
ConcatFromSequence
ConstantOfShape Cos Cosh CumProd CumSum DFT DepthToSpace DequantizeLinear Det Div DynamicQuantizeLinear Elu Equal Erf
Exp EyeLike Floor
Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HammingWindow
HannWindow HardSigmoid
HardSwish Hardmax InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax
LpNormalization
LpPool Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg
NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow QuantizeLinear RMSNormalization
RandomNormal
RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
ReduceMax ReduceMean
ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu ReverseSequence RoiAlign RotaryEmbedding Round Scatter
ScatterElements
ScatterND Selu Shrink Sigmoid Sign SimplifiedLayerNormalization Sin Sinh Softmax SoftmaxCrossEntropyLoss Softplus
Softsign SpaceToDepth SplitToSequence Sqrt Sub Sum
STFT SwiGLU Swish Tan Tanh TensorScatter ThresholdedRelu Tile TopK Trilu Unique Where Xor
""".split()


@rule("zero", *STANDARD)
def _zero(node: Node, graph: ModelGraph) -> Cost:
    return ZERO


TAPS_AN_AXIS: Mapping[str, int] = {"nearest": 1, "linear": 2, "cubic": 4}
"""Elements along an axis that an interpolated element is made of, by mode (ONNX, operator Resize)."""


@rule("zero", "Resize", "Upsample")
def _resize(node: Node, graph: ModelGraph) -> Cost:
    """Count an interpolation, whose taps are the elements that each element of the output is made of.

    With ``antialias``, a smaller image is made of proportionally more (torch: twice the scaled radius and one).
    """
    width = TAPS_AN_AXIS.get(_mode(node), 1)
    read, written = (graph.tensors[name].shape or () for name in (node.inputs[0], node.outputs[0]))
    scales = [before / after for before, after in zip(read, written, strict=False) if before != after and after]
    smooth = node.attributes.get("antialias", 0) and width > 1
    axes = (2 * math.ceil(width / 2 * scale) + 1 if smooth and scale > 1 else width for scale in scales)
    return Cost(kind="zero", taps=math.prod(axes))


def _mode(node: Node) -> str:
    mode = node.attributes.get("mode", "nearest")
    return mode.decode() if isinstance(mode, bytes) else str(mode)


@rule("zero", *"Affine Crop DynamicSlice ImageScaler ParametricSoftplus ScaledTanh".split())
def _dropped(node: Node, graph: ModelGraph) -> Cost:
    """Count experimental operators of ONNX's first versions, which onnxruntime still runs."""
    return ZERO


@rule("zero", "Adagrad", "Adam", "Momentum", domain="ai.onnx.preview.training")
def _optimiser(node: Node, graph: ModelGraph) -> Cost:
    return ZERO


@rule(
    "zero",
    "ArrayFeatureExtractor",
    "Binarizer",
    "Imputer",
    "Normalizer",
    "OneHotEncoder",
    "Scaler",
    "FeatureVectorizer",
    domain="ai.onnx.ml",
)
def _features(node: Node, graph: ModelGraph) -> Cost:
    return ZERO


@rule("zero", "Gather", "GatherElements", "GatherND")
def _gather(node: Node, graph: ModelGraph) -> Cost:
    """Count only the gathered part of the table as read."""
    return Cost(
        kind="zero",
        reads={0: min(math.prod(graph.tensors[node.outputs[0]].shape or ()), graph.tensors[node.inputs[0]].numel)},
    )
