"""Modules as people write them: counted by independent formulas or refused in a sentence, and left as they were."""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.utils.rnn import pack_padded_sequence

import joulecast
from joulecast.errors import (
    JoulecastError,
    ModelFormatError,
    UnresolvedShapeError,
    UnsupportedOperatorError,
    WorkloadError,
)

F = nn.functional
X = torch.zeros(2, 8)
IMAGE = torch.zeros(2, 3, 8, 8)
HEADS = torch.zeros(2, 4, 5, 8)
LINEAR_MACS = 2 * 8 * 8


class Function(nn.Module):
    """A module of one expression over ``linear`` and its arguments."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.linear = function, nn.Linear(8, 8)

    def forward(self, *args: Any) -> Any:
        return self.function(self.linear, *args)


def counted(function: Any, *args: Any) -> tuple[int, tuple[str, ...]]:
    profile = joulecast.profile(Function(function), args)
    return profile.totals.macs, profile.coverage.unsupported


def round_trip(_: nn.Module, wave: torch.Tensor) -> torch.Tensor:
    window = torch.hann_window(64)
    return torch.istft(torch.stft(wave, 64, window=window, return_complex=True), 64, window=window)


def force(linear: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return torch.func.grad(lambda y: linear(y).square().sum())(x)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "args", "macs"),
    [
        (lambda linear, x: torch.vmap(linear)(x), (X,), LINEAR_MACS),
        (force, (X,), 2 * LINEAR_MACS),
        (lambda _, x: F.linear(x, torch.zeros(8, 8, dtype=torch.complex64)), (X.to(torch.complex64),), 4 * LINEAR_MACS),
        (lambda linear, x: linear(x.cuda()).to("cuda") + torch.zeros(8, device="cuda"), (X,), LINEAR_MACS),
        (lambda linear, x: linear(x.to(torch.device("cuda", 0), torch.float32)), (X,), LINEAR_MACS),
        (lambda _, q: flex_attention(q, q, q), (HEADS,), 2 * 2 * 4 * 5 * 5 * 8),
        (lambda _, q: flex_attention(q, q[:, :2], q[:, :2], enable_gqa=True), (HEADS,), 2 * 2 * 4 * 5 * 5 * 8),
        (lambda _, a, b: torch.cdist(a, b), (torch.zeros(2, 30, 8), torch.zeros(2, 40, 8)), 2 * 30 * 40 * (8 + 2)),
        (lambda _, a, b: torch._int_mm(a, b), (X.to(torch.int8), torch.zeros(8, 8, dtype=torch.int8)), LINEAR_MACS),
        (lambda _, x, t: F.affine_grid(t, x.shape, align_corners=False), (IMAGE, torch.zeros(2, 2, 3)), 2 * 64 * 2 * 3),
        (round_trip, (torch.zeros(2, 400),), 0),
        (lambda _, x: torch.cov(x), (torch.zeros(3, 8),), 3 * 8 * 3),
        (lambda _, x: torch.multinomial(x, 1), (X,), 0),
        (lambda _, i, o: F.embedding_bag(i, torch.zeros(10, 8), o), (torch.arange(6), torch.tensor([0, 2])), 0),
    ],
)
def test_calls_count_exactly(function: Any, args: tuple[Any, ...], macs: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # flex_attention outside of a compiler
        assert counted(function, *args) == (macs, ())


@pytest.mark.parametrize(("bias", "first"), [(True, False), (False, True)])
def test_a_projected_state_is_what_the_next_step_reads(bias: bool, first: bool) -> None:
    batch, steps, features, hidden, state = 3, 5, 8, 16, 4
    lstm = nn.LSTM(features, hidden, 2, bias=bias, batch_first=first, bidirectional=True, proj_size=state)
    inputs = torch.zeros((batch, steps, features) if first else (steps, batch, features))
    totals = joulecast.profile(lstm, inputs).totals
    widths = (features, 2 * state)
    step = sum(2 * (4 * hidden * (width + state) + hidden * state) for width in widths)
    assert totals.macs == batch * steps * step
    assert totals.params == sum(parameter.numel() for parameter in lstm.parameters())


def test_deformed_convolutions_and_regions_count() -> None:
    operators = pytest.importorskip("torchvision").ops
    deformed = joulecast.profile(operators.DeformConv2d(3, 4, 3), (IMAGE, torch.zeros(2, 18, 6, 6)))
    assert (deformed.totals.macs, deformed.totals.params, deformed.coverage.ops) == (2 * 36 * 4 * 27, 112, 1.0)
    aligned = joulecast.profile(operators.RoIAlign(4, 1.0, 2), (IMAGE, torch.zeros(5, 5)))
    assert (aligned.totals.macs, aligned.coverage.ops) == (0, 1.0)


def test_parameters_that_no_module_registers_are_parameters() -> None:
    free = nn.Parameter(torch.zeros(8, 3))
    assert joulecast.profile(Function(lambda _, x: x @ free), X).totals.params == 24


@pytest.mark.slow
@pytest.mark.parametrize("spell", [torch.compile, lambda function: function])
def test_compiled_functions_run_as_written(spell: Any) -> None:
    function = spell(lambda x: x.relu() @ x.T)
    assert counted(lambda _, x: function(x), X) == (2 * 8 * 2, ())


class Schedule:
    """State that a module keeps in an object of its own."""

    def __init__(self) -> None:
        self.steps = torch.zeros(8)


def test_nothing_outside_the_pass_is_changed() -> None:
    counter, whole, schedule = torch.zeros(8), torch.zeros(2, dtype=torch.long), Schedule()
    unregistered = [nn.BatchNorm1d(8)]

    def forward(linear: nn.Module, x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(7)
        random.seed(7)
        torch.set_default_dtype(torch.float64)
        counter.add_(1)
        whole.add_(1)
        schedule.last = x  # type: ignore[attr-defined]
        schedule.steps += 1
        assert x.shape[0] == int(whole[0]) + 1
        return linear(unregistered[0](x)) + counter + schedule.steps + torch.rand(8).float()

    module = Function(forward)
    module.schedule = schedule
    seeds = torch.get_rng_state(), random.getstate()
    assert joulecast.profile(module, X).totals.macs == LINEAR_MACS
    assert torch.equal(torch.get_rng_state(), seeds[0])
    assert random.getstate() == seeds[1]
    assert torch.get_default_dtype() == torch.float32
    assert (counter.sum(), whole.sum(), schedule.steps.sum()) == (0, 0, 0)
    assert vars(schedule).keys() == {"steps"}
    assert unregistered[0].num_batches_tracked == 0
    assert torch.is_grad_enabled()


def test_a_failing_shape_is_told_without_a_logged_stack(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(WorkloadError, match=r"module '1' of Sequential .*same reduction dim"):
        joulecast.profile(nn.Sequential(nn.ReLU(), nn.Linear(9, 8)), X)
    assert not caplog.records


def branches(linear: nn.Module, x: torch.Tensor) -> Any:
    return torch.cond(x.sum() > 0, linear, torch.relu, (x,))


def packed(_: nn.Module, x: torch.Tensor, lengths: torch.Tensor) -> Any:
    return pack_padded_sequence(x, lengths)


@torch.library.custom_op("joulecast_tests::unknown", mutates_args=())
def unknown(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


@pytest.mark.parametrize(
    ("module", "inputs", "error", "says"),
    [
        (nn.Sequential(nn.LazyLinear(8)), X, ModelFormatError, "part '0' has parameters without a shape"),
        (nn.Linear(8, 8), torch.eye(8).to_sparse(), WorkloadError, "'input' of Linear is sparse_coo"),
        (nn.Linear(8, 8).half(), X, WorkloadError, "both must have one dtype"),
        (Function(branches), X, UnsupportedOperatorError, "higher-order operator cond"),
        (Function(packed), (torch.zeros(3, 2, 8), torch.tensor([3, 2])), UnresolvedShapeError, "its padded batch"),
        (Function(lambda _, x: x.numpy()), X, UnresolvedShapeError, "code outside torch"),
        (Function(lambda _, x: unknown(x)), X, UnsupportedOperatorError, "calls joulecast_tests::unknown, whose"),
        (Function(lambda _, x: x[x > 0]), X, UnresolvedShapeError, r"\(test_variety.py:\d+\) steers"),
    ],
)
def test_what_has_no_count_is_said_in_a_sentence(
    module: nn.Module, inputs: Any, error: type[JoulecastError], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        joulecast.profile(module, inputs)
    assert "\n" not in str(raised.value)


def test_sparse_and_nested_tensors_that_a_module_holds_are_named() -> None:
    module = Function(lambda linear, x: linear.adjacency @ x)
    module.linear.adjacency = torch.eye(2).to_sparse_coo()
    with pytest.raises(WorkloadError, match=r"'linear\.adjacency' of Function is sparse_coo"):
        joulecast.profile(module, X)
