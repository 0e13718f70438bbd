"""Test the status for each outcome, the patch that writes it, and the event that reports it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from joulecast_operator.api.conditions import Waiting, Wrong, condition, status_patch
from joulecast_operator.api.estimates import EstimateStatus
from joulecast_operator.estimates.outcomes import Failure
from joulecast_operator.estimates.status import (
    EstimateState,
    desired_status,
    inputs_hash,
    is_answered,
    keeps_results,
    model_title,
    same_generation,
)
from tests.unit.joulecast_operator.samples.estimates import DIGEST, REQUEST, estimate, forecast, generation, row

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
AWAY = Failure(stage="resolve", reason="RegistryUnavailable", message="nobody answers", transient=True)
BROKEN = Failure(stage="profile", reason="InvalidModelFormat", message="no model", transient=False, digest=DIGEST)


def status(
    result: EstimateState, before: dict[str, Any] | None = None, *, now: datetime = NOW, **more: Any
) -> dict[str, Any]:
    return desired_status(estimate(status=before, **more), result, request=REQUEST, now=now)


def truths(found: dict[str, Any]) -> dict[str, str]:
    return {each["type"]: each["status"] for each in found["conditions"]}


def test_a_forecast_is_ready_and_fits_the_schema() -> None:
    found = status(forecast())
    assert truths(found) == {"ModelResolved": "True", "Profiled": "True", "Ready": "True"}
    assert found["estimatedAt"] == "2026-01-02T03:04:05Z"
    assert found["summary"] == {
        "model": "models/detector:1",
        "accelerator": "NVIDIA-H200",
        "batchSize": "32",
        "load": "batch of 32",
        "joules": "0.421 J/batch",
        "interval": "0.379–0.463 J",
        "coverage": "99.9 %",
        "origin": "public",
    }
    assert EstimateStatus.model_validate(found).totals is not None
    json.dumps(found, allow_nan=False)


def test_each_result_says_which_layers_need_most_and_what_widens_its_interval() -> None:
    why = {"topLayers": [{"name": "/Conv", "share": 0.5}], "intervalReasons": ["another runtime"]}
    found = status(forecast(results=(row() | why, row(accelerator="NVIDIA-L40S") | why | {"intervalReasons": []})))
    assert [each["topLayers"] for each in found["results"]] == [why["topLayers"]] * 2
    assert [each["intervalReasons"] for each in found["results"]] == [["another runtime"], []]
    assert "intervalReasons" not in found
    assert EstimateStatus.model_validate(found).results is not None


def test_a_generation_is_ready_and_fits_the_schema() -> None:
    notes = ("read as LlamaForCausalLM", "keys that nothing reads: house")
    result = forecast(image="hf://org/model@main", path="", digest="git:abc", results=(generation(),), notes=notes)
    found = status(result)
    assert truths(found) == {"ModelResolved": "True", "Profiled": "True", "Ready": "True"}
    assert "modelPath" not in found
    assert found["summary"]["model"] == "org/model"
    assert [condition(found, kind)["message"] for kind in ("ModelResolved", "Profiled")] == [  # type: ignore[index]
        "the model is git:abc",
        "every operator has a rule; read as LlamaForCausalLM; keys that nothing reads: house",
    ]
    read = EstimateStatus.model_validate(found)
    assert read.results is not None
    assert read.results[0].joules_per_request == 3.1


def test_negative_generations_do_not_stand() -> None:
    before = status(forecast(results=(generation(joulesPerRequest=-1.0),)))
    assert not keeps_results(estimate(status=before), REQUEST)


def test_what_was_understood_of_a_target_stands_beside_a_failure_too() -> None:
    told = {"engine": "vLLM", "container": "c", "model": "hf://org/model", "used": ["--model"], "ignored": []}
    request = replace(REQUEST, understood=told)
    for result in (forecast(), BROKEN, Waiting(reason="Estimating", message="…")):
        found = desired_status(estimate(), result, request=request, now=NOW)
        assert found["understood"] == told
        assert EstimateStatus.model_validate(found).understood is not None
    after = desired_status(estimate(status=found), forecast(), request=REQUEST, now=NOW)
    assert status_patch(found, after)["understood"] is None


def test_the_same_forecast_changes_nothing() -> None:
    before = status(forecast())
    assert status_patch(before, status(forecast(), before, now=LATER)) == {}


def test_negative_numbers_of_an_earlier_version_do_not_stand() -> None:
    before = status(forecast(results=(row(-0.5),)))
    assert not keeps_results(estimate(status=before), REQUEST)
    after = status(AWAY, before)
    assert truths(after)["Ready"] == "Unknown"
    assert "results" not in after


def test_another_forecast_has_another_time() -> None:
    before = status(forecast())
    after = status(forecast(results=(row(0.5),)), before, now=LATER)
    assert after["estimatedAt"] == "2026-01-02T03:05:05Z"
    ready = condition(after, "Ready")
    assert ready is not None
    assert ready["lastTransitionTime"] == "2026-01-02T03:04:05Z", "it was Ready and still is"


def test_what_is_away_leaves_numbers_as_they_are() -> None:
    before = status(forecast())
    after = status(AWAY, before, now=LATER)
    assert truths(after) == {"ModelResolved": "Unknown", "Profiled": "Unknown", "Ready": "True"}
    assert after["results"] == before["results"]
    assert after["estimatedAt"] == before["estimatedAt"]
    assert "nobody answers" in after["conditions"][-1]["message"]


def test_what_is_away_from_the_start_is_pending() -> None:
    found = status(AWAY)
    assert truths(found) == {"ModelResolved": "Unknown", "Profiled": "Unknown", "Ready": "Unknown"}
    assert "results" not in found


def test_what_is_broken_has_no_numbers() -> None:
    found = status(BROKEN, status(forecast()))
    assert truths(found) == {"ModelResolved": "True", "Profiled": "False", "Ready": "False"}
    assert "results" not in found
    assert found["modelDigest"] == DIGEST


def test_numbers_of_another_question_do_not_stay() -> None:
    of_another_image = status(forecast()) | {"image": "another"}
    of_another_spec = status(forecast()) | {"observedGeneration": 0}
    for before in (of_another_image, of_another_spec):
        assert "results" not in status(AWAY, before)
        assert "results" not in status(Waiting(reason="Estimating", message="…"), before)


def test_numbers_by_another_profile_stay_until_there_are_new_ones_and_are_not_taken_for_them() -> None:
    before = status(forecast()) | {"inputsHash": "another"}
    after = status(AWAY, before)
    assert after["results"] == before["results"]
    assert not is_answered(estimate(status=after), inputs_hash(REQUEST))


def test_a_wrong_spec_is_false_and_waits_for_nothing() -> None:
    found = desired_status(estimate(), Wrong(reason="InvalidSpec", message="spec.model: …"), request=None, now=NOW)
    assert truths(found)["Ready"] == "False"
    assert "inputsHash" not in found


def test_accelerators_without_a_price_are_named() -> None:
    found = status(
        forecast(unavailable={"X": {"reason": "UnknownAccelerator", "message": "no accelerator is named X"}})
    )
    assert found["conditions"][-1]["message"].endswith(
        "no forecast for 1 of the accelerators: X: no accelerator is named X"
    )


def test_operators_without_a_rule_are_named() -> None:
    found = status(forecast(unsupported=("Frobnicate",)))
    assert "Frobnicate" in found["conditions"][1]["message"]
    assert found["unsupportedOperators"] == ["Frobnicate"]


def test_settled_only_while_the_question_is_the_same() -> None:
    before = status(forecast())
    assert is_answered(estimate(status=before), before["inputsHash"])
    assert not is_answered(estimate(status=before), "another")
    assert not is_answered(estimate(status=status(AWAY)), before["inputsHash"])


def test_a_generation_that_decides_no_number_is_observed() -> None:
    before = status(forecast())
    after = same_generation(estimate(status=before, generation=2, model={"image": REQUEST.image}))
    assert {each["observedGeneration"] for each in after["conditions"]} == {2}
    assert set(status_patch(before, after)) == {"observedGeneration", "conditions"}


def test_a_refresh_is_another_question() -> None:
    texts = ("", "now", "2026-01-01T00:00:00Z" * 9 + "1", "2026-01-01T00:00:00Z" * 9 + "2")
    assert len({inputs_hash(replace(REQUEST, refresh=text)) for text in texts}) == len(texts)


def test_a_title_names_no_registry() -> None:
    assert model_title("ghcr.io/team/model:1", None) == "team/model:1"
    assert model_title("localhost:5000/m@sha256:ab", None) == "m"
    assert model_title("team/model:1", None) == "team/model:1"
    assert model_title("oci://ghcr.io/team/model:1", None) == "team/model:1"
    assert model_title("hf://org.example/model@main", None) == "org.example/model"
    assert model_title("configmap://llama.v3/config.json", None) == "llama.v3/config.json"
