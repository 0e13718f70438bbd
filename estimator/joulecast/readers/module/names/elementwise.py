"""Arithmetic, comparisons and activation functions, one element at a time."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import NamingRule, Reading, elementwise, entry, over_tensors

SAME_NAME = {
    1: """abs:Abs acos:Acos acosh:Acosh asin:Asin asinh:Asinh atan:Atan atanh:Atanh bitwise_not:Not ceil:Ceil cos:Cos
    cosh:Cosh erf:Erf erfc:Erf erfinv:Erf exp:Exp exp2:Exp expm1:Exp floor:Floor trunc:Floor frac:Floor
    hardsigmoid:HardSigmoid
    hardswish:HardSwish isinf:IsInf isfinite:IsInf isnan:IsNaN log:Log log10:Log log1p:Log log2:Log
    log_sigmoid_forward:LogSoftmax logical_not:Not mish:Mish neg:Neg reciprocal:Reciprocal relu:Relu round:Round
    sigmoid:Sigmoid sgn:Sign sign:Sign sin:Sin sinc:Sin sinh:Sinh sqrt:Sqrt tan:Tan tanh:Tanh silu:Swish
    softplus:Softplus nan_to_num:Where lgamma:Log digamma:Log signbit:Less selu:Selu celu:Celu elu:Elu
    leaky_relu:LeakyRelu hardshrink:Shrink softshrink:Shrink logit:Log angle:Atan relu6:Clip hardtanh:Clip
    threshold:ThresholdedRelu rrelu:LeakyRelu rrelu_with_noise:LeakyRelu special_expit:Sigmoid
    conj_physical:Neg _conj_physical:Neg nan_to_num_:Where special_ndtr:Erf special_log_ndtr:Erf
    bucketize:Less searchsorted:Less""",
    2: """add:Add sub:Sub mul:Mul div:Div pow:Pow fmod:Mod remainder:Mod floor_divide:Div true_divide:Div eq:Equal
    ne:Equal lt:Less le:LessOrEqual gt:Greater ge:GreaterOrEqual logical_and:And logical_or:Or logical_xor:Xor
    bitwise_and:And bitwise_or:Or bitwise_xor:Xor maximum:Max minimum:Min fmax:Max fmin:Min atan2:Atan
    bitwise_left_shift:BitShift bitwise_right_shift:BitShift __and__:And __or__:Or __xor__:Xor __lshift__:BitShift
    __rshift__:BitShift hypot:Sqrt xlogy:Log _prelu_kernel:PRelu prelu:PRelu logaddexp:ReduceLogSumExp
    isclose:Equal heaviside:Greater copysign:Sign polar:Cos complex:Concat""",
    3: "clamp:Clip clamp_min:Clip clamp_max:Clip clip:Clip",
}
"""By number of operands: ATen operator and ONNX name."""


def _rsub(reading: Reading) -> None:
    value = reading.value("other")
    if isinstance(value, int | float):
        reading.node("Sub", ("", reading.name("self")), values={0: value})
    else:
        reading.node("Sub", (reading.name("other"), reading.name("self")))


def _rsqrt(reading: Reading) -> None:
    reading.node("Pow", (reading.name("self"), ""), values={1: -0.5})


def _gelu(reading: Reading) -> None:
    reading.node("Gelu", (reading.name("self"),), approximate=reading.value("approximate", "none"))


def _where(reading: Reading) -> None:
    values = {}
    names = [reading.name("condition")]
    for position, argument in ((1, "self"), (2, "other")):
        value = reading.value(argument)
        if isinstance(value, int | float):
            values[position] = value
        names.append(reading.name(argument))
    reading.node("Where", names, values=values)


def _glu(reading: Reading) -> None:
    """Add the product of one half and the sigmoid of the other."""
    shape, dtype = reading.output.shape, reading.output.dtype
    halves = [reading.tensor(name, shape, dtype) for name in ("value", "gate")]
    gate = reading.tensor("sigmoid", shape, dtype)
    reading.node("Split", (reading.name("self"),), halves, axis=reading.value("dim", -1))
    reading.node("Sigmoid", (halves[1],), (gate,), part=1)
    reading.node("Mul", (halves[0], gate), joined="Mul")


def _added(op_type: str) -> NamingRule:
    """Return the rule of ``self + value · tensor1 · tensor2``, or of the quotient instead of the product."""

    def rule(reading: Reading) -> None:
        inner = reading.tensor("inner", reading.output.shape, reading.output.dtype)
        reading.node(op_type, (reading.name("tensor1"), reading.name("tensor2")), (inner,), part=1)
        reading.node("Add", (reading.name("self"), inner), joined="Add")

    return entry(rule, "self tensor1 tensor2")


def _lerp(reading: Reading) -> None:
    """Add ``self + weight · (end − self)``."""
    shape, dtype = reading.output.shape, reading.output.dtype
    difference, step = (reading.tensor(name, shape, dtype) for name in ("difference", "step"))
    weight = reading.value("weight")
    reading.node("Sub", (reading.name("end"), reading.name("self")), (difference,), part=1)
    values = {1: weight} if isinstance(weight, int | float) else {}
    reading.node("Mul", (difference, reading.name("weight")), (step,), values=values, part=1)
    reading.node("Add", (reading.name("self"), step), joined="Add")


def _masked_fill(reading: Reading) -> None:
    value = reading.value("value")
    values = {1: value} if isinstance(value, int | float) else {}
    reading.node("Where", (reading.name("mask"), reading.name("value"), reading.name("self")), values=values)


def _rules() -> dict[str, NamingRule]:
    found = {}
    for count, text in SAME_NAME.items():
        for pair in text.split():
            name, op_type = pair.split(":")
            found[f"aten.{name}"] = elementwise(op_type, count)
    return found


TABLE: Mapping[str, NamingRule] = {
    **_rules(),
    "aten.rsub": entry(_rsub, "self other"),
    "aten.rsqrt": entry(_rsqrt, "self"),
    "aten.gelu": entry(_gelu, "self"),
    "aten.glu": entry(_glu, "self dim"),
    "aten.addcmul": _added("Mul"),
    "aten.addcdiv": _added("Div"),
    "aten.lerp": entry(_lerp, "self end weight"),
    "aten.where": entry(_where, "condition self other"),
    "aten.masked_fill": entry(_masked_fill, "self mask value"),
    "aten.native_dropout": over_tensors("Dropout"),
    "aten.dropout": over_tensors("Dropout"),
    "aten.alpha_dropout": over_tensors("Dropout"),
    "aten.bernoulli": over_tensors("Bernoulli"),
}
