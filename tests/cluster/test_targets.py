"""Test with a real API server what an estimate says of its target: workloads of custom kinds, which are never written,
and what decides on which accelerators and under which power limit a workload runs."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from joulecast_operator.api import annotations as notes
from joulecast_operator.api.kinds import CUSTOM
from joulecast_operator.metrics.fleet.workloads import POWER
from joulecast_operator.workloads.offers.queues import QUEUE_LABEL
from joulecast_operator.workloads.power_limits import NODE_LIMIT, POD_LIMIT
from tests import checkpoints
from tests.cluster.controlled import Cluster, controlled, estimate, merge, metrics
from tests.cluster.custom_kinds import DEFINITIONS, KUEUE
from tests.cluster.patience import be_patient
from tests.cluster.release import PREFIX, deployment, workload
from tests.harness import hub as hubs
from tests.unit.joulecast_operator.samples import custom, offers

KINDS = tuple(CUSTOM)
MODEL = custom.HUB.removeprefix("hf://")
LABEL = "nvidia.com/gpu.product"
H100, L4 = "NVIDIA-H100-80GB-HBM3", "NVIDIA-L4"
MORE: dict[str, tuple[dict[str, Any], int, int | None]] = {
    "InferenceService": ({"predictor": {"minReplicas": 5}}, 5, 5),
    "LLMInferenceService": ({"replicas": 5}, 5, 5),
    "RayService": ({"serveConfigV2": custom.SERVE_CONFIG.replace("min_replicas: 1", "min_replicas: 3")}, 4, 3),
    "LeaderWorkerSet": ({"leaderWorkerTemplate": {"size": 4}}, 12, None),
    "NIMService": ({"replicas": 5}, 5, 5),
}
"""A change of each kind, the pods that it asks for after it, and the replicas whose power is known: none of a group of
four cards, on which the forecast of two is not what runs."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as stack:
        hub = stack.enter_context(hubs.running())
        hub.add(MODEL, checkpoints.model_folder())
        hosts, flags = [hub.server.host, hub.storage.host], [f"--hub-endpoint={hub.url}", "--kinds-seconds=1"]
        folder = tmp_path_factory.mktemp("custom-kinds")
        started = stack.enter_context(controlled(folder, insecure_registries=hosts, flags=flags))
        be_patient(started.plane)
        started.push("model")
        yield started


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")


@pytest.fixture
def nodes(cluster: Cluster, namespace: str) -> Iterator[None]:
    """Two nodes with cards, whose label ``pool`` is the name of the namespace."""
    cluster.plane.apply(node("large", H100, namespace), node("small", L4, namespace))
    yield
    cluster.plane.kubectl("delete", "node", "large", "small")


def node(name: str, product: str, pool: str, **spec: Any) -> dict[str, Any]:
    labels = {LABEL: product, "pool": pool, "size": name}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec}


def of_kind(kind: str, namespace: str, **annotations: str) -> dict[str, Any]:
    """Return a workload of a custom kind, as it is applied."""
    found = custom.ALL[kind]
    return found | {"metadata": {"name": "chat", "namespace": namespace, "annotations": annotations}}


def follower(kind: str, namespace: str) -> dict[str, Any]:
    """Return an estimate that targets the workload of a kind, and leaves the accelerators to it."""
    spec = {"targetRef": {"kind": kind, "name": "chat"}, "runtime": "vllm"}
    asked = {"inputTokens": 64, "outputTokens": 32, "utilizationPercent": 50}
    found = estimate(kind.lower(), namespace, workload=asked, **spec)
    del found["spec"]["accelerators"]
    return found


def define(cluster: Cluster, *kinds: str) -> None:
    cluster.plane.apply(*(DEFINITIONS[kind] for kind in kinds))
    for kind in kinds:
        name = DEFINITIONS[kind]["metadata"]["name"]
        cluster.plane.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")


