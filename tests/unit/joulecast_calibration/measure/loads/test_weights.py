from __future__ import annotations

import pytest
import torch
from torch import nn

from joulecast_calibration.measure.loads.weights import calibrated_statistics, fill, moments


def filled(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(float("nan"))
    fill(module.eval(), torch.Generator().manual_seed(0))
    return module


@pytest.mark.parametrize(
    ("module", "fan_in"),
    [
        (nn.Linear(300, 200, bias=False), 300),
        (nn.Conv2d(16, 64, 3, bias=False), 144),
        (nn.Conv2d(64, 64, 5, groups=64, bias=False), 25),
        (nn.ConvTranspose2d(32, 64, 2, bias=False), 128),
    ],
)
def test_weights_have_the_variance_of_their_fan_in(module: nn.Module, fan_in: int) -> None:
    weight = next(filled(module).parameters())
    assert weight.std().item() == pytest.approx(fan_in**-0.5, rel=0.05)
    assert weight.mean().abs().item() < 0.2 * fan_in**-0.5


def test_no_parameter_is_left_out() -> None:
    module = nn.Sequential(
        nn.Embedding(10, 8), nn.LSTM(8, 8), nn.LayerNorm(8), nn.PReLU(), nn.MultiheadAttention(8, 2), nn.BatchNorm1d(8),
        nn.utils.parametrizations.weight_norm(nn.Conv1d(8, 8, 3), dim=2),
    )  # fmt: skip
    module.register_parameter("cls_token", nn.Parameter(torch.empty(1, 1, 8)))
    assert all(parameter.isfinite().all() for parameter in filled(module).parameters())


def test_a_weight_used_twice_is_drawn_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(400, 100)
            self.head = nn.Linear(100, 400, bias=False)
            self.head.weight = self.table.weight

    tied = filled(Tied())
    assert tied.head.weight is tied.table.weight
    assert tied.table.weight.std().item() == pytest.approx(1, rel=0.02)


def test_gains_are_near_one_and_offsets_near_zero() -> None:
    assert moments(nn.LayerNorm(8), "weight", (8,))[0] == 1
    assert moments(nn.LayerNorm(8), "bias", (8,))[0] == 0
    assert moments(nn.Module(), "gamma", (8, 1, 1))[0] == 1
    assert moments(nn.Module(), "pos_embed", (1, 197, 768)) == (0, 0.02)
    assert moments(nn.Module(), "experts", (4, 32, 64))[1] == 64**-0.5


@pytest.mark.parametrize(("channels", "tolerance"), [(64, 0.05), (1, 0.2)], ids=["many", "one"])
def test_normalised_weights_keep_the_directions_drawn(channels: int, tolerance: float) -> None:
    module = filled(nn.utils.parametrizations.weight_norm(nn.Conv1d(32, channels, 3), dim=0))
    assert module.weight.std().item() == pytest.approx(96**-0.5, rel=tolerance)


def test_statistics_are_those_of_what_comes() -> None:
    module = filled(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.BatchNorm2d(8, affine=False)))
    x = 5 + 3 * torch.randn(4, 3, 16, 16)
    with torch.no_grad(), calibrated_statistics(module):
        module(x)
    with torch.no_grad():
        result = module(x)
    assert result.mean((0, 2, 3)).abs().max().item() < 1e-3
    assert result.var((0, 2, 3)).sub(1).abs().max().item() < 1e-2
    assert not module[1]._forward_pre_hooks


def test_one_value_a_channel_says_nothing_of_variance() -> None:
    module = filled(nn.BatchNorm1d(8))
    with torch.no_grad(), calibrated_statistics(module):
        module(torch.randn(1, 8))
    assert module.running_var.tolist() == [1] * 8
