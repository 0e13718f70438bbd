"""Forecasts under a power limit and a locked clock."""

from __future__ import annotations

import pytest

import joulecast
from joulecast.accelerators.catalogue import accelerator_named
from joulecast.energy.caps import clocks_were_measured, limited
from joulecast.errors import NotCalibratedError
from joulecast.layers import Contraction, Coverage, LayerProfile, ModelProfile, Totals, Workload

SIZE = 8192
PRODUCT = LayerProfile(
    name="product", op_type="MatMul", kind="counted", dtype="bfloat16", macs=SIZE**3, activations=SIZE**2,
    input_numel=SIZE**2, output_numel=SIZE**2, weight_numel=SIZE**2, float_numel=3 * SIZE**2, bytes_moved=6 * SIZE**2,
    kernels={"torch-eager": 1}, contractions=(Contraction(batch=1, m=SIZE, n=SIZE, k=SIZE),),
)  # fmt: skip
BUSY = ModelProfile(
    source="busy", digest="", format="onnx", workload=Workload(batch_size=1), layers=(PRODUCT,) * 50,
    totals=Totals(macs=50 * SIZE**3, params=0, activations=0, input_numel=0, bytes_moved=0, mac_rows=50, kernels={}),
    coverage=Coverage(flops=1.0, ops=1.0),
)  # fmt: skip
"""Large products: they keep any card at its power limit."""
A100 = "NVIDIA-A100-PCIE-40GB"


@pytest.mark.parametrize("card", [A100, "NVIDIA-H200"])
def test_a_power_limit_is_held_takes_longer_and_saves_joules(card: str) -> None:
    own = accelerator_named(card)
    free = joulecast.estimate(BUSY, card)
    capped = joulecast.estimate(BUSY, card, power_limit_watts=0.7 * own.power_limit_watts)
    assert free.average_power_watts > 0.8 * own.power_limit_watts
    assert capped.average_power_watts <= 0.7 * own.power_limit_watts * 1.001
    assert capped.latency_seconds > free.latency_seconds
    assert capped.joules_per_batch < free.joules_per_batch


def test_its_own_limit_changes_nothing() -> None:
    own = accelerator_named(A100)
    assert limited(own, None) is own
    assert limited(own, own.power_limit_watts) == own


def test_the_interval_is_wider_where_no_row_of_the_card_carries_a_clock() -> None:
    def width(card: str, **cap: float) -> float:
        found = joulecast.estimate(BUSY, card, **cap)
        return found.joules_per_batch_upper / found.joules_per_batch

    assert clocks_were_measured(accelerator_named(A100))
    assert not clocks_were_measured(accelerator_named("NVIDIA-H200"))
    assert width("NVIDIA-H200", clock_mhz=1500) > width("NVIDIA-H200") * 1.01
    assert width("NVIDIA-H200", power_limit_watts=400) > width("NVIDIA-H200") * 1.01
    assert width(A100, power_limit_watts=200) == pytest.approx(width(A100), rel=0.01)
    capped = joulecast.estimate(BUSY, "NVIDIA-H200", clock_mhz=1500)
    assert any(reason.startswith("a cap: no rows of NVIDIA-H200") for reason in capped.reasons)


@pytest.mark.parametrize("watts", [0, -5, 251, float("nan"), 1])
def test_a_limit_that_cannot_be_set_or_held_is_refused(watts: float) -> None:
    with pytest.raises(NotCalibratedError, match="a power limit of") as refused:
        joulecast.estimate(BUSY, A100, power_limit_watts=watts)
    assert refused.value.reason == "PowerLimitOutOfRange"


def test_trying_limits_finds_one_that_saves_within_the_objective() -> None:
    plan = joulecast.plan(BUSY, [A100], tries_limits=True)
    limits = [each.setting.power_limit_watts for each in plan.candidates]
    assert None in limits
    assert len(limits) > 3
    assert plan.candidates[0].setting.power_limit_watts is not None
    tight = 1e3 * joulecast.estimate(BUSY, A100).latency_seconds * 1.001
    held = joulecast.plan(BUSY, [A100], tries_limits=True, objective=joulecast.Objective(latency_milliseconds=tight))
    assert [each.setting.power_limit_watts for each in held.candidates] == [None]