def written(cluster: Cluster, kind: str, namespace: str) -> dict[str, Any]:
    """Return who wrote a workload, its generation and its annotations."""
    name = f"{CUSTOM[kind].plural}.{CUSTOM[kind].group}"
    done = cluster.plane.kubectl("get", name, "chat", "-n", namespace, "-o", "json", "--show-managed-fields")
    metadata = json.loads(done.stdout)["metadata"]
    ours = {key: value for key, value in metadata.get("annotations", {}).items() if key.startswith(PREFIX)}
    managers = sorted({each["manager"] for each in metadata["managedFields"]})
    return {"managers": managers, "generation": metadata["generation"], "annotations": ours}


def test_a_kind_that_comes_and_goes_is_followed(cluster: Cluster, namespace: str) -> None:
    """The first test of the file, because the cluster has none of the kinds before it."""
    cluster.plane.apply(*(follower(kind, namespace) for kind in KINDS))
    for kind in KINDS:
        said = cluster.until_reason(kind.lower(), namespace, "TargetKindNotServed")
        assert f"this cluster has no kind {kind} of the API group {CUSTOM[kind].group}" in said["message"]
    define(cluster, *KINDS)
    for kind in KINDS:
        said = cluster.until_reason(kind.lower(), namespace, "TargetNotFound")
        assert f"there is no {kind} 'chat'" in said["message"]

    cluster.plane.apply(*(of_kind(kind, namespace) for kind in KINDS))
    for kind in KINDS:
        status = cluster.until_ready(kind.lower(), namespace)
        (result,) = status["results"]
        assert status["target"] == {
            "kind": kind,
            "name": "chat",
            "model": custom.HUB,
            "pods": custom.PODS[kind],
            "replicas": custom.REPLICAS[kind],
            "accelerators": {"source": "nodeSelector", "products": [L4]},
            "averagePowerWatts": pytest.approx(custom.REPLICAS[kind] * half_busy(result), rel=1e-4),
        }
        assert status["understood"]["model"] == custom.HUB
        assert (result["accelerator"], result["parallel"]) == (L4, custom.PARALLEL[kind])
    known = {kind: target(cluster, kind, namespace)["averagePowerWatts"] for kind in KINDS}
    cluster.until(lambda: series(cluster, namespace) == known, "the watts of all replicas are served, once each")

    for kind in KINDS:
        change, pods, replicas = MORE[kind]
        merge(cluster.plane, f"{CUSTOM[kind].plural}.{CUSTOM[kind].group}", "chat", namespace, {"spec": change})
        result = cluster.status(kind.lower(), namespace)["results"][0]
        known[kind] = pytest.approx(replicas * half_busy(result), rel=1e-4) if replicas else None
        counted = lambda kind=kind, pods=pods: asked_for(cluster, kind, namespace) == (pods, known[kind])  # noqa: E731
        cluster.until(counted, f"the {kind} asks for {pods} pods, whose power follows")
        found = written(cluster, kind, namespace)
        assert found["annotations"] == {}
        assert not [each for each in found["managers"] if "joulecast" in each]
        assert found["generation"] == 2, "by the test's own change"

    said = "because a replica has 4 accelerators and the forecast is of 2"
    assert said in target(cluster, "LeaderWorkerSet", namespace)["message"]
    left = {kind: watts for kind, watts in known.items() if watts is not None}
    cluster.until(lambda: series(cluster, namespace) == left, "the series follow")

    gone = DEFINITIONS["LeaderWorkerSet"]["metadata"]["name"]
    cluster.plane.kubectl("delete", "crd", gone)
    cluster.until_reason("leaderworkerset", namespace, "TargetKindNotServed")
    define(cluster, "LeaderWorkerSet")
    cluster.plane.apply(of_kind("LeaderWorkerSet", namespace))
    cluster.until_ready("leaderworkerset", namespace)
    assert list(cluster.forbidden()) == [], "no right on definitions is needed"


