"""Settings and objectives: how they read, and what is refused."""

from __future__ import annotations

import math

import pytest

from joulecast.errors import WorkloadError
from joulecast.planning.settings import Objective, unit_of
from tests.unit.planning.made import setting


def test_a_setting_reads_as_what_is_set() -> None:
    assert str(setting(size=32)) == "NVIDIA-H200, batch size 32"
    served = setting(batch_size=None, concurrency=64, tensor_parallel=4, precision="bf16")
    assert str(served) == "4 × NVIDIA-H200, 64 at once, bf16"
    assert str(setting(power_limit_watts=350.0, clock_mhz=1200.0)).endswith("350 W, 1200 MHz")


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf])
def test_a_limit_is_a_number_above_zero(value: float) -> None:
    with pytest.raises(WorkloadError, match="requests_per_second is"):
        Objective(requests_per_second=value)


def test_a_unit_belongs_to_a_workload() -> None:
    assert unit_of(Objective(), generates=True) == "request"
    assert unit_of(Objective(), generates=False) == "inference"
    assert unit_of(Objective(unit="output_token"), generates=True) == "output_token"
    with pytest.raises(WorkloadError, match="unit 'joule' is not known"):
        Objective(unit="joule")  # type: ignore[arg-type]
    with pytest.raises(WorkloadError, match="not inference"):
        unit_of(Objective(unit="inference"), generates=True)
    with pytest.raises(WorkloadError, match="not by request"):
        unit_of(Objective(unit="request"), generates=False)
    with pytest.raises(WorkloadError, match="leave inter_token_latency_milliseconds out"):
        unit_of(Objective(inter_token_latency_milliseconds=20), generates=False)
