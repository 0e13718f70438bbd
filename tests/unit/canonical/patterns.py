"""Small graphs in ONNX's text form, as exporters of the years wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx.parser

from joulecast.layers import Workload
from joulecast.readers.onnx import read

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph


def graph(
    body: str, *, inputs: str = "float[2,16,64] x", outputs: str = "float[2,16,64] y", stored: str = "", opset: int = 13
) -> ModelGraph:
    """The graph of ``body``, nodes in ONNX's text form. ``stored``: declarations of stored tensors without content."""
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> g ({inputs}) => ({outputs}) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    for declaration in filter(None, (part.strip() for part in stored.split(";"))):
        model.graph.initializer.append(tensor(declaration))
    return read(model.SerializeToString(), Workload(), name="test")


def tensor(declaration: str) -> onnx.TensorProto:
    """``float[64,64] w`` as a tensor whose payload is elsewhere."""
    shape, name = declaration.removeprefix("float[").split("] ")
    return onnx.TensorProto(
        name=name,
        data_type=onnx.TensorProto.FLOAT,
        dims=[int(size) for size in shape.split(",") if size],
        data_location=onnx.TensorProto.EXTERNAL,
        external_data=[onnx.StringStringEntryProto(key="location", value="absent")],
    )


def number(name: str, value: float) -> str:
    return f"{name} = Constant <value_float: float = {value}> () "


LAYER_NORM = f"""
{number("two", 2.0)} {number("eps", 1e-5)}
mean = ReduceMean <axes: ints = [-1]> (x)
centred = Sub (x, mean)
square = Pow (centred, two)
variance = ReduceMean <axes: ints = [-1]> (square)
shifted = Add (variance, eps)
deviation = Sqrt (shifted)
normal = Div (centred, deviation)
scaled = Mul (normal, gamma)
y = Add (scaled, beta)
"""
"""The nine nodes of torch's exporter before opset 17."""

RMS_NORM = f"""
{number("two", 2.0)} {number("eps", 1e-5)} {number("one", 1.0)}
square = Pow (x, two)
mean = ReduceMean <axes: ints = [-1]> (square)
shifted = Add (mean, eps)
root = Sqrt (shifted)
inverse = Div (one, root)
normal = Mul (x, inverse)
y = Mul (gamma, normal)
"""

GELU_ERF = f"""
{number("root", 1.4142135381698608)} {number("one", 1.0)} {number("half", 0.5)}
a = Div (x, root)
b = Erf (a)
c = Add (b, one)
d = Mul (x, c)
y = Mul (d, half)
"""
"""The five nodes of torch's exporter before opset 20."""

GELU_ERF_OTHER_ORDER = f"""
{number("root", 0.70710678)} {number("one", 1.0)} {number("half", 0.5)}
a = Mul (x, root)
b = Erf (a)
c = Add (one, b)
h = Mul (half, x)
y = Mul (h, c)
"""

GELU_TANH = f"""
{number("three", 3.0)} {number("k", 0.044715)} {number("s", 0.7978845608)} {number("one", 1.0)} {number("half", 0.5)}
h = Mul (half, x)
p = Pow (x, three)
q = Mul (k, p)
r = Add (x, q)
t = Mul (s, r)
u = Tanh (t)
v = Add (one, u)
y = Mul (h, v)
"""

GELU_TANH_FACTORED = f"""
{number("k", 0.044715)} {number("s", 0.79788456)} {number("one", 1.0)} {number("half", 0.5)}
h = Mul (x, half)
a = Mul (s, x)
b = Mul (k, x)
c = Mul (b, x)
d = Add (one, c)
t = Mul (a, d)
u = Tanh (t)
v = Add (one, u)
y = Mul (h, v)
"""

SWISH = "a = Sigmoid (x) y = Mul (x, a)"
QUICK_GELU = f"{number('slope', 1.702)} a = Mul (x, slope) b = Sigmoid (a) y = Mul (x, b)"
MISH = "a = Softplus (x) b = Tanh (a) y = Mul (x, b)"
HARD_SWISH = f"""
{number("three", 3.0)} {number("zero", 0.0)} {number("six", 6.0)}
a = Add (x, three)
b = Clip (a, zero, six)
c = Mul (x, b)
y = Div (c, six)
"""
HARD_SWISH_OF_SIGMOID = "a = HardSigmoid <alpha: float = 0.16666667, beta: float = 0.5> (x) y = Mul (x, a)"
HARD_SIGMOID = f"""
{number("three", 3.0)} {number("zero", 0.0)} {number("six", 6.0)}
a = Add (x, three)
b = Clip (a, zero, six)
y = Div (b, six)
"""

DIV_SCALED_ATTENTION = f"""
{number("root", 4.0)}
kt = Transpose <perm: ints = [0, 1, 3, 2]> (k)
product = MatMul (q, kt)
scaled = Div (product, root)
masked = Add (scaled, mask)
weights = Softmax <axis: int = -1> (masked)
y = MatMul (weights, v)
"""
"""BERT as exported before transformers called torch's fused attention; head size 16."""

SDPA = f"""
{number("root", 0.5)}
kt = Transpose <perm: ints = [0, 1, 3, 2]> (k)
qs = Mul (q, root)
ks = Mul (kt, root)
product = MatMul (qs, ks)
masked = Add (product, mask)
weights = Softmax <axis: int = -1> (masked)
y = MatMul (weights, v)
"""
"""torch's fused attention as its exporters take it apart."""

ATTENTION_INPUTS = "float[2,4,8,16] q, float[2,4,8,16] k, float[2,4,8,16] v, float[2,1,8,8] mask"
ATTENTION_OUTPUTS = "float[2,4,8,16] y"
