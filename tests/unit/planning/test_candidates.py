"""Candidates: replicas, what waiting costs, and what may be missed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.generation import forecast_generation
from joulecast.planning.candidates import missed, of_generation, of_pass
from joulecast.planning.settings import Objective
from joulecast.readers import huggingface
from joulecast.serving.requests import GenerationRequest
from joulecast.units import Joules, Seconds, Watts
from tests.unit.api.test_generation import LLAMA_8B
from tests.unit.handmade import ESTIMATE
from tests.unit.planning.made import setting

PASS = replace(
    ESTIMATE, batch_size=10, latency_seconds=Seconds(0.1), joules_per_batch=Joules(20.0),
    joules_per_batch_upper=Joules(30.0), average_power_watts=Watts(200.0),
)  # fmt: skip


def test_without_a_rate_one_replica_always_runs() -> None:
    found = of_pass(PASS, setting(size=10), Objective(), 50.0)
    assert (found.replicas, found.joules, found.average_power_watts) == (1, 2.0, 200.0)
    assert found.latency_seconds == 0.1
    assert found.joules_upper == pytest.approx(3.0)


def test_a_rate_decides_replicas_and_adds_what_they_draw_while_they_wait() -> None:
    """Two replicas complete 200 a second; at 150 they wait for a quarter of the time, at 50 W each."""
    found = of_pass(PASS, setting(size=10), Objective(requests_per_second=150), 50.0)
    assert found.replicas == 2
    assert found.joules == pytest.approx(2.0 + 0.25 * 2 * 50 / 150)
    assert found.average_power_watts == pytest.approx(150 * found.joules)


def test_the_first_of_a_batch_waits_for_the_last() -> None:
    found = of_pass(PASS, setting(size=10), Objective(requests_per_second=90), 50.0)
    assert found.latency_seconds == pytest.approx(0.1 + 9 / 90)


def test_a_rate_that_one_replica_completes_exactly_needs_no_second_one() -> None:
    assert of_pass(PASS, setting(size=10), Objective(requests_per_second=100), 50.0).replicas == 1


def served(objective: Objective, unit="request"):
    request = GenerationRequest(concurrency=8)
    forecast = forecast_generation(huggingface.read(LLAMA_8B), accelerator_named("NVIDIA-H200"), request)
    own = setting(batch_size=None, concurrency=8, runtime="vllm")
    return forecast, of_generation(forecast, own, objective, unit, 100.0)


def test_generation_waits_as_passes_do() -> None:
    forecast, found = served(Objective(requests_per_second=1))
    assert found.replicas == 1
    busy = forecast.request_seconds / 8
    assert found.joules == pytest.approx(forecast.joules_per_request.value + (1 - busy) * 100)


def test_what_waiting_costs_is_shared_by_input_and_output() -> None:
    _, request = served(Objective(requests_per_second=1))
    forecast, token = served(Objective(requests_per_second=1), "output_token")
    idle = request.joules / forecast.joules_per_request.value
    assert token.joules == pytest.approx(idle * forecast.joules_per_output_token.value)


def test_a_limit_inside_the_interval_may_be_missed() -> None:
    forecast, _ = served(Objective())
    between = 1e3 * forecast.inter_token_latency_seconds.value * 1.01
    _, found = served(Objective(inter_token_latency_milliseconds=between))
    assert found.may_miss == ("inter_token_latency_milliseconds",)
    assert missed(found, Objective(inter_token_latency_milliseconds=between)) == ()
    (clause,) = missed(found, Objective(inter_token_latency_milliseconds=between / 2))
    assert clause.startswith("time between tokens of")
