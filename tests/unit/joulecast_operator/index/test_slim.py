"""What is kept of each kind, and by what it is found."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.kinds import ANNOTATED, DEPLOYMENTS, NODES
from joulecast_operator.api.objects import Key
from joulecast_operator.index import slim
from joulecast_operator.index.index import Index
from joulecast_operator.workloads import discovery
from joulecast_operator.workloads.pods import PODS, pods_asked_for
from tests.unit.joulecast_operator.samples.workloads import A100, H200, IMAGE, deployment, estimate, workload


def noisy() -> dict[str, Any]:
    """An estimate with what field managers, kubectl and users write."""
    found = estimate()
    found["metadata"] |= {
        "managedFields": [{}],
        "labels": {"app.kubernetes.io/managed-by": "joulecast", "team": "SECRET"},
        "annotations": {
            "joulecast.dev/refresh": "1",
            "kubectl.kubernetes.io/last-applied-configuration": "SECRET",
            "other": "SECRET",
        },
    }
    return found


@pytest.mark.parametrize("kind", tuple(ANNOTATED))
def test_of_every_kind_of_workload_the_same_is_found_in_what_is_kept(kind: str) -> None:
    whole, index = workload(kind, annotations={"joulecast.dev/estimate": "own"}), Index()
    listed = {key: value for key, value in whole.items() if key not in ("kind", "apiVersion")}  # as in a listing
    index.put(ANNOTATED[kind], listed)
    kept = index.workload(kind, "shop", "web")
    assert kept is not None
    assert discovery.inputs_hash(kept) == discovery.inputs_hash(whole)
    assert discovery.model_references(kept) == (IMAGE,)
    assert kept.get(PODS) == pods_asked_for(whole)
    key = Key(kind=kind, namespace="shop", name="web")
    assert index.workloads_of("shop", model=IMAGE) == index.workloads_of("shop", estimate="own") == {key}
    assert index.workload("Pod", "shop", "web") is None


def test_only_what_is_read_of_a_deployment_is_kept() -> None:
    index = Index()
    resource = {
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "u",
            "resourceVersion": "1",
            "managedFields": [{}],
            "annotations": {"joulecast.dev/model": "m", "other": "x" * 1000},
        },
        "spec": {
            "template": {
                "spec": {
                    "containers": [{"name": "c", "image": "i", "env": [{"name": "SECRET"}]}],
                    "serviceAccountName": "puller",
                    "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-L40S", "pool": "gpu"},
                    "hostAliases": [{"ip": "SECRET"}],
                }
            }
        },
    }
    index.put(DEPLOYMENTS, resource)
    kept = index.workload("Deployment", "shop", "web")
    assert kept is not None
    assert kept["metadata"]["annotations"] == {"joulecast.dev/model": "m"}
    assert "SECRET" not in str(kept)
    assert kept["spec"]["template"]["spec"]["containers"] == [{"image": "i"}]
    assert discovery.inputs_hash(kept) == discovery.inputs_hash(resource)
    assert discovery.service_account(kept) == "puller"
    assert discovery.products(kept) == ("NVIDIA-L40S",)


def test_nodes_keep_labels_and_addresses() -> None:
    index = Index()
    index.put(
        NODES, {"metadata": {"name": "n", "resourceVersion": "1", "labels": {"a": "b"}}, "status": {"images": [1]}}
    )
    assert index.nodes() == [{"metadata": {"name": "n", "resourceVersion": "1", "labels": {"a": "b"}}}]
    addresses, spec = [{"type": "InternalIP", "address": "192.0.2.1"}], {"podCIDRs": ["10.244.0.0/24"], "taints": []}
    index.put(
        NODES, {"metadata": {"name": "n", "resourceVersion": "2"}, "spec": spec, "status": {"addresses": addresses}}
    )
    (found,) = index.nodes()
    assert found["spec"] == {"podCIDRs": ["10.244.0.0/24"]}
    assert found["status"] == {"addresses": [{"address": "192.0.2.1"}]}


def test_only_devices_of_nvidia_are_kept_of_a_nodes_resources() -> None:
    status = {"allocatable": {"nvidia.com/gpu": "8", "nvidia.com/mig-1g.10gb": "7", "cpu": "64"}}
    kept = slim.node({"metadata": {"name": "n"}, "status": status})
    assert kept["status"] == {"allocatable": {"nvidia.com/gpu": "8", "nvidia.com/mig-1g.10gb": "7"}}


def test_noise_goes_and_everything_else_stays() -> None:
    found = slim.without_noise(noisy())
    assert "managedFields" not in found["metadata"]
    assert found["metadata"]["annotations"] == {"joulecast.dev/refresh": "1", "other": "SECRET"}
    assert (found["spec"], found["status"]) == (noisy()["spec"], noisy()["status"])


def test_an_estimate_keeps_spec_and_status_whole_and_our_own_metadata() -> None:
    kept = slim.estimate(noisy())
    assert (kept["spec"], kept["status"]) == (noisy()["spec"], noisy()["status"])
    assert kept["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "joulecast"}
    assert kept["metadata"]["annotations"] == {"joulecast.dev/refresh": "1"}
    assert "SECRET" not in str(kept)


def test_an_admission_keeps_less_of_an_estimate() -> None:
    whole = noisy()
    whole["status"] |= {"totals": {"macs": 1}, "topLayers": [{"name": "a"}]}
    whole["status"]["results"][0] |= {"topLayers": [{"name": "a"}], "intervalReasons": ["another runtime"]}
    whole["status"]["conditions"].append({"type": "Profiled", "status": "True"})
    whole["spec"]["workload"]["inputShapes"] = {"x": [1]}
    kept = slim.admission_estimate(whole)
    assert kept["spec"] == {"model": {"image": IMAGE}, "workload": {"batchSizes": [32]}}
    assert not {"totals", "topLayers"} & kept["status"].keys()
    assert [each["type"] for each in kept["status"]["conditions"]] == ["Ready"]
    assert [row["accelerator"] for row in kept["status"]["results"]] == [H200, A100]
    assert not any({"latencySeconds", "topLayers", "intervalReasons"} & row.keys() for row in kept["status"]["results"])


@pytest.mark.parametrize(
    ("spec", "links"),
    [
        ({"model": {"image": "i"}}, [("model", "shop", "i")]),
        ({"model": {"uri": "hf://org/chat"}}, [("model", "shop", "hf://org/chat")]),
        ({"targetRef": {"name": "web"}}, [("target Deployment", "shop", "web")]),
        ({"targetRef": {"kind": "Deployment", "name": ""}}, []),
        ({}, []),
    ],
)
def test_an_estimate_is_found_by_its_target_or_its_model(spec: dict[str, Any], links: list[Any]) -> None:
    assert list(slim.estimate_links(estimate() | {"spec": spec})) == links


def test_a_deployment_is_found_by_its_images_and_the_estimate_that_it_names() -> None:
    named = deployment(image="i", annotations={"joulecast.dev/estimate": " own "})
    assert list(slim.workload_links(named)) == [("model", "shop", "i"), ("estimate", "shop", "own")]
