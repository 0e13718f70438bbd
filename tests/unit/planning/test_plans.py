"""``joulecast.plan``: the same figures as single forecasts, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import joulecast
from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.generation import forecast_concurrencies, forecast_generation
from joulecast.errors import NotCalibratedError, WorkloadError
from joulecast.readers import huggingface
from joulecast.serving.requests import GenerationRequest
from tests import small_models
from tests.unit.api.test_documents import validate
from tests.unit.api.test_generation import LLAMA_8B

CARDS = ("NVIDIA-H200", "NVIDIA-L40S")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small_models.classifier(tmp_path / "model.onnx")


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_8B))
    return tmp_path


def test_a_plan_costs_what_single_forecasts_do(model: Path) -> None:
    plan = joulecast.plan(model, CARDS, batch_sizes=(1, 8), precisions=("default", "fp16"))
    assert len(plan.candidates) == 8
    for each in plan.candidates:
        own = each.setting
        single = joulecast.estimate(model, own.accelerator, own.batch_size, own.precision)
        assert each.joules == pytest.approx(single.joules_per_batch / own.batch_size)
        assert each.joules_upper == pytest.approx(single.joules_per_batch_upper / own.batch_size)
    validate(joulecast.plan_document(plan))


@pytest.mark.parametrize("card", ["NVIDIA-H200", "NVIDIA-L4"])
def test_concurrencies_priced_together_cost_what_each_does(card: str) -> None:
    read, accelerator, asked = huggingface.read(LLAMA_8B), accelerator_named(card), GenerationRequest(tensor_parallel=2)
    together = forecast_concurrencies(read, accelerator, asked, [1, 7, 64, 60_000])
    for count, found in zip([1, 7, 64], together, strict=False):
        alone = forecast_generation(read, accelerator, replace(asked, concurrency=count))
        assert isinstance(found, joulecast.GenerationEstimate)
        assert found.joules_per_request.value == pytest.approx(alone.joules_per_request.value)
        assert found.inter_token_latency_seconds.value == pytest.approx(alone.inter_token_latency_seconds.value)
        assert (found.coverage, found.origin, found.reasons) == (alone.coverage, alone.origin, alone.reasons)
        assert [each.layers for each in found.phases] == [each.layers for each in alone.phases]
    assert isinstance(together[-1], WorkloadError)


def test_generation_is_planned_over_cards_and_concurrencies(llama: Path) -> None:
    plan = joulecast.plan(llama, ["NVIDIA-H200"], concurrencies=(1, 16), tensor_parallel=(1, 2))
    own = {(each.setting.concurrency, each.setting.tensor_parallel) for each in plan.candidates}
    assert own == {(1, 1), (16, 1), (1, 2), (16, 2)}
    best = plan.candidates[0]
    assert (best.setting.concurrency, best.setting.tensor_parallel) == (16, 1)
    assert plan.choice is None or plan.choice is best


def test_limits_and_rate_decide_size_and_replicas(llama: Path) -> None:
    objective = joulecast.Objective(inter_token_latency_milliseconds=12, requests_per_second=100)
    plan = joulecast.plan(llama, ["NVIDIA-H200"], objective=objective)
    assert {each.why for each in plan.excluded} == {"slo"}
    for each in plan.candidates:
        assert each.inter_token_latency_seconds <= 0.012
        assert each.cards == each.replicas * each.setting.tensor_parallel
        assert each.average_power_watts == pytest.approx(100 * each.joules)


def test_without_sizes_powers_of_two_are_tried_unless_the_model_fixes_its_batch(model: Path) -> None:
    sizes = {each.setting.batch_size for each in joulecast.plan(model, ["NVIDIA-H200"]).candidates}
    assert sizes == {1, 2, 4, 8, 16, 32, 64, 128}
    saved = joulecast.profile(model, batch_size=4)
    assert [each.setting.batch_size for each in joulecast.plan(saved, ["NVIDIA-H200"]).candidates] == [4]
    with pytest.raises(WorkloadError, match="was made for batch size 4, not 8"):
        joulecast.plan(saved, ["NVIDIA-H200"], batch_sizes=(8,))


def test_today_is_priced_beside_the_others_and_under_its_full_name(model: Path) -> None:
    today = joulecast.Setting(accelerator="L4", runtime="torch-eager", precision="default", batch_size=2)
    plan = joulecast.plan(model, ["NVIDIA-H200"], batch_sizes=(64,), today=today)
    assert plan.today is not None
    assert (plan.today.setting.accelerator, plan.today.setting.batch_size) == ("NVIDIA-L4", 2)
    assert len(plan.candidates) == 2


def test_a_batch_beyond_the_memory_is_excluded(model: Path) -> None:
    plan = joulecast.plan(model, ["NVIDIA-L4"], batch_sizes=(1, 10**7))
    (excluded,) = plan.excluded
    assert (excluded.why, excluded.reason) == ("memory", "DoesNotFit")
    assert "NVIDIA-L4 has 24 GB" in excluded.message


def test_what_belongs_to_another_kind_of_model_is_refused(model: Path, llama: Path) -> None:
    with pytest.raises(WorkloadError, match="give batch_sizes"):
        joulecast.plan(model, concurrencies=(1,))
    with pytest.raises(WorkloadError, match="give concurrencies"):
        joulecast.plan(llama, batch_sizes=(1,))
    with pytest.raises(WorkloadError, match="runs on one card"):
        joulecast.plan(model, ["NVIDIA-H200"], batch_sizes=(1,), tensor_parallel=(2,))
    prefill = GenerationRequest(phase="prefill")
    with pytest.raises(WorkloadError, match="plan it by request"):
        joulecast.plan(llama, request=prefill, objective=joulecast.Objective(unit="output_token"))


def test_nothing_that_can_be_forecast_is_an_error(model: Path) -> None:
    with pytest.raises(NotCalibratedError, match="Tesla-P4"):
        joulecast.plan(model, ["Tesla-P4"], batch_sizes=(1,), precisions=("bf16",))


def test_an_engine_takes_a_clock_with_a_wider_interval_and_no_power_limit(llama: Path) -> None:
    plan = joulecast.plan(
        llama, ["NVIDIA-H200"], concurrencies=(8,), tensor_parallel=(1,), clocks_mhz=(1200,), power_limits_watts=(400,)
    )
    free, locked = sorted(plan.candidates, key=lambda each: each.setting.clock_mhz is not None)
    assert locked.log_half_width > free.log_half_width
    assert any("a cap: no rows of vllm's kernels" in reason for reason in locked.reasons)
    (refused,) = plan.excluded
    assert (refused.why, refused.reason) == ("profile", "PowerLimitNotPriced")
    with pytest.raises(NotCalibratedError, match="cannot be priced under vllm"):
        joulecast.plan(llama, ["NVIDIA-H200"], tries_limits=True)
