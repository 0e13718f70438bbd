"""Test what all pods of a workload draw together, from a forecast of one of them."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.estimates.fleet import asked_of, busy_share, figures, power_watts
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples import estimates as samples

IDLE = {"idlePowerWatts": 100.0}
ROW = samples.row(joules=3.2) | IDLE  # 300 W
REQUESTS = samples.generation() | {"idlePowerWatts": 200.0}  # 3.1 J a request, 1000 W


@pytest.mark.parametrize(
    ("asked", "row", "share"),
    [
        ({"utilizationPercent": 25}, ROW, 0.25),
        ({"requestsPerSecond": 100}, REQUESTS, 0.31),
        ({"requestsPerSecond": "500m"}, REQUESTS, 0.00155),
        ({"requestsPerSecond": 1000}, REQUESTS, 1.0),
        ({"concurrency": 32}, REQUESTS, None),
        ({"requestsPerSecond": 5}, ROW, None),
        ({}, ROW, None),
    ],
)
def test_a_pod_is_busy_by_its_utilization_or_its_rate(asked: dict[str, Any], row: Any, share: float | None) -> None:
    assert busy_share(asked, row) == (None if share is None else pytest.approx(share))


def test_pods_draw_their_power_while_busy_and_the_idle_power_otherwise() -> None:
    assert power_watts({"utilizationPercent": 25}, ROW, 4) == pytest.approx(4 * (0.25 * 300 + 0.75 * 100))
    assert power_watts({"utilizationPercent": 100}, ROW, 4) == 1200
    assert power_watts({"utilizationPercent": 25}, ROW, 0) == 0
    assert power_watts({"requestsPerSecond": 100}, REQUESTS, 2) == pytest.approx(2 * (0.31 * 1000 + 0.69 * 200))


def test_what_is_not_known_is_not_guessed() -> None:
    assert power_watts({}, ROW, 4) is None
    assert power_watts({"utilizationPercent": 25}, ROW, None) is None
    without = samples.row()
    assert power_watts({"utilizationPercent": 25}, without, 4) is None, "an older result has no idle power"
    assert power_watts({"utilizationPercent": 100}, without, 4) == 1200, "it needs none"


def test_figures_are_of_one_inference_request_or_token_and_of_all_pods() -> None:
    found = figures({"utilizationPercent": 50}, ROW, {"kind": "Deployment", "pods": 2})
    assert found is not None
    assert (found.accelerator, found.pods, found.per, found.watts) == ("NVIDIA-H200", 2, "inference", 400)
    assert found.joules == pytest.approx(0.1)
    plain = figures({}, REQUESTS, {"kind": "Deployment"})
    assert plain is not None
    assert (plain.per, plain.joules, plain.pods, plain.watts) == ("request", 3.1, None, None)
    assert figures({}, {"accelerator": "NVIDIA-H200"}, {"kind": "Deployment", "pods": 1}) is None


def test_of_a_custom_kind_replicas_are_added_up_and_pods_are_told() -> None:
    group = custom.kept(custom.ALL["LeaderWorkerSet"])
    found = figures({"utilizationPercent": 50}, REQUESTS, group)
    assert found is not None
    assert (found.pods, found.watts) == (6, 3 * 600), "three groups of two cards, which share the model"
    other = figures({"utilizationPercent": 50}, REQUESTS | {"parallel": 1}, group)
    assert other is not None
    assert (other.pods, other.watts) == (6, None)


def test_what_is_asked_is_read_of_odd_objects_too() -> None:
    assert asked_of({"spec": {"workload": "many"}}) == asked_of({}) == {}
