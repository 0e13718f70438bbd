"""Test on which nodes Kueue lets a workload run, and which accelerators that gives."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.kinds import DEPLOYMENTS, NODES, OFFERS
from joulecast_operator.api.products import PRODUCT_LABEL
from joulecast_operator.controllers import changes
from joulecast_operator.estimates.accelerators import WorkloadAccelerators, accelerators_of_workload
from joulecast_operator.index import slim
from joulecast_operator.index.index import Index
from joulecast_operator.workloads.offers.queues import QUEUE_LABEL
from tests.unit.joulecast_operator.samples import offers
from tests.unit.joulecast_operator.samples.workloads import workload

L4, H200 = "NVIDIA-L4", "NVIDIA-H200"
TAINT = {"key": "team", "value": "a", "effect": "NoSchedule"}


def queued(queue: str | None = "team", **pod: Any) -> Any:
    """Return a Deployment that asks for a GPU, as the index keeps it."""
    found = workload("Deployment", labels={"other": "x"} | ({QUEUE_LABEL: queue} if queue else {}))
    spec = found["spec"]["template"]["spec"]
    spec["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    spec.update(pod)
    return slim.workload(DEPLOYMENTS, found)


def node(name: str, product: str, *taints: dict[str, str], **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {PRODUCT_LABEL: product, **labels}}, "spec": {"taints": list(taints)}}


def holding(*objects: dict[str, Any]) -> Index:
    index = Index()
    for each in (
        node("a", H200, pool="large"),
        node("b", L4, pool="small"),
        node("c", "NVIDIA-A10", TAINT, pool="own"),
    ):
        index.put(NODES, each)
    for each in (offers.local_queue(), *objects):
        index.put(OFFERS[each["kind"]], each)
    return index


def found(index: Index, asking: Any = None) -> WorkloadAccelerators:
    result = accelerators_of_workload(asking or queued(), index)
    assert isinstance(result, WorkloadAccelerators), result
    return result


def test_the_flavours_of_the_queue_decide_among_the_nodes() -> None:
    small = offers.flavour("small", {"pool": "small"})
    index = holding(offers.cluster_queue("small"), small)
    assert found(index) == WorkloadAccelerators(source="queue", products=(L4,))
    assert found(index, queued(None)) == WorkloadAccelerators(source="resource", products=(H200, L4))


def test_a_product_that_a_flavour_names_needs_no_node() -> None:
    named = offers.flavour("card", {PRODUCT_LABEL: "NVIDIA-A100-SXM4-80GB"})
    index = holding(offers.cluster_queue("card"), named)
    assert found(index) == WorkloadAccelerators(source="queue", products=("NVIDIA-A100-SXM4-80GB",))


def test_one_of_several_flavours_is_enough_and_what_they_tolerate_counts() -> None:
    own = offers.flavour("own", {"pool": "own"}, tolerations=[{"key": "team", "operator": "Exists"}])
    index = holding(offers.cluster_queue("own", "small"), own, offers.flavour("small", {"pool": "small"}))
    assert found(index) == WorkloadAccelerators(source="queue", products=("NVIDIA-A10", L4))


def test_flavours_of_other_resources_and_those_without_labels_say_nothing() -> None:
    other = holding(offers.cluster_queue("small", covered="memory"), offers.flavour("small", {"pool": "small"}))
    plain = holding(offers.cluster_queue("default"), offers.flavour("default", {}))
    for index in (other, plain):
        assert found(index) == WorkloadAccelerators(source="resource", products=(H200, L4))


@pytest.mark.parametrize(
    ("queue", "held", "missing"),
    [
        ("other", (), "LocalQueue 'other' in namespace 'shop'"),
        ("team", (), "ClusterQueue 'all'"),
        ("team", (offers.cluster_queue("small"),), "ResourceFlavor 'small'"),
    ],
)
def test_what_is_missing_is_told_beside_the_range(queue: str, held: tuple[dict[str, Any], ...], missing: str) -> None:
    result = found(holding(*held), queued(queue))
    assert (result.source, result.products) == ("resource", (H200, L4))
    assert result.note == f"Kueue's {missing} is not found, so that every node counts"


def test_another_queue_is_a_changed_input() -> None:
    assert changes.inputs(queued("team")) != changes.inputs(queued("other"))
    assert changes.inputs(queued("team")) == changes.inputs(queued("team"))


def test_what_the_pods_themselves_name_comes_first() -> None:
    index = holding(offers.cluster_queue("small"), offers.flavour("small", {"pool": "small"}))
    named = queued(nodeSelector={PRODUCT_LABEL: H200})
    assert found(index, named) == WorkloadAccelerators(source="nodeSelector", products=(H200,))
