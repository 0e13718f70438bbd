"""What a trace records, what it leaves as it was, and what it refuses."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from joulecast.canonical import canonicalise
from joulecast.counting import count, coverage, totals
from joulecast.errors import (
    JoulecastError,
    ModelFormatError,
    ModelReferenceError,
    UnresolvedShapeError,
    WorkloadError,
)
from joulecast.readers.module import graph_digest, graph_of, graph_of_call, read, trace
from joulecast.readers.module.calls import Call, Trace, call_from_json
from tests.unit.readers.small_modules import Function

F = nn.functional


def functions(traced: Trace) -> list[str]:
    return [call.function for call in traced.calls]


def traced(function: Any, *args: Any) -> Trace:
    return trace(Function(function), args)


class Net(nn.Module):
    """A convolution with its norm and rectifier, pooled and classified."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.drop, self.head = nn.Dropout(), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.body(x).mean((2, 3))))


IMAGE = torch.zeros(2, 3, 10, 10)


def test_a_call_says_what_ran_where_and_on_what() -> None:
    found = trace(Net(), (IMAGE,))
    assert functions(found) == [
        "aten.convolution.default",
        "torch.nn.functional.batch_norm",
        "aten.relu_.default",
        "aten.max_pool2d_with_indices.default",
        "aten.mean.dim",
        "torch.nn.functional.linear",
    ]
    convolution = found.calls[0]
    assert convolution.scope == "body.0"
    assert [(spec.name, spec.role) for spec in convolution.tensors] == [
        ("x", "input"),
        ("body.0.weight", "parameter"),
        ("body.0.bias", "parameter"),
    ]
    assert convolution.outputs[0].shape == (2, 8, 8, 8)
    assert convolution.outputs[0].strides == (512, 64, 8, 1)
    assert found.calls[1].tensors[1].role == "constant"  # running mean
    assert found.module_calls == 8  # the dropout too
    assert [spec.name for spec in found.inputs] == ["x"]
    assert found.outputs == (found.calls[-1].outputs[0].name,)


def test_values_behind_a_rectifier_are_positive() -> None:
    found = trace(Net(), (IMAGE,))
    signs = {call.function.split(".")[-2]: call.outputs[0].positive for call in found.calls}
    assert signs == {
        "convolution": False,
        "functional": False,
        "relu_": True,
        "max_pool2d_with_indices": True,
        "mean": True,
    }


def test_what_works_in_place_makes_a_new_value() -> None:
    found = traced(lambda x: (x + 1).mul_(2).add_(x), torch.zeros(3))
    names = [call.outputs[0].name for call in found.calls]
    assert len(set(names)) == 3
    assert found.calls[2].tensors[0].name == names[1]
    assert found.outputs == (names[2],)
    assert [node.op_type for node in graph_of(found).nodes] == ["Add", "Mul", "Add"]


def test_memory_that_the_pass_writes_into_is_no_constant() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        cache = torch.zeros(4, 3)
        cache[1:2] = x
        return x @ cache.T

    found = traced(forward, torch.zeros(1, 3))
    product = found.calls[-1]
    assert product.function == "torch.matmul"
    assert all(spec.role != "constant" for spec in product.tensors)
    assert graph_of(found).nodes[-1].op_type == "MatMul"


def test_what_is_computed_of_stored_values_alone_runs_in_eager_mode_only() -> None:
    module = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
    graph = graph_of(trace(module, (torch.zeros(1, 8),)))
    plain, eager = count(canonicalise(graph)), count(canonicalise(graph, eager=True))
    assert [row.op_type for row in plain if row.kind != "free"] == ["Sum", "Gemm"]
    assert [row.op_type for row in eager if row.kind != "free"] == ["LpNormalization", "Gemm"]
    for rows in (plain, eager):
        norm = next(row for row in rows if row.kind != "free")
        assert norm.kernels == {"torch-eager": 1, "torch-cudagraph": 1, "onnxruntime-cuda": 0}
    assert totals(plain).params == totals(eager).params == 64 + 8 + 8


def test_products_of_strided_operands_are_preceded_by_their_copies() -> None:
    heads = torch.zeros(2, 5, 3, 4).transpose(1, 2)
    found = traced(lambda q, k: q @ k.transpose(-1, -2), heads, heads)
    assert functions(found) == ["aten.transpose.int", "aten.clone.default", "aten.clone.default", "torch.matmul"]
    graph = graph_of(found)
    assert [row.op_type for row in count(canonicalise(graph)) if row.kind != "free"] == ["MatMul"]
    rows = [row for row in count(canonicalise(graph, eager=True)) if row.kind != "free"]
    assert [row.op_type for row in rows] == ["Identity", "Identity", "MatMul"]


