"""Test the profiler's jobs in this process, with real models."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from joulecast import sources
from joulecast.accelerators import catalogue
from joulecast.accelerators.catalogue import installed
from joulecast.energy import pricing
from joulecast.energy.profile import AcceleratorProfile
from joulecast.errors import JoulecastError, NotCalibratedError
from joulecast_operator.estimates.outcomes import Failure, priced_outcome
from joulecast_operator.workers import profiler
from tests import small_models


def job(path: Path, **changes: Any) -> tuple[dict[str, Any], bytes]:
    fetched = sources.fetch(str(small_models.classifier(path)))
    model = {field.name: getattr(fetched, field.name) for field in fields(fetched) if field.name != "skeleton"}
    header = {
        "operation": "forecast",
        "model": model,
        "skeleton_bytes": len(fetched.skeleton),
        "ready": {},
        "batch_sizes": [1, 4],
        "input_shapes": {"image": ["batch", 3, 32, 32]},
        "input_values": {},
        "phase": None,
        "generation": {},
        "architecture": None,
        "cache_precision": "default",
        "precision": "default",
        "power_limit_watts": None,
        "clock_mhz": None,
        "runtime": "torch-eager",
        "accelerators": ["NVIDIA-H200", "NVIDIA-H200-SHARED", "NVIDIA-H2000"],
        "overrides": [],
    }
    return header | changes, fetched.skeleton


def test_a_forecast(tmp_path: Path) -> None:
    answer, made = profiler.work(*job(tmp_path / "c.onnx"))
    assert [(row["accelerator"], row["batchSize"]) for row in answer["results"]] == [
        ("NVIDIA-H200", 1),
        ("NVIDIA-H200", 4),
    ]
    assert answer["totals"]["macs"] == small_models.CLASSIFIER_MACS
    assert answer["unavailable"]["NVIDIA-H2000"]["reason"] == "UnknownAccelerator"
    assert sum(answer["made"].values()) == len(made)
    most = answer["top_layers"]
    assert 0 < sum(layer["share"] for layer in most) <= 1
    one, four = answer["results"]
    assert one["topLayers"] == [{"name": layer["name"], "share": layer["share"]} for layer in most[:3]]
    assert [layer["share"] for layer in four["topLayers"]] != [layer["share"] for layer in one["topLayers"]]
    assert all(isinstance(row["intervalReasons"], list) for row in answer["results"])


def test_a_ready_profile_needs_no_skeleton(tmp_path: Path) -> None:
    first, made = profiler.work(*job(tmp_path / "c.onnx"))
    header, _ = job(tmp_path / "c.onnx", skeleton_bytes=0, ready=first["made"])
    second, nothing = profiler.work(header, made)
    assert second["results"] == first["results"]
    assert nothing == b""


def test_caps_are_priced_and_told(tmp_path: Path) -> None:
    free, _ = profiler.work(*job(tmp_path / "c.onnx", accelerators=["NVIDIA-A100-PCIE-40GB"]))
    asked = {"accelerators": ["NVIDIA-A100-PCIE-40GB"], "power_limit_watts": 200, "clock_mhz": 900}
    capped, _ = profiler.work(*job(tmp_path / "c.onnx", **asked))
    assert {"powerLimitWatts": 200, "clockMHz": 900}.items() <= capped["results"][1].items()
    assert capped["results"][1]["averagePowerWatts"] < free["results"][1]["averagePowerWatts"]
    assert not {"powerLimitWatts", "clockMHz"} & set(free["results"][1])


@pytest.mark.parametrize(
    ("cap", "reason"),
    [
        ({"power_limit_watts": 5000}, "PowerLimitOutOfRange"),
        ({"power_limit_watts": 1}, "PowerLimitOutOfRange"),
        ({"clock_mhz": 10}, "ClockOutOfRange"),
    ],
)
def test_a_cap_that_the_card_cannot_have_is_a_reason(tmp_path: Path, cap: dict[str, int], reason: str) -> None:
    refused, _ = profiler.work(*job(tmp_path / "c.onnx", accelerators=["NVIDIA-H200"], **cap))
    assert refused["results"] == []
    assert refused["unavailable"]["NVIDIA-H200"]["reason"] == reason


def test_an_override_prices(tmp_path: Path) -> None:
    document = json.loads(catalogue.installed()["NVIDIA-H200"].to_json())
    document["law"]["static_watts"] *= 10
    document["law"]["gap_watts"] = document["law"]["gap_watts"] * 10 + 100
    override = {"product": "NVIDIA-H200", "runtime": "torch-eager", "document": json.dumps(document)}
    shipped, _ = profiler.work(*job(tmp_path / "c.onnx"))
    own, _ = profiler.work(*job(tmp_path / "c.onnx", overrides=[override]))
    assert own["results"][0]["joulesPerBatch"] > shipped["results"][0]["joulesPerBatch"]


def test_a_shape_that_contradicts_the_model(tmp_path: Path) -> None:
    with pytest.raises(JoulecastError, match="image"):
        profiler.work(*job(tmp_path / "c.onnx", input_shapes={"image": ["batch", 1, 32, 32]}))


def test_a_batch_size_that_is_not_said_is_read_off_the_shapes(tmp_path: Path) -> None:
    header, body = job(tmp_path / "c.onnx", batch_sizes=[None], input_shapes={"image": [8, 3, 32, 32]})
    answer, made = profiler.work(header, body)
    assert [row["batchSize"] for row in answer["results"]] == [8]
    again, _ = profiler.work(header | {"skeleton_bytes": 0, "ready": answer["made"]}, made)
    assert again["results"] == answer["results"]


def test_two_batch_sizes_that_disagree_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        JoulecastError, match=r"batch size 4 contradicts spec\.workload\.inputShapes image, by which it is 8"
    ):
        profiler.work(*job(tmp_path / "c.onnx", batch_sizes=[4], input_shapes={"image": [8, 3, 32, 32]}))


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (
            "dimension H open; give --input x=1,3,…,8",
            "dimension H open; give spec.workload.inputShapes {x: [1, 3, …, 8]}",
        ),
        ("give it with --input /in/x=…", "give it with spec.workload.inputShapes {/in/x: […]}"),
        (
            "steer it with --value NAME=…, or with --input y=…",
            "steer it with spec.workload.inputValues {NAME: …}, or with spec.workload.inputShapes {y: […]}",
        ),
        ("check --input and --value, or", "check spec.workload.inputShapes and spec.workload.inputValues, or"),
        (
            "give --input x=1,3 --input '/in put=2,4' --value n=1 (with your own)",
            'give spec.workload {inputShapes: {x: [1, 3], "/in put": [2, 4]}, inputValues: {n: 1}} (with your own)',
        ),
        ("give --input x=2,batch,3 (with", "give spec.workload.inputShapes {x: [2, batch, 3]} (with"),
        ("give --input x=1,3 --input y=2", "give spec.workload.inputShapes {x: [1, 3], y: [2]}"),
        ("give --value m=1,2 --value c=[[1]]", 'give spec.workload.inputValues {m: "1,2", c: "[[1]]"}'),
        ("leave --batch-size out", "leave spec.workload.batchSizes out"),
        ("nothing of the kind", "nothing of the kind"),
    ],
)
def test_options_of_the_command_become_fields_of_the_spec(said: str, means: str) -> None:
    assert profiler.in_fields(said) == means


def test_an_open_shape_is_asked_for_where_the_reader_can_give_it(tmp_path: Path) -> None:
    fetched = sources.fetch(str(small_models.speech(tmp_path / "s.onnx")))
    model = {field.name: getattr(fetched, field.name) for field in fields(fetched) if field.name != "skeleton"}
    header, _ = job(tmp_path / "c.onnx", model=model, skeleton_bytes=len(fetched.skeleton), input_shapes={})
    with pytest.raises(JoulecastError, match=r"spec\.workload \{inputShapes: \{audio: \[batch, …") as caught:
        profiler.work(header, fetched.skeleton)
    assert "--" not in str(caught.value)
    assert caught.value.reason == "UnresolvedShape"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (16000, 16000),
        ("16000", 16000),
        ("0.5", 0.5),
        ("1,2,3", [1, 2, 3]),
        ("5,", [5]),
        ("true", True),
        ("1, 0.5", [1, 0.5]),
        ("[[1, 2], [True, 0.5]]", [[1, 2], [True, 0.5]]),
    ],
)
def test_input_values(text: object, value: object) -> None:
    assert profiler.input_value(text) == value


def test_validation() -> None:
    document = catalogue.installed()["NVIDIA-H200"].to_json()
    header = {"operation": "validate", "product": "NVIDIA-H200", "runtime": "torch-eager", "document": document}
    assert profiler.work(header, b"")[0]["profile"]["origin"] == "measured"
    measured = catalogue.installed()["NVIDIA-A100-PCIE-40GB"]
    own = header | {"product": measured.product, "document": measured.to_json()}
    assert profiler.work(own, b"")[0]["profile"]["held_out_error"] == measured.held_out["median_ape"]
    for changes, reason in (
        ({"product": "NVIDIA-L40S"}, "ProductMismatch"),
        ({"runtime": "onnxruntime-cuda", "document": without_runtime(document)}, "RuntimeMismatch"),
        ({"document": "{}"}, "InvalidProfile"),
    ):
        with pytest.raises(NotCalibratedError) as caught:
            profiler.work(header | changes, b"")
        assert caught.value.reason == reason


BAD = ({"byte_joules": -1}, {"byte_joules": float("nan")}, {"flop_joules": {}}, {"static_watts": "60"})


@pytest.mark.parametrize("law", BAD, ids=str)
def test_a_profile_that_prices_nothing_sound_is_refused(law: dict[str, Any]) -> None:
    document = catalogue.installed()["NVIDIA-H200"].to_json()
    plain = json.loads(document)
    header = {"operation": "validate", "product": "NVIDIA-H200", "runtime": "torch-eager"}
    with pytest.raises(NotCalibratedError, match=next(iter(law))) as caught:
        profiler.work(header | {"document": json.dumps(plain | {"law": plain["law"] | law})}, b"")
    assert (caught.value.reason, caught.value.transient) == ("InvalidProfile", False)
    with pytest.raises(NotCalibratedError, match="origin"):
        profiler.work(header | {"document": json.dumps(plain | {"origin": "foo"})}, b"")


@pytest.mark.parametrize("law", BAD, ids=str)
def test_a_bad_profile_takes_only_itself_out(tmp_path: Path, law: dict[str, Any]) -> None:
    """The other accelerators of the estimate get a forecast, wherever the invalid profile comes from."""
    plain = json.loads(catalogue.installed()["NVIDIA-B200"].to_json())
    document = json.dumps(plain | {"law": plain["law"] | law})
    override = {"product": "NVIDIA-B200", "runtime": "torch-eager", "document": document}
    names = ["NVIDIA-B200", "NVIDIA-H200"]
    answer, _ = profiler.work(*job(tmp_path / "c.onnx", accelerators=names, overrides=[override]))
    assert {row["accelerator"] for row in answer["results"]} == {"NVIDIA-H200"}
    assert answer["unavailable"]["NVIDIA-B200"]["reason"] == "InvalidProfile"
    json.dumps(answer, allow_nan=False)


def test_numbers_that_no_status_can_hold_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    priced = pricing.price

    def endless(profile: Any, accelerator: Any, **options: Any) -> Any:
        found = priced(profile, accelerator, **options)
        return replace(found, joules_per_batch=float("nan")) if accelerator.product == "NVIDIA-B200" else found

    monkeypatch.setattr(pricing, "price", endless)
    answer, _ = profiler.work(*job(tmp_path / "c.onnx", accelerators=["NVIDIA-B200", "NVIDIA-H200"]))
    assert {row["accelerator"] for row in answer["results"]} == {"NVIDIA-H200"}
    assert answer["unavailable"]["NVIDIA-B200"]["reason"] == "NotFinite"


def without_runtime(document: str) -> str:
    plain = json.loads(document)
    plain["hosts"].pop("onnxruntime-cuda", None)
    return json.dumps(plain)


def test_a_defect_in_one_accelerators_forecast_costs_that_accelerator_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shipped = catalogue.find

    def find(product: str, runtime: str) -> AcceleratorProfile:
        if product == "Tesla-T4":
            raise KeyError(runtime)
        return shipped(product, runtime)

    monkeypatch.setattr(catalogue, "find", find)
    answer, _ = profiler.work(*job(tmp_path / "model.onnx", accelerators=["NVIDIA-H200", "Tesla-T4"]))
    assert {row["accelerator"] for row in answer["results"]} == {"NVIDIA-H200"}
    [record] = caplog.records
    entry = answer["unavailable"]["Tesla-T4"]
    assert entry["reason"] == "InternalError"
    assert record.defect in entry["message"]


def test_a_profile_and_its_results_bear_the_cards_one_name(tmp_path: Path) -> None:
    document = json.loads(installed()["NVIDIA-L40S"].to_json()) | {"product": "nvidia-l40s"}
    override = {"product": "NVIDIA L40S", "runtime": "torch-eager", "document": json.dumps(document)}
    profiler.work({"operation": "validate"} | override, b"")
    answer, _ = profiler.work(*job(tmp_path / "c.onnx", accelerators=["NVIDIA-L40S-SHARED"], overrides=[override]))
    assert {row["accelerator"] for row in answer["results"]} == {"NVIDIA-L40S"}


def test_accelerators_of_which_none_can_be_priced_say_why_each(tmp_path: Path) -> None:
    names = ["NVIDIA-H2000", "NVIDIA-H200-MIG-1g.18gb"]
    answer, _ = profiler.work(*job(tmp_path / "c.onnx", accelerators=names))
    found = priced_outcome("image:1", "sha256:0", None, answer)  # type: ignore[arg-type]
    assert isinstance(found, Failure)
    assert found.reason == "UnknownAccelerator"
    assert "NVIDIA-H2000: unknown accelerator 'NVIDIA-H2000'" in found.message
    assert "NVIDIA-H200-MIG-1g.18gb: " in found.message
