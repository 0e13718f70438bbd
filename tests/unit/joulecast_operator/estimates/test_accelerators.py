"""Test on which accelerators a workload runs, what says so, and which of several decides."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.annotations import FOR_ACCELERATOR
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.kinds import DEPLOYMENTS, NODES
from joulecast_operator.api.products import PRODUCT_LABEL
from joulecast_operator.api.results import TargetAccelerators
from joulecast_operator.estimates.accelerators import (
    WorkloadAccelerators,
    accelerator_facts,
    accelerators_of_workload,
)
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.index import slim
from joulecast_operator.index.index import Index
from tests.unit.joulecast_operator.estimates.test_inputs import asked
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.workloads import row, workload

GPU = "nvidia.com/gpu"
L4, H200, A100 = "NVIDIA-L4", "NVIDIA-H200", "NVIDIA-A100-SXM4-80GB"


def node(name: str, product: str, *, gpus: str = "8", **labels: str) -> dict[str, Any]:
    held = {PRODUCT_LABEL: product, **{key.replace("_", "-"): value for key, value in labels.items()}}
    metadata = {"name": name, "resourceVersion": "1", "labels": held}
    return {"metadata": metadata, "status": {"allocatable": {GPU: gpus}}}


def holding(nodes: list[dict[str, Any]]) -> Index:
    """Return an index with these nodes."""
    index = Index()
    for each in nodes:
        index.put(NODES, each)
    return index


NODES_OF_ALL = [node("a", L4, pool="small"), node("b", H200, pool="large"), node("c", A100, pool="large")]


def served(*, annotations: dict[str, str] | None = None, limits: dict[str, str] | None = None, **pod: Any) -> Any:
    found = workload("Deployment", annotations=annotations or {})
    found["spec"]["template"]["spec"] |= pod
    found["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": limits or {}}
    return slim.workload(DEPLOYMENTS, found)


def by(pod: dict[str, Any], values: list[str]) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": PRODUCT_LABEL, "operator": "In", "values": values}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return pod | {"affinity": {"nodeAffinity": required}}


@pytest.mark.parametrize(
    ("given", "source", "products"),
    [
        ({"annotations": {"joulecast.dev/for-accelerator": "nvidia l4"}, "limits": {"nvidia.com/mig-1g.5gb": "1"}},
         "annotation", (L4,)),
        (by({"nodeSelector": {PRODUCT_LABEL: H200}}, [L4]), "nodeSelector", (H200,)),
        (by({"limits": {GPU: "1"}}, [A100, L4]), "nodeAffinity", (A100, L4)),
        ({"limits": {GPU: "1"}, "nodeSelector": {"pool": "large"}}, "resource", (A100, H200)),
        ({"limits": {GPU: "1"}, "nodeSelector": {"pool": "small"}}, "resource", (L4,)),
        ({"nodeSelector": {"pool": "large"}}, "nodes", (A100, H200)),
        ({}, "nodes", (A100, H200, L4)),
    ],
)  # fmt: skip
def test_what_says_it_in_its_order(given: dict[str, Any], source: str, products: tuple[str, ...]) -> None:
    found = accelerators_of_workload(served(**given), holding(NODES_OF_ALL))
    assert found == WorkloadAccelerators(source=source, products=products)  # type: ignore[arg-type]


def test_nodes_that_share_or_divide_their_cards_are_left_out_and_told() -> None:
    parts = [node("d", "NVIDIA-T4-SHARED"), node("e", "NVIDIA-H100-MIG-1g.10gb"), node("f", "T", replicas="4")]
    parts[2]["metadata"]["labels"] |= {"nvidia.com/gpu.replicas": "4"}
    found = accelerators_of_workload(served(limits={GPU: "1"}), holding([*NODES_OF_ALL, *parts]))
    assert isinstance(found, WorkloadAccelerators)
    assert found.products == (A100, H200, L4)
    assert found.note == "nodes that share or divide their GPUs are left out"
    found = accelerators_of_workload(served(limits={GPU: "1"}), holding(parts))
    assert isinstance(found, Wrong)
    assert found.reason == "SharedAccelerator"
    assert "(d, e, f)" in found.message


def test_no_node_that_the_pods_may_run_on() -> None:
    found = accelerators_of_workload(served(limits={GPU: "1"}, nodeSelector={"pool": "none"}), holding(NODES_OF_ALL))
    assert isinstance(found, Waiting)
    assert found.reason == "NoAccelerator"
    assert f"may run on has {GPU} and the label {PRODUCT_LABEL}" in found.message


@pytest.mark.parametrize("resource", ["nvidia.com/mig-1g.10gb", "nvidia.com/gpu.shared"])
def test_a_part_of_a_card_is_a_state_with_its_reason(resource: str) -> None:
    found = accelerators_of_workload(served(limits={resource: "1"}), holding(NODES_OF_ALL))
    assert isinstance(found, Wrong)
    facts = accelerator_facts(found, [])
    assert facts["message"].startswith(f"the pods ask for {resource}")
    assert TargetAccelerators.model_validate(facts).source is None


def ray(accelerator_type: str, *groups: dict[str, Any]) -> Any:
    """Return a RayService whose model asks Ray for a type, with a group of pods for each of ``groups``."""
    configuration = custom.SERVE_CONFIG.replace("accelerator_type: L4", f"accelerator_type: {accelerator_type}")
    container = {"name": "worker", "resources": custom.asking()}
    pods = [{"replicas": 1, "template": {"spec": {"containers": [container], **each}}} for each in groups]
    return custom.kept(custom.ray_service(configuration, rayClusterConfig={"workerGroupSpecs": pods}))


def on(product: str) -> dict[str, Any]:
    return {"nodeSelector": {PRODUCT_LABEL: product}}


@pytest.mark.parametrize(
    ("found", "source", "products"),
    [
        (ray("L4", on(L4)), "nodeSelector", (L4,)),
        (ray("L4", on(L4), on(H200)), "acceleratorType", (L4,)),
        (ray("H200", {}), "acceleratorType", (H200,)),
        (ray("A100", {"nodeSelector": {"pool": "large"}}), "acceleratorType", (A100,)),
        (ray("A100-80G", {}), "acceleratorType", (A100,)),
    ],
)
def test_the_type_that_a_model_asks_ray_for_chooses_among_what_the_pods_may_run_on(
    found: Any, source: str, products: tuple[str, ...]
) -> None:
    assert accelerators_of_workload(found, holding(NODES_OF_ALL)) == WorkloadAccelerators(
        source=source,  # type: ignore[arg-type]
        products=products,
    )


def test_a_type_that_no_node_has_is_all_that_ray_calls_so() -> None:
    without = accelerators_of_workload(ray("T4", {}), holding([]))
    assert without == WorkloadAccelerators(source="acceleratorType", products=("Tesla-T4",))
    elsewhere = accelerators_of_workload(ray("H100", on(L4)), holding(NODES_OF_ALL))
    assert isinstance(elsewhere, WorkloadAccelerators)
    assert set(elsewhere.products) == {"NVIDIA-H100-PCIe", "NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-NVL"}
    assert elsewhere.note == "the pods may run on NVIDIA-L4 alone, which Ray does not call H100"
    foreign = accelerators_of_workload(ray("TPU-V6E", on(L4)), holding(NODES_OF_ALL))
    assert isinstance(foreign, WorkloadAccelerators)
    assert (foreign.source, foreign.products) == ("nodeSelector", (L4,))
    assert foreign.note == "the accelerator_type 'TPU-V6E' names no card that joulecast knows"
    nowhere = accelerators_of_workload(ray("TPU-V6E", {}), holding([]))
    assert isinstance(nowhere, Waiting)
    assert nowhere.message.endswith("the accelerator_type 'TPU-V6E' names no card that joulecast knows")


def test_an_annotation_goes_before_the_type() -> None:
    found = ray("H100", {})
    named = {**found, "metadata": {**found["metadata"], "annotations": {FOR_ACCELERATOR: L4}}}
    assert accelerators_of_workload(named, holding([])) == WorkloadAccelerators(source="annotation", products=(L4,))


def test_nodes_that_an_object_may_name_that_is_not_read_are_told() -> None:
    base = custom.inference_service(runtime="team-llama")
    del base["spec"]["predictor"]["nodeSelector"]
    several = accelerators_of_workload(custom.kept(base), holding(NODES_OF_ALL))
    assert isinstance(several, WorkloadAccelerators)
    assert several.note == "where the pods run may also stand in the ServingRuntime 'team-llama', which is not read"
    waiting = accelerators_of_workload(custom.kept(base), holding([]))
    assert isinstance(waiting, Waiting)
    assert waiting.message.endswith("the ServingRuntime 'team-llama', which is not read")
    only = accelerators_of_workload(custom.kept(base), holding(NODES_OF_ALL[:1]))
    assert isinstance(only, WorkloadAccelerators)
    assert only.note == ""


def test_of_several_the_range_is_said_and_which_one_decides() -> None:
    found = accelerators_of_workload(served(nodeSelector={"pool": "large"}), holding(NODES_OF_ALL))
    rows = [row(A100, joules=2.0), row(H200, joules=0.5), row(H200, joules=9.0, batch_size=64), row(L4, joules=99.0)]
    assert isinstance(found, WorkloadAccelerators)
    facts = accelerator_facts(found, rows)
    assert (facts["decides"], facts["range"]) == (A100, "0.5–2 J/batch")
    assert TargetAccelerators.model_validate(facts).products == [A100, H200]
    assert "range" not in accelerator_facts(found, [])


def test_a_request_is_for_what_the_target_may_run_on_dearest_first() -> None:
    index = Index()
    for each in NODES_OF_ALL:
        index.put(NODES, each)
    found = workload("Deployment")
    found["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "large"}
    index.put(DEPLOYMENTS, found)
    request = asked(index, targetRef={"name": "web"})
    assert isinstance(request, ForecastRequest)
    assert (request.accelerators, request.dearest_first) == ((A100, H200), True)
    named = asked(index, targetRef={"name": "web"}, accelerators={"names": [L4]})
    assert isinstance(named, ForecastRequest)
    assert (named.accelerators, named.dearest_first) == ((L4,), False)
    assert request.hash != named.hash
