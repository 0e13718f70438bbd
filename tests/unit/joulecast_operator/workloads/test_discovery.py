from __future__ import annotations

from datetime import UTC, datetime

import pytest

from joulecast_operator.workloads import discovery
from tests.unit.joulecast_operator.samples.workloads import IMAGE, deployment, engine

MODEL = {"joulecast.dev/model": IMAGE}
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
OWNER = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "name": "svc",
    "uid": "u",
    "controller": True,
}


def owned(**more: object) -> dict[str, object]:
    found = deployment(annotations=dict(MODEL))
    found["metadata"]["ownerReferences"] = [OWNER | more]
    return found


def test_the_annotation_names_the_model_before_volumes_and_containers() -> None:
    volumes = [{"name": "m", "image": {"reference": "r/m:1"}}, {"name": "e", "emptyDir": {}}]
    found = discovery.models(deployment(annotations=dict(MODEL), volumes=volumes))
    assert [(model.reference, model.found_in) for model in found] == [
        (IMAGE, "annotation"),
        ("r/m:1", "volume"),
        ("nginx:1", "container"),
    ]


def test_an_image_volume_is_likelier_than_a_container() -> None:
    found = discovery.model_reference(deployment(volumes=[{"name": "m", "image": {"reference": "r/m:1"}}]))
    assert found == discovery.ModelInWorkload(reference="r/m:1", found_in="volume")


def test_an_engine_decides_before_the_images_of_the_pod() -> None:
    volumes = [{"name": "m", "image": {"reference": "r/m:1"}}]
    workload = deployment(containers=[engine("server", LLAMA), {"name": "proxy", "image": "envoy:1"}], volumes=volumes)
    assert discovery.models(workload) == (discovery.ModelInWorkload(reference=f"hf://{LLAMA}", found_in="engine"),)
    assert discovery.model_references(workload) == (f"hf://{LLAMA}",)


def test_an_engine_that_reads_an_image_volume_is_found_by_that_image() -> None:
    volumes = [{"name": "m", "image": {"reference": "r/m:1"}}]
    mounts = [{"name": "m", "mountPath": "/models"}]
    workload = deployment(containers=[engine("server", "/models/llama", volumeMounts=mounts)], volumes=volumes)
    assert discovery.model_references(workload) == ("r/m:1",)


@pytest.mark.parametrize("containers", [[engine("a", "gs://b/c")], [engine("a", "x/y"), engine("b", "x/z")]])
def test_an_engine_whose_model_is_not_known_has_none_by_its_images(containers: list[dict[str, object]]) -> None:
    assert discovery.models(deployment(containers=containers)) == ()
    named = deployment(containers=containers, annotations={"joulecast.dev/model": f"hf://{LLAMA}"})
    assert discovery.model_references(named) == (f"hf://{LLAMA}",)


def test_an_image_is_the_same_with_and_without_its_scheme() -> None:
    assert discovery.model_references(deployment(annotations={"joulecast.dev/model": f"oci://{IMAGE}"})) == (IMAGE,)


@pytest.mark.parametrize(
    "broken",
    [{}, {"metadata": None}, {"spec": {"template": []}}, {"spec": {"template": {"spec": {"containers": [None]}}}}],
)
def test_an_object_without_the_expected_parts_has_no_model(broken: dict[str, object]) -> None:
    assert discovery.model_reference(broken) is None
    assert not discovery.wants_estimate(broken)


@pytest.mark.parametrize("value", ["true", "True", " yes ", "1"])
def test_skip(value: str) -> None:
    workload = deployment(image=IMAGE, annotations=MODEL | {"joulecast.dev/skip": value})
    assert discovery.skipped(workload)
    assert not discovery.wants_estimate(workload)


@pytest.mark.parametrize("value", ["false", "", "0"])
def test_a_false_skip_skips_nothing(value: str) -> None:
    assert not discovery.skipped(deployment(annotations={"joulecast.dev/skip": value}))


def test_what_a_controller_owns_is_left_to_it() -> None:
    assert discovery.top_owner(owned()) == discovery.Owner(
        api_version="serving.kserve.io/v1beta1", kind="InferenceService", name="svc", uid="u"
    )
    assert not discovery.annotatable(owned())
    assert discovery.annotatable(owned(controller=False))


def test_only_an_annotated_workload_asks_for_an_estimate() -> None:
    assert discovery.wants_estimate(deployment(annotations=dict(MODEL)))
    assert not discovery.wants_estimate(deployment(image=IMAGE))
    assert not discovery.wants_estimate(deployment(annotations=MODEL | {"joulecast.dev/estimate": "mine"}))


def test_the_hash_follows_images_and_inputs_only() -> None:
    before = deployment(annotations=dict(MODEL))
    for change in (
        deployment(annotations=dict(MODEL), image="nginx:2"),
        deployment(annotations=MODEL | {"joulecast.dev/batch-size": "8"}),
        deployment(annotations=MODEL | {"joulecast.dev/refresh": "now"}),
        deployment(annotations=dict(MODEL), volumes=[{"name": "m", "image": {"reference": "r/m:1"}}]),
        deployment(annotations=dict(MODEL), imagePullSecrets=[{"name": "pull"}]),
        deployment(annotations=dict(MODEL), serviceAccountName="puller"),
        deployment(annotations=dict(MODEL), nodeSelector={"nvidia.com/gpu.product": "NVIDIA-L40S"}),
        deployment(annotations=MODEL | {"joulecast.dev/precision": "fp16"}),
    ):
        assert discovery.inputs_hash(change) != discovery.inputs_hash(before)
    engines = [engine("server", LLAMA, "-tp", "2")]
    for args in ([LLAMA, "-tp", "4"], [LLAMA], ["a/b", "-tp", "2"], [LLAMA, "-tp", "2", "--enforce-eager"]):
        served, changed = deployment(containers=engines), deployment(containers=[engine("server", *args)])
        assert discovery.inputs_hash(served) != discovery.inputs_hash(changed)
    moved = deployment(containers=[engine("server", LLAMA, "-tp", "2", "--port", "8080")])
    assert discovery.inputs_hash(moved) == discovery.inputs_hash(deployment(containers=engines))
    same = deployment(annotations=MODEL | {"joulecast.dev/state": "Ready", "a": "b"}, replicas=3)
    same["metadata"]["generation"] = 7
    assert discovery.inputs_hash(same) == discovery.inputs_hash(before)


@pytest.mark.parametrize(
    ("value", "rests"),
    [
        ("2026-01-01T00:10:00+00:00", True),
        ("2026-01-01T00:10:00Z", True),
        ("2026-01-01T00:10:00", True),
        ("2025-12-31T23:59:59Z", False),
        ("true", False),
        ("", False),
    ],
)
def test_the_controller_rests_until_a_time(value: str, rests: bool) -> None:
    own = deployment("joulecast-controller", annotations={"joulecast.dev/rest-until": value})
    assert discovery.resting(own, datetime(2026, 1, 1, tzinfo=UTC)) is rests
    assert not discovery.resting(deployment(), datetime(2026, 1, 1, tzinfo=UTC))
