"""Test what is understood of a RayService."""

from __future__ import annotations

from joulecast_operator.api.annotations import CONTAINER
from joulecast_operator.index import slim
from joulecast_operator.workloads import discovery
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.custom import asking, kept, on, problem, understood


def test_of_several_models_of_a_ray_service_an_annotation_chooses() -> None:
    both = (
        custom.SERVE_CONFIG
        + """\
    - model_loading_config: {model_id: large, model_source: {bucket_uri: "s3://models/large"}}
"""
    )
    service = custom.ray_service(both)
    assert problem(service).reason == "AmbiguousModel"
    service["metadata"]["annotations"] = {CONTAINER: "large"}
    assert understood(service).images == ("s3://models/large",)


def test_pods_of_a_workload_that_may_run_on_different_cards_may_run_on_each() -> None:
    service = custom.ray_service()
    other = {"nodeSelector": on("NVIDIA-H200"), "containers": [{"name": "w", "resources": asking()}]}
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    groups.append({"groupName": "more", "replicas": 1, "template": {"spec": other}})
    assert discovery.products(kept(service)) == ("NVIDIA-L4", "NVIDIA-H200")
    groups.append({"groupName": "any", "replicas": 1, "template": {"spec": {"containers": other["containers"]}}})
    assert discovery.products(kept(service)) == ()


def test_what_is_ignored_of_an_engine_is_told() -> None:
    assert understood(custom.ray_service()).understood["ignored"] == ["--enforce-eager"]  # type: ignore[index]
    prefill = {"replicas": 4, "template": {"containers": [{"name": "main", "resources": asking()}]}}
    split = custom.llm_inference_service(prefill=prefill)
    assert understood(split).understood["ignored"] == ["--kv-transfer-config prefill"]  # type: ignore[index]
    assert kept(split)[slim.PODS] == 7