def test_attention_written_out_is_one_row_of_inference_runtimes() -> None:
    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        scores = q @ k.transpose(-1, -2) / 2.0 + mask
        return F.softmax(scores, dim=-1) @ v

    q = torch.zeros(2, 5, 3, 4).transpose(1, 2)
    graph = graph_of(traced(attention, q, q, q, torch.zeros(5, 5)))
    assert [row.op_type for row in count(canonicalise(graph)) if row.macs] == ["Attention"]
    assert [row.op_type for row in count(canonicalise(graph, eager=True)) if row.macs] == ["MatMul", "MatMul"]


@dataclass
class Pair:
    first: torch.Tensor
    rest: dict[str, Any]


class Cache:
    def __init__(self) -> None:
        self.keys = [torch.zeros(2)]


def test_tensors_are_found_wherever_they_are() -> None:
    cache = Cache()
    found = traced(
        lambda pair, cache: {"sum": Pair(pair.first + pair.rest["z"][0], {"k": cache.keys[0] * 2})},
        Pair(torch.zeros(2), {"z": (torch.zeros(2), "text")}),
        cache,
    )
    assert [spec.name for spec in found.inputs] == ["args.0.first", "args.0.rest.z.0", "args.1.keys.0"]
    assert found.outputs == tuple(call.outputs[0].name for call in found.calls)
    assert type(cache.keys[0]) is torch.Tensor


