"""Test with a real API server what decides on which accelerators a workload may run, and under which power limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from joulecast_operator.workloads.offers.queues import QUEUE_LABEL
from joulecast_operator.workloads.power_limits import NODE_LIMIT, POD_LIMIT
from tests.cluster.controlled import Cluster, controlled, estimate, merge
from tests.cluster.custom_kinds import KUEUE
from tests.cluster.patience import be_patient
from tests.cluster.release import PREFIX, workload
from tests.unit.joulecast_operator.samples import offers

LABEL = "nvidia.com/gpu.product"
H100, L4 = "NVIDIA-H100-80GB-HBM3", "NVIDIA-L4"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with controlled(tmp_path_factory.mktemp("offers"), flags=["--kinds-seconds=1"]) as started:
        be_patient(started.plane)
        started.push("model")
        yield started


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace, and two nodes with cards whose label ``pool`` is its name."""
    name = cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")
    cluster.plane.apply(node("large", H100, name), node("small", L4, name))
    yield name
    cluster.plane.kubectl("delete", "node", "large", "small")


def node(name: str, product: str, pool: str, **spec: Any) -> dict[str, Any]:
    labels = {LABEL: product, "pool": pool, "size": name}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec}


def deploy(cluster: Cluster, namespace: str, *, labels: dict[str, str] | None = None, **pod: Any) -> None:
    """Apply a Deployment of the model that runs on the nodes of the namespace, and an estimate that targets it."""
    served = workload("Deployment", "web", namespace, image=cluster.image("model"))
    served["metadata"]["labels"] = labels or {}
    served["spec"]["template"]["spec"] |= {"nodeSelector": {"pool": namespace}} | pod
    follows = estimate("web", namespace, targetRef={"kind": "Deployment", "name": "web"})
    del follows["spec"]["accelerators"]
    cluster.plane.apply(served, follows)


def facts(cluster: Cluster, namespace: str, of: str = "accelerators") -> dict[str, Any]:
    """Return what the status says about the target's accelerators, or about its power limit."""
    found: dict[str, Any] = cluster.status("web", namespace).get("target", {}).get(of, {})
    return found


def until(cluster: Cluster, namespace: str, source: str, *products: str) -> dict[str, Any]:
    """Wait until the status names these products and what says so, and the forecast is of them."""

    def told() -> bool:
        found, status = facts(cluster, namespace), cluster.status("web", namespace)
        of_results = {row["accelerator"] for row in status.get("results") or ()}
        return (found.get("source"), tuple(found.get("products", ()))) == (source, products) and of_results == {
            *products
        }

    cluster.until(told, f"{source} says {products}")
    return facts(cluster, namespace)


def change(cluster: Cluster, namespace: str, **template: Any) -> None:
    merge(cluster.plane, "deployment", "web", namespace, {"spec": {"template": template}})


def test_a_literal_product_in_a_claim_or_its_class_decides(cluster: Cluster, namespace: str) -> None:
    plane = cluster.plane
    slices = (offers.resource_slice("large", "NVIDIA H100 80GB HBM3"), offers.resource_slice("small", "NVIDIA L4"))
    template = offers.claim_template(offers.product_is("NVIDIA L4"), namespace=namespace)
    deploy(cluster, namespace, **offers.by_template())
    missing = cluster.until_reason("web", namespace, "ClaimNotFound")
    assert (
        f"by the ResourceClaimTemplate 'cards', which joulecast does not find in namespace '{namespace}'"
        in missing["message"]
    )
    plane.apply(offers.device_class(), *slices, template)
    until(cluster, namespace, "claim", L4)

    guessed = "device.attributes['gpu.nvidia.com'].productName.matches('.*H100.*')"
    plane.apply(offers.claim(guessed, namespace=namespace))
    change(cluster, namespace, spec={"resourceClaims": None})
    change(cluster, namespace, spec=offers.by_claim())
    found = until(cluster, namespace, "claim", H100, L4)
    assert found["message"].startswith(f'the selector "{guessed}" compares more than texts with literals')
    assert found["decides"] in (H100, L4)

    plane.kubectl("delete", "resourceslice", "small-gpu")
    until(cluster, namespace, "claim", H100)
    merge(
        plane,
        "deviceclass",
        "gpu.nvidia.com",
        namespace,
        {"spec": {"selectors": offers.selectors("device.driver == 'none'")}},
    )
    until(cluster, namespace, "nodes", H100, L4)
    plane.kubectl("delete", "resourceslice", "large-gpu")
    plane.kubectl("delete", "deviceclass", "gpu.nvidia.com")
    assert list(cluster.forbidden()) == []


