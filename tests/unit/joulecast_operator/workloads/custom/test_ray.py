"""Test what is understood of a RayService."""

from __future__ import annotations

import pytest
import yaml

from joulecast_operator.api.annotations import CONTAINER
from joulecast_operator.workloads import discovery
from joulecast_operator.workloads.containers import accelerator_type
from joulecast_operator.workloads.pods import CARDS, PODS, REPLICAS
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


@pytest.mark.parametrize(
    ("said", "replicas", "cards"),
    [
        ("deployment_config: {num_replicas: 3}", 3, None),
        ("deployment_config: {num_replicas: auto}", 1, None),
        ("deployment_config: {autoscaling_config: {min_replicas: 2, max_replicas: 8}}", 2, None),
        ("deployment_config: {autoscaling_config: {min_replicas: 0, max_replicas: 8}}", 0, None),
        ("deployment_config: {autoscaling_config: {max_replicas: 8}}", 1, None),
        ("deployment_config: 3", 1, None),
        ("placement_group_config: {bundles: [{GPU: 1, CPU: 2}, {GPU: 1}]}", 1, 2),
        ("placement_group_config: {bundles: [{GPU: 0.5}]}", None, None),
        ("placement_group_config: {bundles: [{GPU: .nan}, {GPU: x}]}", 1, None),
        (f"placement_group_config: {{bundles: [{{GPU: {10**400}}}]}}", 1, None),
        (f"deployment_config: {{num_replicas: {10**400}}}", 1, None),
        ("{}", 1, None),
    ],
)
def test_replicas_are_those_of_the_models_deployment(said: str, replicas: int | None, cards: int | None) -> None:
    model = {"model_loading_config": {"model_id": "small", "model_source": "org/small"}} | yaml.safe_load(said)
    found = kept(custom.ray_service(yaml.safe_dump({"applications": [{"args": {"llm_configs": [model]}}]})))
    assert (found.get(REPLICAS), found.get(CARDS)) == (replicas, cards)


def test_of_several_models_the_chosen_one_is_counted() -> None:
    models = [
        {
            "model_loading_config": {"model_id": name, "model_source": f"org/{name}"},
            "accelerator_type": card,
            "deployment_config": {"num_replicas": number},
        }
        for name, card, number in (("small", "L4", 4), ("large", "H100", 1))
    ]
    service = custom.ray_service(yaml.safe_dump({"applications": [{"args": {"llm_configs": models}}]}))
    assert (kept(service).get(REPLICAS), accelerator_type(kept(service))) == (None, "")
    service["metadata"]["annotations"] = {CONTAINER: "small"}
    assert (kept(service)[REPLICAS], accelerator_type(kept(service))) == (4, "L4")
    before = discovery.inputs_hash(kept(service))
    models[0]["accelerator_type"] = "A10G"
    service["spec"]["serveConfigV2"] = yaml.safe_dump({"applications": [{"args": {"llm_configs": models}}]})
    assert discovery.inputs_hash(kept(service)) != before, "another card is another forecast"


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
    assert kept(split)[PODS] == 7
