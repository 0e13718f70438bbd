from __future__ import annotations

import pytest
import torch
from torch import nn

from joulecast_calibration.measure.loads.health import PassHealth, all_finite, leaves, observed_inputs


def seen(module: nn.Module, x: torch.Tensor) -> PassHealth:
    with torch.no_grad(), observed_inputs(module) as observer:
        return observer.health(module(x))


def scaled(factor: float) -> nn.Module:
    first, last = nn.Linear(64, 64), nn.Linear(64, 4)
    first.weight.data.normal_().mul_(factor / 8)
    return nn.Sequential(first, nn.Identity(), last)


def test_the_last_weighted_layer_is_watched() -> None:
    health = seen(scaled(1.0), torch.randn(100, 64))
    assert health.hidden_std == pytest.approx(1, rel=0.15)
    assert health.trouble is None
    assert health.row() == {"finite": True, "hidden_std": health.hidden_std, "valid": True}


@pytest.mark.parametrize("factor", [1e-5, 1e5])
def test_vanished_and_exploded_activations_are_told(factor: float) -> None:
    module = scaled(factor)
    module[0].bias.data.zero_()
    row = seen(module, torch.randn(100, 64)).row()
    assert row["valid"] is False
    assert "standard deviation" in row["invalid_reason"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_told(value: float) -> None:
    module = scaled(1.0)
    module[2].bias.data.fill_(value)
    row = seen(module, torch.randn(100, 64)).row()
    assert (row["finite"], row["valid"], row["invalid_reason"]) == (False, False, "not finite")


def test_a_hidden_nan_that_a_maximum_swallows_is_told() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Threshold(1e9, 0.0))
    module[0].bias.data[0] = float("nan")
    assert not seen(module, torch.randn(2, 4)).finite


def test_without_weights_there_is_no_hidden_state() -> None:
    health = seen(nn.ReLU(), torch.randn(3))
    assert (health.hidden_std, health.trouble) == (None, None)


def test_hooks_are_gone_afterwards() -> None:
    module = scaled(1.0)
    seen(module, torch.randn(1, 64))
    assert not any(part._forward_pre_hooks for part in module.modules())


def test_tensors_in_any_container_are_looked_at() -> None:
    bad = {"a": [torch.ones(2), (torch.tensor(float("inf")),)], "n": 3, "i": torch.ones(2, dtype=torch.int64)}
    assert len(leaves(bad)) == 3
    assert not all_finite(leaves(bad))
    assert all_finite(leaves(bad), infinite=True)
