"""Test that a real API server accepts and serves the generated CRDs, and refuses invalid objects."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from joulecast_operator.api import crds
from tests.harness.control_plane import ControlPlane
from tests.waiting import eventually

IMAGE = {"model": {"image": "registry.example/models/detector:1"}}
HUB = {"model": {"uri": "hf://meta-llama/Llama-3.1-8B@main"}}
CONFIG = {"model": {"configMapRef": {"name": "llama"}}}


def request(**workload: Any) -> dict[str, Any]:
    return {**HUB, "workload": workload}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane.start(tmp_path_factory.mktemp("crds"), controller_manager=False) as started:
        started.apply(*crds.definitions().values())
        assert eventually(lambda: started.kubectl("get", "iee,aep", "-A", check=False).returncode == 0)
        yield started


def dry_run(plane: ControlPlane, kind: str, spec: dict[str, Any]) -> tuple[int, str]:
    document = {"apiVersion": "joulecast.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    done = plane.kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(document), check=False)
    return done.returncode, done.stdout or done.stderr


def test_the_files_as_they_lie_there_are_taken(plane: ControlPlane) -> None:
    plane.kubectl("apply", "--dry-run=server", "-f", crds.ROOT / "crds")


def test_defaults(plane: ControlPlane) -> None:
    code, text = dry_run(plane, "InferenceEnergyEstimate", IMAGE)
    assert code == 0, text
    spec = json.loads(text)["spec"]
    assert spec["workload"] == {"precision": "default"}
    assert (spec["resolveInterval"], spec["suspend"]) == ("15m", False)
    assert "runtime" not in spec  # because it follows from the model


@pytest.mark.parametrize(
    "spec",
    [
        {"targetRef": {"name": "web"}},
        {"targetRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "web"}},
        {"targetRef": {"kind": "Pod", "name": "told-in-the-status"}},
        {**IMAGE, "workload": {"batchSizes": [1, 32], "inputShapes": {"x": ["batch", 3, 224, 224]}}},
        {**IMAGE, "workload": {"inputValues": {"sr": 16000, "sizes": "1,2,3", "scale": "0.5"}}},
        {**IMAGE, "accelerators": {"names": ["NVIDIA-H200"]}, "resolveInterval": "1h30m"},
        {**IMAGE, "accelerators": {"nodeSelector": {"matchLabels": {"pool": "gpu"}}}, "suspend": True},
        {**IMAGE, "imagePullSecrets": [{"name": "pull"}]},
        {**IMAGE, "runtime": "torch-eager", "workload": {"precision": "default"}},
        {**HUB, "runtime": "vllm"},
        {"model": {**HUB["model"], "secretRef": {"name": "token"}, "path": "original", "architecture": "llama"}},
        {"model": {"uri": "s3://models/llama", "secretRef": {"name": "keys"}}},
        {"model": {"uri": "oci://registry.example/models/llama:1"}},
        CONFIG,
        {"model": {"configMapRef": {"name": "llama", "key": "llama-3-70b.json"}, "format": "huggingface"}},
        request(phase="request", inputTokens=512, outputTokens=256, concurrency=32, tensorParallel=2),
        request(phase="prefill", inputTokens=8192, cachedTokens=4096, requestsPerSecond=20),
        request(cachePrecision="fp8"),
        request(requestsPerSecond="0.5"),
        request(requestsPerSecond="500m", outputTokens=1),
        request(phase="forward", batchSizes=[1, 8], inputTokens=128),
        request(cachedTokens=511),
        {**IMAGE, "workload": {"powerLimitWatts": 200, "clockMHz": 900}},
    ],
)
def test_what_is_meant_to_be_said_can_be_said(plane: ControlPlane, spec: dict[str, Any]) -> None:
    code, text = dry_run(plane, "InferenceEnergyEstimate", spec)
    assert code == 0, text


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({}, "exactly one of model and targetRef"),
        ({**IMAGE, "targetRef": {"name": "web"}}, "exactly one of model and targetRef"),
        ({**IMAGE, "resolveInterval": "30s"}, "1m or longer"),
        ({**IMAGE, "resolveInterval": "often"}, "resolveInterval"),
        ({**IMAGE, "accelerators": {}}, "exactly one of names and nodeSelector"),
        ({**IMAGE, "workload": {"batchSizes": [0]}}, "batchSizes"),
        ({**IMAGE, "workload": {"batchSizes": [1, 1]}}, "Duplicate"),
        ({**IMAGE, "workload": {"inputShapes": {"x": ["N"]}}}, "batch"),
        ({**IMAGE, "workload": {"inputShapes": {"x": [-1]}}}, "inputShapes"),
        ({**IMAGE, "workload": {"precision": "int3"}}, "precision"),
        ({"targetRef": {"name": "x", "kind": ""}}, "targetRef.kind"),
        ({"model": {}}, "exactly one of image, uri and configMapRef"),
        ({"model": {**IMAGE["model"], **HUB["model"]}}, "exactly one of image, uri and configMapRef"),
        ({"model": {**CONFIG["model"], **HUB["model"]}}, "exactly one of image, uri and configMapRef"),
        ({"model": {"uri": "https://hub.example/model"}}, "uri"),
        ({"model": {**IMAGE["model"], "secretRef": {"name": "token"}}}, "secretRef belongs to uri"),
        ({"model": {**CONFIG["model"], "path": "x"}}, "leave out path"),
        ({"model": {"configMapRef": {"name": "llama", "key": "a/b"}}}, "key"),
        (request(phase="training"), "phase"),
        (request(cachePrecision="int3"), "cachePrecision"),
        (request(phase="request", batchSizes=[1]), "batchSizes are of the phase forward"),
        (request(batchSizes=[1], concurrency=2), "batchSizes are of one forward pass"),
        (request(phase="forward", outputTokens=2), "the phase forward takes"),
        (request(concurrency=1, requestsPerSecond=1), "at most one of concurrency and requestsPerSecond"),
        (request(requestsPerSecond="0"), "above 0"),
        (request(requestsPerSecond="70000"), "above 0 and at most 65536"),
        (request(requestsPerSecond="many"), "requestsPerSecond"),
        (request(inputTokens=8, cachedTokens=8), "cachedTokens are a part of inputTokens"),
        (request(cachedTokens=512), "cachedTokens are a part of inputTokens"),
        (request(tensorParallel=3), "tensorParallel"),
        ({**IMAGE, "workload": {"powerLimitWatts": 0}}, "powerLimitWatts"),
        ({**IMAGE, "workload": {"clockMHz": 0}}, "clockMHz"),
        (request(inputTokens=0), "inputTokens"),
        (
            {**IMAGE, "accelerators": {"names": list("abcd")}, "workload": {"batchSizes": [1, 2, 3, 4, 5, 6]}},
            "at most 20",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(plane: ControlPlane, spec: dict[str, Any], complaint: str) -> None:
    code, text = dry_run(plane, "InferenceEnergyEstimate", copy.deepcopy(spec))
    assert code != 0
    assert complaint in text


CHOICE = {**IMAGE, "candidates": {"batchSizes": [1, 8], "clocksMHz": [900], "tryPowerLimits": True}}
SPLIT = {**IMAGE, "split": {"between": ["a1", "b1"], "link": {"megabitsPerSecond": 1000, "nanojoulesPerByte": 100}}}


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (IMAGE, None),
        (CHOICE, None),
        ({"targetRef": {"name": "web"}, "slo": {"latencyMilliseconds": 20}, "requestsPerSecond": "500m"}, None),
        ({**HUB, "candidates": {"concurrencies": [1, 64], "tensorParallel": [1, 2]}, "countedBy": "OutputToken"}, None),
        ({**IMAGE, "today": {"accelerator": "L4", "batchSize": 1, "clockMHz": 900}}, None),
        ({**IMAGE, "siteName": "here"}, None),
        (SPLIT, None),
        ({}, "exactly one of model and targetRef"),
        ({**IMAGE, "targetRef": {"name": "web"}}, "exactly one of model and targetRef"),
        ({**IMAGE, "candidates": {"batchSizes": [1], "concurrencies": [1]}}, "give one of the two"),
        ({**IMAGE, "candidates": {"batchSizes": [1, 1]}}, "Duplicate"),
        ({**IMAGE, "candidates": {"clocksMHz": [0]}}, "clocksMHz"),
        ({**IMAGE, "slo": {"latencyMilliseconds": 0}}, "greater than or equal to 1"),
        ({**IMAGE, "requestsPerSecond": "0"}, "above 0"),
        ({**IMAGE, "countedBy": "Batch"}, "countedBy"),
        ({**IMAGE, "today": {"batchSize": 1, "concurrency": 1}}, "at most one of batchSize and concurrency"),
        ({**SPLIT, "slo": {}}, "beside split leave out candidates"),
        ({**SPLIT, "today": {}}, "beside split leave out candidates"),
        ({**SPLIT, "siteName": "here"}, "beside split leave out candidates"),
        ({**IMAGE, "split": {**SPLIT["split"], "between": ["a1"]}}, "between"),
        ({**IMAGE, "split": {**SPLIT["split"], "link": {"megabitsPerSecond": 1}}}, "nanojoulesPerByte and over"),
        ({**IMAGE, "resolveInterval": "30s"}, "1m or longer"),
    ],
)
def test_a_plan_says_one_thing(plane: ControlPlane, spec: dict[str, Any], complaint: str | None) -> None:
    code, text = dry_run(plane, "EnergyPlan", copy.deepcopy(spec))
    assert (code == 0) == (complaint is None), text
    assert complaint is None or complaint in text


def test_a_profile_has_one_source(plane: ControlPlane) -> None:
    assert dry_run(plane, "AcceleratorEnergyProfile", {"product": "X", "coefficients": "{}"})[0] == 0
    code, text = dry_run(plane, "AcceleratorEnergyProfile", {"product": "X"})
    assert code != 0
    assert "exactly one of coefficients and configMapRef" in text
    reference = {"name": "c", "digest": "sha256:abc"}
    assert "digest" in dry_run(plane, "AcceleratorEnergyProfile", {"product": "X", "configMapRef": reference})[1]