def target(cluster: Cluster, kind: str, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.status(kind.lower(), namespace).get("target", {})
    return found


def asked_for(cluster: Cluster, kind: str, namespace: str) -> tuple[int | None, float | None]:
    """Return the pods and the watts of the target of that kind."""
    found = target(cluster, kind, namespace)
    return found.get("pods"), found.get("averagePowerWatts")


def half_busy(result: dict[str, Any]) -> float:
    """Return the mean power of one replica that is busy for half of the time."""
    watts: float = 0.5 * result["averagePowerWatts"] + 0.5 * result["idlePowerWatts"]
    return watts


def series(cluster: Cluster, namespace: str) -> dict[str, float]:
    """Return the watts of workloads that are served of a namespace, by their kinds."""
    page = text_string_to_metric_families(metrics(cluster.installation.controller_url))
    samples = [each for family in page if family.name == POWER.name for each in family.samples]
    own = [each for each in samples if each.labels["namespace"] == namespace]
    found = {each.labels["workload_kind"]: each.value for each in own}
    assert len(found) == len(own), "a workload is counted twice"
    return found


def test_what_a_user_names_is_read_and_other_versions_are_the_same_kind(cluster: Cluster, namespace: str) -> None:
    define(cluster, *KINDS)
    stored = of_kind("InferenceService", namespace)
    stored["spec"] = {"predictor": {"model": {"modelFormat": {"name": "vLLM"}, "storageUri": "pvc://claim/model"}}}
    cluster.plane.apply(stored, follower("InferenceService", namespace))
    said = cluster.until_reason("inferenceservice", namespace, "UnknownModel")
    assert "the InferenceService takes the model from 'pvc://claim/model', a store that is not read" in said["message"]
    service = f"{CUSTOM['InferenceService'].plural}.{CUSTOM['InferenceService'].group}"
    given = (f"{notes.MODEL}={custom.HUB}", f"{notes.FOR_ACCELERATOR}=NVIDIA-H200")
    told = cluster.plane.kubectl("annotate", service, "chat", "-n", namespace, *given)
    assert "have no effect on an InferenceService by itself" in told.stderr
    status = cluster.until_ready("inferenceservice", namespace)
    assert status["target"]["accelerators"] == {"source": "annotation", "products": ["NVIDIA-H200"]}

    newer = of_kind("LLMInferenceService", namespace) | {"apiVersion": "serving.kserve.io/v1alpha2"}
    followed = follower("LLMInferenceService", namespace)
    followed["spec"]["targetRef"]["apiVersion"] = "serving.kserve.io/v1alpha2"
    cluster.plane.apply(newer, followed)
    cluster.until_ready("llminferenceservice", namespace)


def test_a_child_of_a_custom_kind_is_left_alone(cluster: Cluster, namespace: str) -> None:
    define(cluster, *KINDS)
    copied = {notes.MODEL: custom.HUB, notes.FOR_ACCELERATOR: "NVIDIA-L4", notes.JOULES: "0.001"}
    cluster.plane.apply(of_kind("InferenceService", namespace, **copied), follower("InferenceService", namespace))
    cluster.until_ready("inferenceservice", namespace)
    service = f"{CUSTOM['InferenceService'].plural}.{CUSTOM['InferenceService'].group}"
    uid = cluster.plane.kubectl("get", service, "chat", "-n", namespace, "-o", "jsonpath={.metadata.uid}").stdout
    owner = {"apiVersion": CUSTOM["InferenceService"].api_version, "kind": "InferenceService", "name": "chat"}
    child = deployment("chat-predictor", namespace, annotations=copied)
    child["metadata"]["ownerReferences"] = [owner | {"uid": uid, "controller": True, "blockOwnerDeletion": True}]
    cluster.plane.apply(child)
    wanted = {"model": custom.HUB, "for-accelerator": "NVIDIA-L4"}
    cluster.until(lambda: cluster.annotations("chat-predictor", namespace) == wanted, "the forged value went")
    listed = json.loads(cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", "json").stdout)["items"]
    assert [each["metadata"]["name"] for each in listed] == ["inferenceservice"], "and no estimate was made"
    of_child = estimate("child", namespace, targetRef={"kind": "Deployment", "name": "chat-predictor"}, runtime="vllm")
    cluster.plane.apply(of_child)
    cluster.until_ready("child", namespace)
    cluster.until(lambda: series(cluster, namespace).keys() == {"InferenceService"}, "a family has one figure")


def test_an_engine_under_a_power_limit_has_a_reason_and_no_number(cluster: Cluster, namespace: str) -> None:
    define(cluster, *KINDS)
    limited = copy.deepcopy(of_kind("LeaderWorkerSet", namespace))
    leader = limited["spec"]["leaderWorkerTemplate"]["leaderTemplate"]
    leader["metadata"] = {"annotations": {POD_LIMIT: "50"}}
    cluster.plane.apply(limited, follower("LeaderWorkerSet", namespace))
    said = cluster.until_reason("leaderworkerset", namespace, "PowerLimitNotPriced")
    assert "a power limit of 50 W cannot be priced under vllm" in said["message"]
    status = cluster.status("leaderworkerset", namespace)
    assert status["target"]["powerLimit"] == {"watts": 50, "source": "podAnnotation"}
    assert "results" not in status
    merge(cluster.plane, "iee", "leaderworkerset", namespace, {"spec": {"workload": {"clockMHz": 1200}}})
    assert cluster.until_ready("leaderworkerset", namespace)["results"][0]["clockMHz"] == 1200


def test_a_restart_finds_the_kinds_again_and_writes_nothing(cluster: Cluster, namespace: str) -> None:
    define(cluster, *KINDS)
    cluster.plane.apply(*(of_kind(kind, namespace) for kind in KINDS), *(follower(kind, namespace) for kind in KINDS))
    for kind in KINDS:
        cluster.until_ready(kind.lower(), namespace)
    versions = {kind: version_of(cluster, kind, namespace) for kind in KINDS}
    cluster.installation.controller.stop()
    merge(cluster.plane, "rayservices.ray.io", "chat", namespace, {"metadata": {"labels": {"while": "away"}}})
    cluster.installation.start_controller()
    late = estimate("late", namespace, targetRef={"kind": "RayService", "name": "chat"}, runtime="vllm")
    cluster.plane.apply(late)
    cluster.until_ready("late", namespace)
    assert {kind: version_of(cluster, kind, namespace) for kind in KINDS} == versions


def version_of(cluster: Cluster, kind: str, namespace: str) -> str:
    found = cluster.plane.get("iee", kind.lower(), namespace)
    assert found is not None
    return str(found["metadata"]["resourceVersion"])


@pytest.mark.usefixtures("nodes")
def test_the_type_that_a_model_asks_ray_for_chooses_among_the_nodes(cluster: Cluster, namespace: str) -> None:
    define(cluster, "RayService")
    pod = {"nodeSelector": {"pool": namespace}, "containers": [{"name": "worker", "resources": custom.asking(2)}]}
    groups = {"workerGroupSpecs": [{"groupName": "gpu", "replicas": 1, "template": {"spec": pod}}]}
    service = of_kind("RayService", namespace)
    cluster.plane.apply(service | {"spec": service["spec"] | {"rayClusterConfig": groups}})
    cluster.plane.apply(follower("RayService", namespace))

    def chosen() -> list[Any]:
        said = target(cluster, "RayService", namespace).get("accelerators", {})
        priced = [row["accelerator"] for row in cluster.status("rayservice", namespace).get("results") or ()]
        return [said.get("source"), said.get("products"), priced]

    cluster.until(lambda: chosen() == ["acceleratorType", [L4], [L4]], "it runs on the cards that it asks for")
    other = custom.SERVE_CONFIG.replace("accelerator_type: L4", "accelerator_type: H100")
    merge(cluster.plane, "rayservices.ray.io", "chat", namespace, {"spec": {"serveConfigV2": other}})
    cluster.until(lambda: chosen() == ["acceleratorType", [H100], [H100]], "another type is other cards")


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


@pytest.mark.usefixtures("nodes")
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


@pytest.mark.usefixtures("nodes")
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


@pytest.mark.usefixtures("nodes")
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


@pytest.mark.usefixtures("nodes")
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