class Remembering(nn.Module):
    """Fills caches, makes attributes and writes a buffer while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.cache: dict[str, torch.Tensor] = {}
        self.scale = torch.ones(3)
        self.linear = nn.Linear(3, 3)
        self.register_buffer("steps", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.cache["last"] = self.seen = x
        self.steps = self.steps + 1
        self.steps.add_(1)
        return F.dropout(self.linear(x) * self.scale, training=self.training)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_module_is_left_as_it_was(device: str, dtype: torch.dtype) -> None:
    module = Remembering().to(device=device, dtype=dtype).train()
    module.linear.eval()
    weight, steps = module.linear.weight, module.steps
    found = trace(module, (torch.zeros(2, 3, device=device, dtype=dtype),))
    assert "aten.bernoulli_" not in " ".join(functions(found))  # counted at inference
    assert found.calls[2].tensors[0].dtype == str(dtype).removeprefix("torch.")
    assert module.linear.weight is weight
    assert module.steps is steps
    assert module.cache == {}
    assert not hasattr(module, "seen")
    assert (module.training, module.linear.training) == (True, False)
    assert type(module.scale) is torch.Tensor
    if device == "cpu":
        assert module(torch.zeros(2, 3, dtype=dtype)).shape == (2, 3)


def test_hooks_run_and_checkpoints_are_entered() -> None:
    module = nn.Sequential(nn.Linear(3, 3))
    module[0].register_forward_hook(lambda *_: None)
    module[0].register_forward_hook(lambda _, __, output: output * 2)
    assert functions(trace(module, (torch.zeros(3),))) == ["torch.nn.functional.linear", "aten.mul.Tensor"]
    inner = traced(lambda x: checkpoint(torch.relu, x, use_reentrant=False), torch.zeros(3))
    assert functions(inner) == ["aten.relu.default"]


def test_other_threads_are_not_recorded() -> None:
    other, elsewhere = nn.ReLU(), torch.zeros(3)

    def forward(x: torch.Tensor) -> torch.Tensor:
        thread = threading.Thread(target=other, args=(elsewhere,))
        thread.start()
        thread.join()
        return x + 1

    found = traced(forward, torch.zeros(3))
    assert (functions(found), found.module_calls) == (["aten.add.Tensor"], 1)


def test_an_exception_that_the_code_catches_leaves_the_scope_right() -> None:
    class Failing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise KeyError("no")

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.failing, self.linear = Failing(), nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                return self.failing(x)
            except KeyError:
                return self.linear(x) + 1

    calls = trace(nn.Sequential(Outer(), nn.Tanh()), (torch.zeros(3),)).calls
    assert (calls[0].scope, calls[-1].scope) == ("0.linear", "1")


def test_small_whole_numbers_may_steer() -> None:
    found = traced(lambda x, n: x[:, : int(n.max())], torch.zeros(2, 10), torch.tensor([3, 4]))
    assert found.calls[-1].outputs[0].shape == (2, 4)
    found = traced(lambda n: torch.zeros(n.tolist()), torch.tensor([2, 3]))
    assert found.calls[-1].outputs[0].shape == (2, 3)


@pytest.mark.parametrize(
    ("module", "args", "error", "says"),
    [
        (nn.ReLU, (), ModelReferenceError, "class"),
        ("resnet50", (), ModelReferenceError, "torch.nn.Module"),
        (nn.Linear(3, 3), (), WorkloadError, "missing a required argument"),
        (nn.Linear(3, 3), (torch.zeros(3), 1), WorkloadError, "too many positional"),
        (nn.Sequential(nn.Linear(3, 3)), (torch.zeros(4),), WorkloadError, "module '0' of Sequential"),
        (nn.Linear(3, 3), ("text",), WorkloadError, "example inputs"),
        (Function(lambda x: x if x.sum() > 0 else -x), (torch.zeros(3),), UnresolvedShapeError, "content"),
        (Function(lambda x: x.nonzero()), (torch.zeros(3),), UnresolvedShapeError, "nonzero"),
        (Function(lambda x: x.numpy()), (torch.zeros(3),), UnresolvedShapeError, "outside torch"),
        (torch.jit.script(nn.Linear(3, 3)), (torch.zeros(3),), ModelFormatError, "TorchScript"),
    ],
)
def test_what_cannot_be_traced_is_said_in_a_sentence(
    module: Any, args: tuple[Any, ...], error: type[JoulecastError], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        trace(module, args)
    assert "\n" not in str(raised.value)


def test_endless_recursion_is_refused() -> None:
    class Endless(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self(x)

    with pytest.raises(ModelFormatError, match="without end"):
        trace(Endless(), (torch.zeros(3),))
    assert torch.backends.mha.get_fastpath_enabled()


def test_compiled_and_parallel_modules_are_unwrapped() -> None:
    plain = trace(nn.Linear(3, 3), (torch.zeros(3),))
    for wrapped in (torch.compile(nn.Linear(3, 3)), nn.DataParallel(nn.Linear(3, 3))):
        assert graph_digest(trace(wrapped, (torch.zeros(3),))) == graph_digest(plain)


def test_an_unknown_operator_is_seen() -> None:
    graph = graph_of(traced(lambda x: torch.linalg.inv(x), torch.zeros(3, 3)))
    rows = count(canonicalise(graph))
    assert coverage(rows).unsupported == ("aten:aten.linalg_inv_ex.default",)
    assert coverage(rows).flops < 1


def test_digests_are_of_the_graph_and_not_of_names() -> None:
    class Named(nn.Module):
        def __init__(self, name: str, features: int = 4) -> None:
            super().__init__()
            self.name = name
            self.add_module(name, nn.Linear(3, features))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.relu(self.get_submodule(self.name)(x))

    first, second = (graph_digest(trace(Named(name), (torch.zeros(2, 3),))) for name in ("encoder", "decoder"))
    assert first == second
    assert first.startswith("sha256:")
    assert len(first) == 7 + 64
    others = {
        graph_digest(trace(Named("encoder", 5), (torch.zeros(2, 3),))),
        graph_digest(trace(Named("encoder"), (torch.zeros(1, 3),))),
        graph_digest(trace(Named("encoder").half(), (torch.zeros(2, 3, dtype=torch.half),))),
        graph_digest(traced(lambda x: (x + x).relu(), torch.zeros(2, 3))),
        graph_digest(traced(lambda x: x + x.relu(), torch.zeros(2, 3))),
        graph_digest(traced(lambda x: F.gelu(x + x), torch.zeros(2, 3))),
        graph_digest(traced(lambda x: F.gelu(x + x, approximate="tanh"), torch.zeros(2, 3))),
    }
    assert len(others | {first}) == 8


def test_a_call_survives_json_and_counts_alone() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.GELU(approximate="tanh"), nn.Flatten(2), nn.LSTM(64, 4, 2)
    )
    for call in trace(module, (IMAGE,)).calls:
        again = call_from_json(json.loads(json.dumps(call.to_json())))
        assert again.digest == call.digest
        alone, inside = graph_of_call(again), graph_of(Trace(name="", calls=(call,), inputs=(), outputs=()))
        assert [row.macs for row in count(alone)] == [row.macs for row in count(inside)]
        assert totals(count(alone)).bytes_moved == totals(count(inside)).bytes_moved


def test_a_call_knows_what_differs() -> None:
    call = trace(nn.Linear(3, 3), (torch.zeros(2, 3),)).calls[0]
    assert call.digest == replace(call, scope="elsewhere").digest
    wider = tuple(replace(spec, dtype="float64") for spec in call.tensors)
    assert call.digest != replace(call, tensors=wider).digest
    assert isinstance(call, Call)


def test_read_takes_inputs_in_each_form() -> None:
    image = torch.zeros(1, 3, 10, 10)
    graphs = [read(Net(), inputs, name="net") for inputs in (image, (image,), [image], {"x": image})]
    assert all(graph == graphs[0] for graph in graphs)
    assert (graphs[0].name, graphs[0].inputs) == ("net", ("x",))
    with pytest.raises(WorkloadError, match="argument names"):
        read(Net(), {1: image})
