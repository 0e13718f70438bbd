"""The table from torch to ONNX names: whole, consistent, and true of the installed torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from joulecast.canonical import canonicalise
from joulecast.counting import count, coverage
from joulecast.counting.registry import rule_for
from joulecast.readers.module import graph_of, graph_of_call, trace
from joulecast.readers.module.names import rule_of, table
from joulecast.readers.module.tracing.functions import FUNCTIONS
from joulecast.readers.module.tracing.modes import attribute, resolved
from joulecast_calibration import suite
from tests.unit.readers.small_modules import Function

F = nn.functional


def test_every_function_taken_whole_has_a_rule_and_exists() -> None:
    assert set(FUNCTIONS) <= set(table())
    assert {name for name in table() if not name.startswith(("aten.", "torchvision."))} == set(FUNCTIONS)
    assert {name for name, _, _ in resolved().values()} == set(FUNCTIONS)
    assert all(callable(attribute(name)) for name in FUNCTIONS)


def test_an_operator_in_place_is_named_like_its_other_form() -> None:
    assert rule_of("aten.add_.Tensor") is rule_of("aten.add.Tensor") is not None
    assert rule_of("aten.max.other") is not rule_of("aten.max.dim")
    assert rule_of("aten.no_such_thing.default") is None
    assert rule_of("torch.no_such_thing") is None


X = torch.zeros(2, 4, 8, 8)
SEQUENCE = torch.zeros(2, 8, 16)
INDEX = torch.zeros(2, dtype=torch.long)

CASES = {
    # op types of the rows with a kernel in eager mode: calls
    ("Add",): (lambda: X + X, lambda: X + 1, lambda: torch.addcmul(X, X, X), lambda: torch.lerp(X, X, 0.5)),
    ("Sub",): (lambda: 1 - X, lambda: torch.rsub(X, X)),
    ("Mul",): (lambda: F.glu(X, 1), lambda: X * 2),
    ("Div",): (lambda: X / 2, lambda: X // 2),
    ("Pow",): (lambda: X**2, lambda: X.rsqrt(), lambda: X.square()),
    ("Relu",): (lambda: F.relu(X), lambda: X.relu_()),
    ("Clip",): (lambda: F.relu6(X), lambda: X.clamp(min=0), lambda: X.clamp(0, 1)),
    ("Swish",): (lambda: F.silu(X),),
    ("HardSwish",): (lambda: F.hardswish(X),),
    ("HardSigmoid",): (lambda: F.hardsigmoid(X),),
    ("Gelu",): (lambda: F.gelu(X), lambda: F.gelu(X, approximate="tanh")),
    ("Mish",): (lambda: F.mish(X),),
    ("LeakyRelu",): (lambda: F.leaky_relu(X),),
    ("PRelu",): (lambda: F.prelu(X, torch.zeros(4)),),
    ("Softplus",): (lambda: F.softplus(X),),
    ("Where",): (lambda: torch.where(X > 0, X, X), lambda: X.masked_fill(X > 0, 1.0)),
    ("Softmax",): (lambda: F.softmax(X, -1), lambda: X.softmax(1), lambda: X.half().softmax(1, dtype=torch.float32)),
    ("LogSoftmax",): (lambda: F.log_softmax(X, -1),),
    ("LayerNormalization",): (lambda: F.layer_norm(X, (8,)),),
    ("RMSNormalization",): (lambda: F.rms_norm(X, (8,)),),
    ("GroupNormalization",): (lambda: F.group_norm(X, 2, torch.ones(4), torch.ones(4)),),
    ("InstanceNormalization",): (lambda: F.instance_norm(X),),
    ("BatchNormalization",): (lambda: F.batch_norm(X, torch.zeros(4), torch.ones(4)),),
    ("MaxPool",): (lambda: F.max_pool2d(X, 2), lambda: F.adaptive_max_pool2d(X, 2)),
    ("GlobalMaxPool",): (lambda: F.adaptive_max_pool2d(X, 1),),
    ("AveragePool",): (lambda: F.avg_pool2d(X, 2), lambda: F.adaptive_avg_pool2d(X, 2)),
    ("ReduceMean",): (lambda: F.adaptive_avg_pool2d(X, 1), lambda: X.mean((2, 3))),
    ("ReduceSum",): (lambda: X.sum(-1),),
    ("ReduceMax",): (lambda: X.amax(1), lambda: X.max(), lambda: X.max(dim=1)[0]),
    ("Max",): (lambda: torch.maximum(X, X), lambda: X.max(X)),
    ("ReduceL2",): (lambda: torch.linalg.vector_norm(X, dim=1),),
    ("ArgMax",): (lambda: X.argmax(1),),
    ("Resize",): (lambda: F.interpolate(X, scale_factor=2), lambda: F.interpolate(X, size=4, mode="bicubic")),
    ("Pad",): (lambda: F.pad(X, (1, 1)), lambda: F.pad(X, (1, 1, 1, 1), mode="reflect")),
    ("GridSample",): (lambda: F.grid_sample(X, torch.zeros(2, 4, 4, 2), align_corners=False),),
    ("DepthToSpace",): (lambda: F.pixel_shuffle(X, 2),),
    ("Concat",): (lambda: torch.cat([X, X]), lambda: torch.stack([X, X]), lambda: X.roll(1, 1)),
    ("Concat", "Concat"): (lambda: X.roll((1, 2), (2, 3)),),
    ("Gather",): (lambda: F.embedding(INDEX, torch.zeros(9, 4)), lambda: X[:, :, INDEX]),
    ("GatherND",): (lambda: X[INDEX, INDEX],),
    ("GatherElements",): (lambda: X.gather(0, INDEX.view(1, 1, 1, 2)),),
    ("Cast",): (lambda: X.half(), lambda: X.to(torch.long)),
    ("Identity",): (lambda: X.clone(), lambda: X.transpose(1, 2).contiguous(), lambda: X.transpose(1, 2).reshape(-1)),
    ("TopK",): (lambda: X.topk(2), lambda: X.sort(-1)),
    ("CumSum",): (lambda: X.cumsum(1),),
    ("Tile",): (lambda: X.repeat(1, 2, 1, 1),),
    ("Range",): (lambda: torch.arange(3),),
    ("ConstantOfShape",): (lambda: torch.zeros(3), lambda: torch.ones_like(X), lambda: X.new_full((2,), 1.0)),
    ("Trilu",): (lambda: X.tril(),),
    ("Einsum",): (lambda: torch.einsum("bchw,bcxy->bhx", X, X),),
    ("Attention",): (lambda: F.scaled_dot_product_attention(X, X, X),),
    (): (
        lambda: X.view(2, -1),
        lambda: X.permute(0, 2, 3, 1),
        lambda: X[:, 1:3, 0],
        lambda: X.chunk(2, 1),
        lambda: X.unbind(1),
        lambda: X.unsqueeze(0).squeeze(0).expand(2, 4, 8, 8),
        lambda: X.detach(),
        lambda: F.dropout(X, training=False),
        lambda: torch.empty(3),
    ),
}
"""Only the last row of each call counts: what makes its operands comes first."""


@pytest.mark.slow
@pytest.mark.parametrize(("op_types", "calls"), CASES.items(), ids=["-".join(key) or "free" for key in CASES])
def test_calls_are_the_rows_that_eager_mode_launches(op_types: tuple[str, ...], calls: tuple[Any, ...]) -> None:
    for call in calls:
        graph = graph_of(trace(Function(lambda call=call: call())))
        rows = count(canonicalise(graph, eager=True))
        assert coverage(rows).unsupported == ()
        executed = [row for row in rows if row.kind != "free"]
        assert tuple(row.op_type for row in executed[-len(op_types) :] if op_types) == op_types
        assert bool(executed) == bool(op_types)
        assert all(row.domain == "" and rule_for("", row.op_type) for row in rows)


@pytest.mark.slow
def test_every_function_of_the_suite_is_named_and_priced() -> None:
    layers = suite.committed().layers
    assert len(layers) > 3000
    unknown = {layer.call.function for layer in layers if rule_of(layer.call.function) is None}
    assert unknown == set()
    for layer in layers[:500]:
        assert coverage(count(canonicalise(graph_of_call(layer.call), eager=True))).unsupported == ()


def test_arguments_by_name_and_by_place_are_the_same_call() -> None:
    def digests(*functions: Any) -> set[str]:
        return {trace(Function(function), (SEQUENCE,)).calls[-1].digest for function in functions}

    assert len(digests(lambda x: F.softmax(x, -1), lambda x: x.softmax(dim=-1), lambda x: torch.softmax(x, -1))) == 1
    weight = torch.zeros(4, 16)
    assert len(digests(lambda x: F.linear(x, weight), lambda x: F.linear(x, weight=weight, bias=None))) == 1
    assert len(digests(lambda x: x @ x.mT, lambda x: torch.matmul(x, other=x.mT), lambda x: x.matmul(x.mT))) == 1