def test_the_flavours_of_a_queue_decide_once_kueue_is_there(cluster: Cluster, namespace: str) -> None:
    deploy(cluster, namespace, labels={QUEUE_LABEL: "team"})
    found = until(cluster, namespace, "nodes", H100, L4)
    assert f"Kueue's LocalQueue 'team' in namespace '{namespace}' is not found" in found["message"]
    cluster.plane.apply(*KUEUE)
    for each in KUEUE:
        cluster.plane.kubectl("wait", "--for=condition=Established", f"crd/{each['metadata']['name']}", "--timeout=60s")
    flavours = (offers.flavour("small", {"size": "small"}), offers.flavour("large", {"size": "large"}))
    cluster.plane.apply(*flavours, offers.cluster_queue("small"), offers.local_queue(namespace=namespace))
    until(cluster, namespace, "queue", L4)
    cluster.plane.apply(offers.cluster_queue("large"))
    until(cluster, namespace, "queue", H100)
    for each in KUEUE:
        cluster.plane.kubectl("delete", "crd", each["metadata"]["name"])
    until(cluster, namespace, "nodes", H100, L4)
    assert list(cluster.forbidden()) == []


def test_a_node_whose_taint_is_not_tolerated_is_left_out(cluster: Cluster, namespace: str) -> None:
    deploy(cluster, namespace)
    until(cluster, namespace, "nodes", H100, L4)
    cluster.plane.kubectl("taint", "node", "large", "team=other:NoSchedule")
    until(cluster, namespace, "nodes", L4)
    change(cluster, namespace, spec={"tolerations": [{"key": "team", "operator": "Exists"}]})
    until(cluster, namespace, "nodes", H100, L4)
    cluster.plane.kubectl("cordon", "small")
    change(cluster, namespace, spec={"tolerations": None})
    until(cluster, namespace, "nodes", L4)


def test_the_power_limit_of_pods_and_of_nodes_is_that_of_the_forecast(cluster: Cluster, namespace: str) -> None:
    deploy(cluster, namespace, nodeSelector={"pool": namespace, "size": "large"})
    until(cluster, namespace, "nodes", H100)
    free = joules(cluster, namespace)
    limited = lambda *watts: lambda: limits(cluster, namespace) == set(watts)  # noqa: E731
    cluster.plane.kubectl("label", "node", "large", f"{NODE_LIMIT}=400")
    cluster.until(limited(400), "the nodes' limit is taken")
    assert facts(cluster, namespace, "powerLimit") == {"watts": 400, "source": "nodeLabel"}
    cluster.until(lambda: annotation(cluster, namespace, "estimated-power-limit-watts") == "400", "it is annotated")
    change(cluster, namespace, metadata={"annotations": {POD_LIMIT: "300"}})
    cluster.until(limited(300), "the pods' limit comes first")
    assert facts(cluster, namespace, "powerLimit") == {"watts": 300, "source": "podAnnotation"}
    cluster.until(lambda: annotation(cluster, namespace, "estimated-power-limit-watts") == "300", "it is annotated")
    merge(cluster.plane, "iee", "web", namespace, {"spec": {"workload": {"powerLimitWatts": 350}}})
    cluster.until(limited(350), "the spec's limit takes its place")
    cluster.until(lambda: annotation(cluster, namespace, "estimated-power-limit-watts") == "350", "it is annotated")
    merge(cluster.plane, "iee", "web", namespace, {"spec": {"workload": {"powerLimitWatts": None}}})
    change(cluster, namespace, metadata={"annotations": {POD_LIMIT: "all"}})
    said = cluster.until_reason("web", namespace, "InvalidPowerLimit")
    assert f"the annotation {POD_LIMIT} of the pod template is 'all', which is no power limit" in said["message"]
    cluster.until(lambda: annotation(cluster, namespace, "reason") == "InvalidPowerLimit", "the Deployment says so")
    change(cluster, namespace, metadata={"annotations": {POD_LIMIT: None}})
    cluster.plane.kubectl("label", "node", "large", f"{NODE_LIMIT}-")
    cluster.until(lambda: limits(cluster, namespace) == {None} and joules(cluster, namespace) == free, "none is left")
    assert facts(cluster, namespace, "powerLimit") == {}


def limits(cluster: Cluster, namespace: str) -> set[int | None]:
    """Return the power limits of the results."""
    return {row.get("powerLimitWatts") for row in cluster.status("web", namespace).get("results") or ()}


def joules(cluster: Cluster, namespace: str) -> float:
    found: float = cluster.status("web", namespace)["results"][0]["joulesPerBatch"]
    return found


def annotation(cluster: Cluster, namespace: str, name: str) -> str | None:
    found = cluster.plane.get("deployment", "web", namespace)
    assert found is not None
    value: str | None = (found["metadata"].get("annotations") or {}).get(PREFIX + name)
    return value
