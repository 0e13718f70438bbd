"""Test the profiler's jobs that plan: the same choice as the library's, as a status holds it, and what is refused."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import joulecast
from joulecast import sources
from joulecast.accelerators.catalogue import accelerator_named, installed
from joulecast.errors import JoulecastError
from joulecast.planning.links import link_named
from joulecast.serving.requests import GenerationRequest
from joulecast_operator.api.plans.status import PlanStatus
from joulecast_operator.workers import profiler
from joulecast_operator.workers.stored_models import CONFIGURATION
from tests import small_models
from tests.unit.api.test_generation import LLAMA_8B

H200, L40S, L4 = "NVIDIA-H200", "NVIDIA-L40S", "NVIDIA-L4"
QUESTION: dict[str, Any] = {
    "batch_sizes": [], "concurrencies": [], "precisions": ["default"], "tensor_parallel": [], "power_limits_watts": [],
    "clocks_mhz": [], "try_power_limits": False, "objective": {}, "today": None, "notes": [],
}  # fmt: skip
TODAY = {
    "accelerator": L40S, "batch_size": None, "concurrency": None, "precision": "default", "tensor_parallel": 1,
    "power_limit_watts": None, "clock_mhz": None,
}  # fmt: skip
HEADER: dict[str, Any] = {
    "operation": "plan", "ready": {}, "batch_sizes": [None], "input_shapes": {}, "input_values": {}, "phase": None,
    "generation": {}, "architecture": None, "precision": "default", "cache_precision": "default",
    "power_limit_watts": None, "clock_mhz": None, "runtime": None, "accelerators": [H200, L40S], "overrides": [],
}  # fmt: skip
SHAPES = {"image": ["batch", 3, 32, 32]}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small_models.classifier(tmp_path / "model.onnx")


def work(header: dict[str, Any], body: bytes, question: dict[str, Any], **changes: Any) -> dict[str, Any]:
    asked = HEADER | {"skeleton_bytes": len(body), "question": QUESTION | question} | header | changes
    found, _ = profiler.work(asked, body)
    return found


def graph(path: Path, question: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    fetched = sources.fetch(str(path))
    model = {field.name: getattr(fetched, field.name) for field in fields(fetched) if field.name != "skeleton"}
    return work({"model": model, "input_shapes": SHAPES}, fetched.skeleton, question or {}, **changes)


def language(question: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    model = {
        "reference": "sha256:content", "format": CONFIGURATION, "path": "", "digest": "sha256:content",
        "layer_digest": None, "bytes_fetched": 0, "image_bytes": 0, "verification": None,
    }  # fmt: skip
    return work({"model": model}, json.dumps(LLAMA_8B).encode(), question or {}, **changes)


def test_a_pass_is_planned_as_the_library_plans_it(model: Path) -> None:
    objective = {"latency_milliseconds": 50, "requests_per_second": 200.0}
    found = graph(model, {"batch_sizes": [1, 8, 64], "objective": objective})
    expected = joulecast.plan(
        model, [H200, L40S], batch_sizes=(1, 8, 64), input_shapes=SHAPES, objective=joulecast.Objective(**objective)
    )
    assert (found["reason"], found["candidates"]) == (expected.reason, len(expected.candidates))
    assert [row["words"] for row in found["runners_up"]] == [str(each.setting) for each in expected.runners_up]
    first = found["choice"] or found["leaders"][0]
    assert first["joules"] == pytest.approx(expected.candidates[0].joules, rel=1e-5)
    assert (first["replicas"], first["batchSize"]) == (
        expected.candidates[0].replicas, expected.candidates[0].setting.batch_size,
    )  # fmt: skip
    assert not {"timeToFirstTokenSeconds", "concurrency"} & set(first)


def test_what_a_job_answers_fits_the_schema_of_a_status(model: Path) -> None:
    today = TODAY | {"batch_size": 1}
    for found in (
        graph(model, {"today": today, "clocks_mhz": [900]}),
        language({"today": TODAY | {"concurrency": 4}, "objective": {"inter_token_latency_milliseconds": 20}}),
    ):
        rows = {name: found[name] for name in ("choice", "today") if found[name]}
        lists = {"leaders": found["leaders"], "runnersUp": found["runners_up"], "deciding": found["deciding"]}
        status = PlanStatus.model_validate(
            rows | lists | {"saving": found["saving"], "excluded": found["excluded"], "notes": found["notes"]}
        )
        assert status.today is not None
        told = found["choice"] is not None or not any(
            row["words"] == found["today"]["words"] for row in found["leaders"]
        )
        assert (status.saving is not None) == told


def test_nothing_is_saved_where_the_setting_of_today_may_be_the_cheapest(model: Path) -> None:
    asked = {"batch_sizes": [1, 64], "today": TODAY | {"accelerator": H200, "batch_size": 64}}
    alone = graph(model, asked, accelerators=[H200, "NVIDIA-A100-SXM4-80GB"])
    assert (alone["choice"], alone["saving"]) == (None, None)
    assert alone["today"]["words"] in [row["words"] for row in alone["leaders"]]


def test_generation_is_planned_by_requests_at_once_and_cards() -> None:
    found = language({"concurrencies": [1, 32], "tensor_parallel": [1, 2]}, generation={"output_tokens": 64})
    expected = joulecast.plan(
        sources.FetchedModel(**_facts()), [H200, L40S], request=GenerationRequest(output_tokens=64),
        concurrencies=(1, 32), tensor_parallel=(1, 2),
    )  # fmt: skip
    first = found["choice"] or found["leaders"][0]
    assert first["joules"] == pytest.approx(expected.candidates[0].joules, rel=1e-5)
    assert found["unit"] == "request"
    assert first["concurrency"] == expected.candidates[0].setting.concurrency
    assert first["timeToFirstTokenSeconds"] > 0


def _facts() -> dict[str, Any]:
    from joulecast.sources.facts.model_facts import FORMAT, ModelFacts

    return {
        "reference": "m", "format": FORMAT, "path": "", "digest": "d", "layer_digest": None, "bytes_fetched": 0,
        "image_bytes": 0, "verification": None, "skeleton": ModelFacts(config=LLAMA_8B).document(),
    }  # fmt: skip


def test_what_is_excluded_is_counted_with_a_sentence_each(model: Path) -> None:
    found = graph(
        model,
        {"batch_sizes": [1, 64], "objective": {"latency_milliseconds": 0.5}, "power_limits_watts": [5000]},
        accelerators=[H200, "NVIDIA-H2000"],
    )
    assert found["excluded"]["profile"] == 3, "two limits above the card's own, and a card that is not known"
    assert found["excluded"]["slo"] + found["candidates"] == 2
    assert any("NVIDIA-H2000" in each for each in found["excluded"]["examples"])


def test_no_accelerator_that_can_be_priced_is_a_failure_with_its_reason(model: Path) -> None:
    found = graph(model, accelerators=["NVIDIA-H2000"])
    assert found["failed"]["reason"] == "UnknownAccelerator"


def test_profiles_of_the_cluster_price_candidates_and_today(model: Path) -> None:
    document = json.loads(installed()[L40S].to_json())
    document["law"]["static_watts"] *= 3
    own = {"product": L40S, "runtime": "torch-eager", "document": json.dumps(document)}
    asked = {"batch_sizes": [8], "today": TODAY | {"batch_size": 8}}
    shipped = graph(model, asked)
    for accelerators in ([H200, L40S], [H200]):
        dearer = graph(model, asked, accelerators=accelerators, overrides=[own])
        assert dearer["today"]["joules"] > shipped["today"]["joules"]


def test_a_size_of_today_that_nobody_says_is_a_note_and_no_guess(model: Path) -> None:
    (note,) = graph(model, {"today": TODAY})["notes"]
    assert "joulecast.dev/batch-size" in note
    assert "spec.today.batchSize" in note
    found = language({"today": TODAY})
    assert (found["today"], found["saving"]) == (None, None)
    assert "joulecast.dev/concurrency" in found["notes"][0]
    fixed = graph(model, {"today": TODAY}, input_shapes={"image": [4, 3, 32, 32]})
    assert fixed["today"]["batchSize"] == 4


def test_profiles_that_were_made_before_are_not_made_again(model: Path) -> None:
    fetched = sources.fetch(str(model))
    facts = {field.name: getattr(fetched, field.name) for field in fields(fetched) if field.name != "skeleton"}
    header = HEADER | {"model": facts, "input_shapes": SHAPES, "question": QUESTION | {"batch_sizes": [8, 16]}}
    first, made = profiler.work(header | {"skeleton_bytes": len(fetched.skeleton)}, fetched.skeleton)
    assert list(first["made"]) == ["8", "16"]
    again, nothing = profiler.work(
        header | {"skeleton_bytes": len(fetched.skeleton), "ready": first["made"]}, fetched.skeleton + made
    )
    assert (nothing, again | {"made": {}}) == (b"", first | {"made": {}})


@pytest.mark.parametrize(
    ("question", "changes", "says"),
    [
        ({"concurrencies": [2]}, {}, "leave spec.candidates.concurrencies out"),
        ({"objective": {"unit": "request"}}, {}, "leave spec.countedBy out"),
        ({"objective": {"time_to_first_token_milliseconds": 5}}, {}, "spec.slo.timeToFirstTokenMilliseconds"),
        ({}, {"generation": {"output_tokens": 5}}, "outputTokens"),
        ({}, {"runtime": "vllm"}, "leave spec.runtime out"),
        ({}, {"input_shapes": {"image": ["batch", 1, 32, 32]}}, "image"),
    ],
)
def test_what_a_graph_does_not_take_is_named_by_its_field(
    model: Path, question: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(JoulecastError) as raised:
        graph(model, question, **changes)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ({"objective": {"unit": "inference"}}, "planned by request or output_token"),
        ({"try_power_limits": True}, "give a clock lock (spec.candidates.clocksMHz)"),
    ],
)
def test_what_a_generation_does_not_take_is_named_by_its_field(question: dict[str, Any], says: str) -> None:
    try:
        message = language(question)["failed"]["message"]
    except JoulecastError as error:
        message = str(error)
    assert says in message


def test_a_graph_is_cut_as_the_library_cuts_it(model: Path) -> None:
    link = {
        "megabits_per_second": 1000, "nanojoules_per_byte": 100, "over": None, "latency_microseconds": 50,
    }  # fmt: skip
    split = {"split": {"between": [L4, H200], "batch_size": 4, "precision": "default", "link": link}}
    found = graph(model, split, accelerators=[L4, H200])
    own = link_named("1Gbit", joules_per_byte=1e-7, latency_seconds=50e-6)
    expected = joulecast.split(model, (accelerator_named(L4), H200), own, batch_size=4, input_shapes=SHAPES)
    assert found["split"]["byJoules"]["joules"] == pytest.approx(expected.by_joules.joules, rel=1e-5)
    assert found["split"]["byLatency"].get("after") == expected.by_latency.after
    assert "after" not in found["split"]["allOnSecond"]
    assert found["told"] == (expected.rivals == ())
    assert ("do not tell" in found["reason"]) == bool(expected.rivals)
    assert (found["split"]["priced"], found["split"]["leftOut"]) == (len(expected.cuts), 0)
    PlanStatus.model_validate({"split": found["split"]})


def test_a_language_model_is_not_cut() -> None:
    split = {"between": [L4, H200], "batch_size": None, "precision": "default", "link": {
        "megabits_per_second": 1, "nanojoules_per_byte": None, "over": "internet", "latency_microseconds": 0,
    }}  # fmt: skip
    with pytest.raises(JoulecastError, match="export it to ONNX"):
        language({"split": split})
