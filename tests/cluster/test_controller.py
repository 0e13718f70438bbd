"""Test the controller with a real API server and registry, under the chart's ServiceAccount."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest

from joulecast_operator.cluster import client as kube
from tests import small_models
from tests.cluster.controlled import CONTROLLER, Cluster, controlled, estimate, merge, metrics
from tests.cluster.release import deployment
from tests.harness.installation import NAMESPACE
from tests.unit.joulecast_operator.samples.estimates import row as result_row


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with controlled(tmp_path_factory.mktemp("controller")) as started:
        started.push("retagged", salt="first")
        started.plane.create_namespace("retagging")
        started.plane.apply(estimate("retagged", "retagging", started.image("retagged"), resolveInterval="1m"))
        yield started


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")


def test_an_applied_estimate_becomes_ready(cluster: Cluster, namespace: str) -> None:
    digest = cluster.push("plain")
    cluster.plane.apply(estimate("plain", namespace, cluster.image("plain")))
    status = cluster.until_ready("plain", namespace)
    assert status["modelDigest"] == digest
    assert status["modelPath"] == "models/classifier.onnx"
    assert status["totals"]["macs"] == 221_264
    assert [(row["accelerator"], row["batchSize"]) for row in status["results"]] == [
        ("NVIDIA-H200", 1),
        ("NVIDIA-H200", 32),
        ("NVIDIA-A100-SXM4-80GB", 1),
        ("NVIDIA-A100-SXM4-80GB", 32),
    ]
    for row in status["results"]:
        assert 0 < row["joulesPerBatchLower"] < row["joulesPerBatch"] < row["joulesPerBatchUpper"]
    assert {layer["opType"] for layer in status["topLayers"]} >= {"Conv", "Gemm"}
    columns = cluster.plane.kubectl("get", "iee", "plain", "-n", namespace).stdout
    assert "plain:1" in columns
    assert status["summary"]["joules"] in columns
    cluster.until(lambda: "Estimated" in events(cluster, namespace), "an event")
    cluster.until(lambda: 'estimate="plain"' in metrics(cluster.installation.controller_url), "it is in the metrics")


def test_a_changed_estimate_is_forecast_anew(cluster: Cluster, namespace: str) -> None:
    cluster.push("changing")
    cluster.plane.apply(estimate("changing", namespace, cluster.image("changing")))
    cluster.until_ready("changing", namespace)
    merge(cluster.plane, "iee", "changing", namespace, {"spec": {"workload": {"batchSizes": [7]}}})
    status = cluster.until_ready("changing", namespace)
    assert {row["batchSize"] for row in status["results"]} == {7}
    assert status["summary"]["batchSize"] == "7"


def test_a_broken_estimate_says_so_and_recovers(cluster: Cluster, namespace: str) -> None:
    cluster.push("breaking")
    cluster.plane.apply(estimate("breaking", namespace, cluster.image("breaking")))
    cluster.until_ready("breaking", namespace)
    merge(cluster.plane, "iee", "breaking", namespace, {"spec": {"model": {"image": cluster.image("breaking", "2")}}})
    condition = cluster.until_reason("breaking", namespace, "NotFound", "ModelResolved")
    assert "breaking" in condition["message"]
    assert cluster.condition("breaking", namespace)["status"] == "False"
    assert "results" not in cluster.status("breaking", namespace)
    digest = cluster.push("breaking", "2", salt="second")
    assert cluster.until_ready("breaking", namespace)["modelDigest"] == digest


def test_a_deployment_is_annotated_by_the_estimate_of_its_image(cluster: Cluster, namespace: str) -> None:
    cluster.push("served")
    cluster.plane.apply(deployment("server", namespace, image=cluster.image("served")))
    cluster.plane.apply(estimate("served", namespace, cluster.image("served")))
    cluster.until_ready("served", namespace)
    cluster.until(lambda: cluster.annotations("server", namespace).get("state") == "Ready", "annotated")
    notes = cluster.annotations("server", namespace)
    assert notes["accelerator"] == "NVIDIA-H200"
    assert (
        float(notes["joules-per-batch-lower"])
        < float(notes["joules-per-batch"])
        < float(notes["joules-per-batch-upper"])
    )
    cluster.plane.kubectl("delete", "iee", "served", "-n", namespace)
    cluster.until(lambda: not cluster.annotations("server", namespace), "outputs go with their estimate")


def test_an_annotated_deployment_gets_an_estimate_that_goes_with_the_annotation(
    cluster: Cluster, namespace: str
) -> None:
    cluster.push("annotated")
    cluster.plane.apply(node("annotated-node", "NVIDIA-L40S"))
    notes = {"joulecast.dev/model": cluster.image("annotated"), "joulecast.dev/batch-size": "4"}
    cluster.plane.apply(deployment("asker", namespace, image="registry.invalid/app:1", annotations=notes))
    cluster.until(lambda: cluster.annotations("asker", namespace).get("state") == "Ready", "annotated")
    (made,) = cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", "name").stdout.split()
    found = cluster.plane.get("iee", made.rpartition("/")[2], namespace)
    assert found is not None
    assert found["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "joulecast"
    (owner,) = found["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["blockOwnerDeletion"]) == ("Deployment", "asker", False)
    assert found["status"]["summary"]["batchSize"] == "4"
    assert "finalizers" not in found["metadata"]
    cluster.plane.kubectl(
        "annotate", "deployment", "asker", "-n", namespace, "joulecast.dev/batch-size=5", "--overwrite"
    )
    cluster.until(lambda: batch_sizes(cluster, namespace) == [[5]], "made anew for another batch size")
    cluster.plane.kubectl("annotate", "deployment", "asker", "-n", namespace, "joulecast.dev/model-")
    cluster.until(lambda: batch_sizes(cluster, namespace) == [], "the estimate goes")
    cluster.until(lambda: set(cluster.annotations("asker", namespace)) == {"batch-size"}, "the outputs go")


def test_a_target_that_appears_later(cluster: Cluster, namespace: str) -> None:
    cluster.push("later")
    cluster.plane.apply(estimate("later", namespace, targetRef={"name": "late"}))
    assert "late" in cluster.until_reason("later", namespace, "TargetNotFound")["message"]
    cluster.plane.apply(deployment("late", namespace, image=cluster.image("later")))
    assert cluster.until_ready("later", namespace)["image"] == cluster.image("later")
    cluster.until(lambda: cluster.annotations("late", namespace).get("state") == "Ready", "annotated")


def test_the_model_of_a_target_may_be_in_any_of_its_images(cluster: Cluster, namespace: str) -> None:
    cluster.push_files({"etc/motd": b"hello"}, "bare")
    cluster.push("beside")
    target = deployment("several", namespace, image=cluster.image("bare"))
    target["spec"]["template"]["spec"]["containers"].append({"name": "model", "image": cluster.image("beside")})
    cluster.plane.apply(target, estimate("several", namespace, targetRef={"name": "several"}))
    status = cluster.until_ready("several", namespace)
    assert status["image"] == cluster.image("beside")
    assert "beside" in status["summary"]["model"]
    cluster.until(lambda: cluster.annotations("several", namespace).get("state") == "Ready", "annotated")

    cluster.plane.apply(deployment("none", namespace, image=cluster.image("bare")))
    cluster.plane.apply(estimate("none", namespace, targetRef={"name": "none"}))
    assert "bare" in cluster.until_reason("none", namespace, "ModelNotFound")["message"]


def test_a_forged_or_copied_output_is_repaired(cluster: Cluster, namespace: str) -> None:
    cluster.push("forged")
    cluster.plane.apply(estimate("forged", namespace, cluster.image("forged")))
    cluster.until_ready("forged", namespace)
    cluster.plane.apply(deployment("forger", namespace, image=cluster.image("forged")))
    cluster.until(lambda: cluster.annotations("forger", namespace).get("state") == "Ready", "annotated")
    truth = cluster.annotations("forger", namespace)["joules-per-batch"]
    cluster.installation.webhook.kill()
    try:
        cluster.plane.kubectl(
            "annotate", "deployment", "forger", "-n", namespace, "joulecast.dev/joules-per-batch=0.001", "--overwrite"
        )
        repaired = lambda: cluster.annotations("forger", namespace)["joules-per-batch"] == truth  # noqa: E731
        cluster.until(repaired, "the forged value is replaced")
    finally:
        cluster.installation.webhook.start()


def test_a_failed_estimate_is_a_reason_and_an_event_on_the_deployment(cluster: Cluster, namespace: str) -> None:
    """The Deployment is applied after the failure, so the webhook annotates it and the controller posts the event."""
    cluster.plane.apply(estimate("failing", namespace, cluster.image("failing")))
    cluster.until_reason("failing", namespace, "NotFound")
    assert "NotFound" in cluster.plane.kubectl("get", "iee", "failing", "-n", namespace).stdout
    cluster.plane.apply(deployment("teller", namespace, image=cluster.image("failing")))
    expected = {"state": "Failed", "reason": "NotFound", "estimated-by": "failing"}
    cluster.until(lambda: cluster.annotations("teller", namespace) == expected, "annotated")
    cluster.until(lambda: told(cluster, namespace, "teller"), "an event")
    ((kind, reason, message),) = told(cluster, namespace, "teller")
    assert (kind, reason) == ("Warning", "NotFound")
    assert message.startswith('no forecast: the estimate "failing" failed: ')
    cluster.installation.webhook.kill()
    try:
        forged = {"metadata": {"annotations": {"joulecast.dev/reason": "AllIsWell"}}}
        merge(cluster.plane, "deployment", "teller", namespace, forged)
        cluster.until(lambda: cluster.annotations("teller", namespace) == expected, "the forged reason is replaced")
    finally:
        cluster.installation.webhook.start()
    cluster.installation.controller.restart()
    cluster.push("failing")
    cluster.plane.kubectl("annotate", "iee", "failing", "-n", namespace, "joulecast.dev/refresh=now")
    cluster.until(lambda: cluster.annotations("teller", namespace).get("state") == "Ready", "annotated")
    cluster.until(lambda: len(told(cluster, namespace, "teller")) > 1, "an event of the end")
    assert "reason" not in cluster.annotations("teller", namespace)
    reasons = sorted(reason for _, reason, _ in told(cluster, namespace, "teller"))
    assert reasons == ["Estimated", "NotFound"], "each once, the restart between them notwithstanding"


def test_of_two_estimates_of_an_image_the_one_that_is_run_speaks(cluster: Cluster, namespace: str) -> None:
    cluster.push("both")
    image = cluster.image("both")
    half = {"batchSizes": [1], "precision": "fp16"}
    cluster.plane.apply(estimate("a-half", namespace, image, workload=half, runtime="onnxruntime-cuda"))
    cluster.plane.apply(estimate("plain", namespace, image))
    for name in ("a-half", "plain"):
        cluster.until_ready(name, namespace)
    for name, inputs, chosen in (
        ("half", {"precision": "fp16"}, ("a-half", "fp16", "onnxruntime-cuda", "1")),
        ("batch", {"batch-size": "32"}, ("plain", "default", "torch-eager", "32")),
        ("a100", {"for-accelerator": "NVIDIA-A100-SXM4-80GB", "runtime": "torch-eager"}, ("plain", "default")),
    ):
        notes = {f"joulecast.dev/{key}": value for key, value in inputs.items()}
        cluster.plane.apply(deployment(name, namespace, image=image, annotations=notes))
        cluster.until(lambda name=name: cluster.annotations(name, namespace).get("state") == "Ready", "annotated")
        keys = ("estimated-by", "estimated-precision", "estimated-runtime", "estimated-batch-size")
        found = cluster.annotations(name, namespace)
        assert tuple(found[key] for key in keys)[: len(chosen)] == chosen
    assert cluster.annotations("a100", namespace)["accelerator"] == "NVIDIA-A100-SXM4-80GB"


def test_an_estimate_is_made_for_what_a_deployment_says_of_itself(cluster: Cluster, namespace: str) -> None:
    cluster.push("pinned")
    inputs = {"model": cluster.image("pinned"), "precision": "fp16", "batch-size": "2"}
    notes = {f"joulecast.dev/{key}": value for key, value in inputs.items()}
    pinned = deployment("pinned", namespace, image="registry.invalid/app:1", annotations=notes)
    pinned["spec"]["template"]["spec"]["nodeSelector"] = {"nvidia.com/gpu.product": "NVIDIA-H200"}
    cluster.plane.apply(pinned)  # no node of that product is there yet
    cluster.until(lambda: cluster.annotations("pinned", namespace).get("state") == "Ready", "annotated")
    found = cluster.annotations("pinned", namespace)
    assert (found["accelerator"], found["estimated-precision"], found["estimated-batch-size"]) == (
        "NVIDIA-H200",
        "fp16",
        "2",
    )
    before = cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", "jsonpath={.items[*].metadata.uid}").stdout
    changed = {"metadata": {"annotations": {"joulecast.dev/precision": "default"}}}
    merge(cluster.plane, "deployment", "pinned", namespace, changed)
    again = lambda: cluster.annotations("pinned", namespace).get("estimated-precision") == "default"  # noqa: E731
    cluster.until(again, "made anew for another precision")
    after = cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", "jsonpath={.items[*].metadata.uid}").stdout
    assert len(after.split()) == 1
    assert after != before


def test_refresh_looks_a_tag_up_at_once(cluster: Cluster, namespace: str) -> None:
    cluster.push("refreshed", salt="first")
    cluster.plane.apply(estimate("refreshed", namespace, cluster.image("refreshed")))
    cluster.until_ready("refreshed", namespace)
    digest = cluster.push("refreshed", salt="second")
    cluster.plane.kubectl("annotate", "iee", "refreshed", "-n", namespace, "joulecast.dev/refresh=now")
    cluster.until(lambda: cluster.status("refreshed", namespace).get("modelDigest") == digest, "re-tagged")


@pytest.mark.parametrize("way", ["client-side apply", "server-side apply", "replace", "rollout undo"])
def test_outputs_are_right_again_after_what_the_webhook_missed(cluster: Cluster, namespace: str, way: str) -> None:
    """The webhook wrote them, so no field manager owns them; then they are changed or removed without the webhook."""
    plane = cluster.plane
    images = [cluster.image("first"), cluster.image("second")]
    cluster.push("first")
    cluster.push("second", salt="second")
    plane.apply(estimate("first", namespace, images[0], workload={"batchSizes": [8]}))
    first = cluster.until_ready("first", namespace)["summary"]["joules"].removesuffix(" J/batch")
    plane.apply(deployment("web", namespace, image=images[0]))
    cluster.until(lambda: cluster.annotations("web", namespace).get("joules-per-batch") == first, "annotated")
    cluster.until(lambda: revisions(cluster, namespace) == 1, "a first revision")
    cluster.installation.webhook.kill()
    try:
        without = deployment("web", namespace, image=images[1])
        if way == "replace":
            plane.replace(without)
        elif way == "server-side apply":
            plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(without))
        else:
            plane.apply(without)
        cluster.until(lambda: not cluster.annotations("web", namespace), "no estimate speaks for the new image")
        if way == "rollout undo":
            cluster.until(lambda: revisions(cluster, namespace) == 2, "a second revision")
            plane.kubectl("delete", "iee", "first", "-n", namespace)
            plane.kubectl("rollout", "undo", "deployment/web", "-n", namespace)
            cluster.until(lambda: image_of(cluster, namespace) == images[0], "undone")
            cluster.until(lambda: not cluster.annotations("web", namespace), "the old numbers are nobody's")
            plane.apply(estimate("first", namespace, images[0], workload={"batchSizes": [8]}))
        else:
            plane.kubectl("set", "image", "deployment/web", f"main={images[0]}", "-n", namespace)
        cluster.until(lambda: cluster.annotations("web", namespace).get("joules-per-batch") == first, "right again")
    finally:
        cluster.installation.webhook.start()


def test_a_refresh_on_a_deployment_keeps_its_numbers_until_there_are_new_ones(cluster: Cluster, namespace: str) -> None:
    cluster.push("kept", salt="first")
    cluster.plane.apply(node("kept-node", "NVIDIA-L40S"))
    notes = {"joulecast.dev/model": cluster.image("kept")}
    cluster.plane.apply(deployment("keeper", namespace, image="registry.invalid/app:1", annotations=notes))
    cluster.until(lambda: cluster.annotations("keeper", namespace).get("state") == "Ready", "annotated")
    made = cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", "jsonpath={.items[*].metadata.uid}").stdout
    digest = cluster.push("kept", salt="second")
    cluster.plane.kubectl("annotate", "deployment", "keeper", "-n", namespace, "joulecast.dev/refresh=now")
    states = set()

    def looked_up() -> bool:
        found = cluster.annotations("keeper", namespace)
        states.add((found.get("state"), "joules-per-batch" in found))
        return found.get("model-digest") == digest

    cluster.until(looked_up, "the tag is looked up again")
    assert states == {("Ready", True)}
    after = cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", "jsonpath={.items[*].metadata.uid}").stdout
    assert after == made, "the same estimate"


def test_suspended(cluster: Cluster, namespace: str) -> None:
    cluster.push("suspended")
    cluster.plane.apply(estimate("suspended", namespace, cluster.image("suspended"), suspend=True))
    assert cluster.until_reason("suspended", namespace, "Suspended")["status"] == "Unknown"
    merge(cluster.plane, "iee", "suspended", namespace, {"spec": {"suspend": False}})
    cluster.until_ready("suspended", namespace)


def test_accelerators_of_nodes(cluster: Cluster, namespace: str) -> None:
    cluster.push("nodes")
    selector = {"nodeSelector": {"matchLabels": {"pool": namespace}}}
    cluster.plane.apply(estimate("nodes", namespace, cluster.image("nodes"), accelerators=selector))
    assert "nodeSelector" in cluster.until_reason("nodes", namespace, "NoAccelerator")["message"]
    cluster.plane.apply(node(f"node-{namespace}", "NVIDIA-H100-80GB-HBM3-SHARED", pool=namespace))
    status = cluster.until_ready("nodes", namespace)
    assert {row["accelerator"] for row in status["results"]} == {"NVIDIA-H100-80GB-HBM3"}


def test_an_unknown_accelerator_is_named(cluster: Cluster, namespace: str) -> None:
    cluster.push("unknown")
    names = {"names": ["NVIDIA-H200", "NVIDIA-H2000"]}
    cluster.plane.apply(estimate("partly", namespace, cluster.image("unknown"), accelerators=names))
    status = cluster.until_ready("partly", namespace)
    assert {row["accelerator"] for row in status["results"]} == {"NVIDIA-H200"}
    assert "NVIDIA-H2000" in cluster.condition("partly", namespace)["message"]
    cluster.plane.apply(
        estimate("wholly", namespace, cluster.image("unknown"), accelerators={"names": ["NVIDIA-H2000"]})
    )
    assert cluster.until_reason("wholly", namespace, "UnknownAccelerator")["status"] == "False"


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ([], "ModelNotFound"),
        (["models/broken.onnx"], "InvalidModelFormat"),
        (["models/a.onnx", "models/b.onnx"], "AmbiguousModel"),
    ],
)
def test_an_image_without_a_usable_model(cluster: Cluster, namespace: str, paths: list[str], reason: str) -> None:
    repository = reason.lower()
    content = b"\x08\x07\xff\xff\xff\xff no model" if reason == "InvalidModelFormat" else cluster.model
    cluster.push_files({"etc/motd": b"hello"} | dict.fromkeys(paths, content), repository)
    cluster.plane.apply(estimate("bad", namespace, cluster.image(repository)))
    assert cluster.until_reason("bad", namespace, reason)["status"] == "False"
    cluster.push(repository)
    cluster.plane.kubectl("annotate", "iee", "bad", "-n", namespace, "joulecast.dev/refresh=1")
    cluster.until_ready("bad", namespace)


def test_what_is_no_model_is_named_with_the_way_out(cluster: Cluster, namespace: str) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 99\n"
    cluster.push_files({"models/model.onnx": pointer}, "pointer")
    cluster.plane.apply(estimate("pointer", namespace, cluster.image("pointer")))
    said = cluster.until_reason("pointer", namespace, "InvalidModelFormat")["message"]
    assert "is a Git LFS pointer, not the file itself: fetch the file (git lfs pull)" in said


def test_a_shape_says_its_batch(cluster: Cluster, namespace: str) -> None:
    cluster.push("shaped")
    shapes = {"image": [8, 3, 32, 32]}
    cluster.plane.apply(estimate("shaped", namespace, cluster.image("shaped"), workload={"inputShapes": shapes}))
    assert {row["batchSize"] for row in cluster.until_ready("shaped", namespace)["results"]} == {8}
    both = {"inputShapes": shapes, "batchSizes": [4]}
    cluster.plane.apply(estimate("torn", namespace, cluster.image("shaped"), workload=both))
    said = cluster.until_reason("torn", namespace, "InvalidWorkload")["message"]
    assert "the batch size 4 contradicts spec.workload.inputShapes image, by which it is 8" in said


def test_killed_between_and_during(cluster: Cluster, namespace: str) -> None:
    """After SIGKILL at any moment, nothing is lost and nothing is done twice."""
    controller = cluster.installation.controller
    names = [f"killed-{number}" for number in range(4)]
    for name in names:
        cluster.push(name, salt=name)
    cluster.plane.apply(*(deployment(name, namespace, image=cluster.image(name)) for name in names))
    for name in names:
        cluster.plane.apply(estimate(name, namespace, cluster.image(name)))
        time.sleep(0.15)  # another moment of the work each time
        controller.kill()
        controller.start()
    for name in names:
        cluster.until_ready(name, namespace)
        ready = lambda name=name: cluster.annotations(name, namespace).get("state") == "Ready"  # noqa: E731
        cluster.until(ready, f"{name} annotated")
    controller.kill()
    cluster.plane.kubectl("delete", "iee", names[0], "-n", namespace)
    cluster.push(names[1], "2", salt="new")
    merge(cluster.plane, "iee", names[1], namespace, {"spec": {"model": {"image": cluster.image(names[1], "2")}}})
    controller.start()
    cluster.until(lambda: not cluster.annotations(names[0], namespace), "what was deleted meanwhile is swept")
    assert cluster.until_ready(names[1], namespace)["image"] == cluster.image(names[1], "2")
    assert len(cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", "name").stdout.split()) == len(names) - 1


@pytest.mark.parametrize("program", ["fetcher", "profiler"])
def test_a_worker_killed_during_its_job(cluster: Cluster, namespace: str, program: str) -> None:
    """The worker is stopped before it gets the job, so that it is killed during the job."""
    cluster.push(f"killed-{program}", salt=namespace)
    module = f"joulecast_operator.workers.{program}"
    cluster.until(lambda: processes(cluster, module), "a worker is ready")
    workers = processes(cluster, module)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    unseen = {
        "batchSizes": [{"fetcher": 11, "profiler": 13}[program]]
    }  # what was profiled before would be priced from memory
    cluster.plane.apply(estimate("victim", namespace, cluster.image(f"killed-{program}"), workload=unseen))
    cluster.until_reason("victim", namespace, "Estimating")
    for pid in workers:
        os.killpg(pid, signal.SIGKILL)
    cluster.until_ready("victim", namespace)
    assert not set(workers) & set(processes(cluster, module))


def test_a_worker_killed_while_it_waits_costs_nobody_a_failure(cluster: Cluster, namespace: str) -> None:
    cluster.push("idle", salt=namespace)
    modules = ("joulecast_operator.workers.fetcher", "joulecast_operator.workers.profiler")
    workers = [pid for module in modules for pid in processes(cluster, module)]
    for pid in workers:
        os.killpg(pid, signal.SIGKILL)
    cluster.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "their parent knows of their end")
    cluster.plane.apply(estimate("next", namespace, cluster.image("idle")))
    cluster.until_ready("next", namespace)
    cluster.until(lambda: "Estimated" in events(cluster, namespace), "an event")
    assert set(events(cluster, namespace)) <= {"Estimating", "Estimated"}


def test_a_deployment_that_is_too_large_for_the_webhook_is_annotated_afterwards(
    cluster: Cluster, namespace: str
) -> None:
    cluster.push("large")
    cluster.plane.apply(estimate("large", namespace, cluster.image("large")))
    cluster.until_ready("large", namespace)
    body = deployment("large", namespace, image=cluster.image("large"))
    # beyond the 1 MiB that the webhook's server takes as a review, within the 1.5 MiB that etcd takes as an object
    body["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": f"V{number}", "value": "x" * 110_000} for number in range(10)
    ]
    refused = review_errors(cluster)
    created = cluster.plane.kubectl("create", "-f", "-", stdin=json.dumps(body))
    assert "Warning" not in created.stderr
    assert review_errors(cluster) > refused, "the webhook was asked and took no such review"
    cluster.until(lambda: cluster.annotations("large", namespace).get("state") == "Ready", "annotated")


def test_a_restart_writes_nothing(cluster: Cluster, namespace: str) -> None:
    cluster.push("steady")
    cluster.plane.apply(estimate("steady", namespace, cluster.image("steady")))
    cluster.until_ready("steady", namespace)
    before = version(cluster, "steady", namespace)
    cluster.installation.controller.kill()
    cluster.installation.controller.start()
    cluster.plane.apply(estimate("after", namespace, cluster.image("steady"), workload={"batchSizes": [17]}))
    cluster.until_ready("after", namespace)  # it waited behind all that a restart looks at
    assert version(cluster, "steady", namespace) == before


def test_null_outputs_takes_everything_away_and_stops_the_writing(cluster: Cluster, namespace: str) -> None:
    cluster.push("nulled")
    cluster.plane.apply(estimate("nulled", namespace, cluster.image("nulled")))
    cluster.plane.apply(deployment("nulled", namespace, image=cluster.image("nulled")))
    cluster.until(lambda: cluster.annotations("nulled", namespace).get("state") == "Ready", "annotated")
    cluster.installation.null_outputs()
    assert cluster.annotations("nulled", namespace) == {}
    own = cluster.annotations("joulecast-controller", NAMESPACE)
    assert own["resting-until"] == own["rest-until"], "the controller answered"
    merge(cluster.plane, "iee", "nulled", namespace, {"spec": {"workload": {"batchSizes": [3]}}})
    cluster.until_ready("nulled", namespace)
    assert cluster.annotations("nulled", namespace) == {}, "statuses go on, annotations do not"
    cluster.plane.kubectl(
        "annotate", "deployment", "joulecast-controller", "-n", NAMESPACE, "joulecast.dev/rest-until-", "--overwrite"
    )
    cluster.until(lambda: cluster.annotations("nulled", namespace).get("state") == "Ready", "annotated again")


def test_a_retagged_image_is_forecast_again_by_itself(cluster: Cluster) -> None:
    first = cluster.until_ready("retagged", "retagging")
    digest = cluster.push("retagged", salt="second")
    moved = lambda: cluster.status("retagged", "retagging").get("modelDigest") == digest  # noqa: E731
    cluster.until(moved, "looked up again within a minute or two")
    assert digest != first["modelDigest"]
    assert datetime.fromisoformat(cluster.until_ready("retagged", "retagging")["estimatedAt"])


def test_names_of_a_hostile_model_fit_into_a_status_and_obey_no_terminal(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    model = small_models.hostile_names(tmp_path / "hostile.onnx").read_bytes()
    cluster.push_files({"models/\x1b[31mhostile.onnx": model}, "hostile")
    cluster.plane.apply(estimate("hostile", namespace, cluster.image("hostile"), workload={"batchSizes": [1]}))
    status = cluster.until_ready("hostile", namespace)
    assert len(json.dumps(status)) < 32 * 1024
    assert len(status["unsupportedOperators"]) == 32
    assert status["topLayers"][0]["name"]
    assert status["modelPath"] == "models/\\x1b[31mhostile.onnx"
    for said in ("get", "-o", "wide"), ("describe",), ("get", "-o", "yaml"):
        shown = cluster.plane.kubectl(*said[:1], "iee", "hostile", "-n", namespace, *said[1:]).stdout
        assert "\x1b" not in shown
        assert "\\e" not in shown, "as YAML writes it"
    lines = cluster.installation.controller.log.read_text().splitlines()
    assert all(line.isprintable() for line in lines)


def test_what_a_policy_refuses_for_good_is_said_and_not_sent_in_a_loop(cluster: Cluster, namespace: str) -> None:
    refusing = "!has(object.status) || !has(object.status.results)"
    cluster.plane.apply(*policy("no-results", namespace, "inferenceenergyestimates/status", refusing))
    probe = json.dumps({"status": {"results": [result_row()]}})
    cluster.push("refused")
    cluster.plane.apply(estimate("refused", namespace, cluster.image("refused"), suspend=True))
    patch = ("patch", "iee", "refused", "-n", namespace, "--subresource=status", "--type=merge", "-p", probe)
    denied = lambda: "not here" in cluster.plane.kubectl(*patch, "--dry-run=server", check=False).stderr  # noqa: E731
    cluster.until(denied, "the policy holds")
    merge(cluster.plane, "iee", "refused", namespace, {"spec": {"suspend": False}})
    ready = cluster.until_reason("refused", namespace, "StatusRefused")
    assert ready["status"] == "False"
    assert "results are not here to stay" in ready["message"]
    cluster.until(lambda: "StatusRefused" in events(cluster, namespace), "an event")
    counted = 'joulecast_refused_writes_total{kind="InferenceEnergyEstimate"} '
    (line,) = [line for line in metrics(cluster.installation.controller_url).splitlines() if line.startswith(counted)]
    assert float(line.removeprefix(counted)) >= 1
    cluster.plane.kubectl(
        "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", f"no-results-{namespace}"
    )
    cluster.until_ready("refused", namespace)


def test_refused_annotations_are_an_event_on_the_deployment(cluster: Cluster, namespace: str) -> None:
    refusing = "!('joulecast.dev/state' in object.metadata.?annotations.orValue({}))"
    cluster.plane.apply(*policy("no-notes", namespace, "deployments", refusing))
    patch = ("patch", "deployment", "server", "-n", namespace, "--type=merge", f"--as={CONTROLLER}")
    probe = json.dumps({"metadata": {"annotations": {"joulecast.dev/state": "Ready"}}})
    cluster.plane.apply(deployment("server", namespace, image="registry.invalid/server:1"))
    denied = lambda: "not here" in cluster.plane.kubectl(*patch, "-p", probe, "--dry-run=server", check=False).stderr  # noqa: E731
    cluster.until(denied, "the policy holds")
    cluster.push("noted")
    cluster.plane.apply(estimate("noted", namespace, targetRef={"name": "server"}))
    cluster.until(lambda: "AnnotationsRefused" in events(cluster, namespace), "an event")
    assert cluster.annotations("server", namespace) == {}


def test_an_object_beyond_the_limit_of_the_store_is_refused_for_good(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", cluster.plane.environment()["KUBECONFIG"])
    body = deployment("huge", namespace)
    body["spec"]["template"]["spec"]["containers"][0]["args"] = ["x" * 2_000_000]

    async def create() -> None:
        client = kube.Cluster()
        try:
            await client.create(f"/apis/apps/v1/namespaces/{namespace}/deployments", body)
        finally:
            await client.close()

    with pytest.raises(kube.ApiError, match="too large") as caught:
        asyncio.run(create())
    assert caught.value.lasting


def policy(name: str, namespace: str, resource: str, expression: str) -> tuple[dict[str, object], dict[str, object]]:
    """Create a policy for one namespace that refuses updates of ``resource`` if ``expression`` is false."""
    plural, group = resource.partition("/")[0], "apps" if resource == "deployments" else "joulecast.dev"
    matched = {"apiGroups": [group], "apiVersions": ["*"], "resources": [resource], "operations": ["UPDATE"]}
    named, api_version = {"name": f"{name}-{namespace}"}, "admissionregistration.k8s.io/v1"
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    rules = {
        "matchConstraints": {"namespaceSelector": selector, "resourceRules": [matched]},
        "validations": [{"expression": expression, "message": f"{plural}: results are not here to stay"}],
    }
    binding = {"policyName": named["name"], "validationActions": ["Deny"]}
    return (
        {"apiVersion": api_version, "kind": "ValidatingAdmissionPolicy", "metadata": named, "spec": rules},
        {"apiVersion": api_version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": named, "spec": binding},
    )


@pytest.mark.parametrize(("role", "makes"), [("view", "no"), ("edit", "yes"), ("admin", "yes")])
def test_users_of_a_namespace_see_estimates_and_those_who_deploy_make_them(
    cluster: Cluster, namespace: str, role: str, makes: str
) -> None:
    cluster.plane.kubectl("create", "rolebinding", role, f"--clusterrole={role}", "--user=ana", "-n", namespace)
    cluster.until(lambda: allowed(cluster, namespace, "list") == "yes", f"{role} lists estimates")
    assert allowed(cluster, namespace, "create") == allowed(cluster, namespace, "delete") == makes
    assert allowed(cluster, "default", "list") == "no", "another namespace's"
    assert allowed(cluster, namespace, "patch", "acceleratorenergyprofiles") == "no"
    if makes == "yes":
        body = json.dumps(estimate("own", namespace, "registry.invalid/detector:1"))
        cluster.plane.kubectl("apply", "--as=ana", "-f", "-", stdin=body)


def allowed(cluster: Cluster, namespace: str, verb: str, resource: str = "inferenceenergyestimates") -> str:
    """Return the API server's answer to a user who asks whether something is allowed."""
    named = f"{resource}.joulecast.dev"
    return cluster.plane.kubectl("auth", "can-i", verb, named, "--as=ana", "-n", namespace, check=False).stdout.strip()


def test_nothing_was_forbidden_and_no_annotation_of_kopf_was_written(cluster: Cluster) -> None:
    assert cluster.forbidden() == []
    assert cluster.answers(429) == 0
    everything = cluster.plane.kubectl("get", "iee,deployments", "-A", "-o", "yaml").stdout
    assert "kopf" not in everything
    assert "403" not in [word for line in errors(cluster) for word in line.split()]


def node(name: str, product: str, **labels: str) -> dict[str, object]:
    metadata = {"name": name, "labels": {"nvidia.com/gpu.product": product, **labels}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}


def batch_sizes(cluster: Cluster, namespace: str) -> list[list[int]]:
    jsonpath = "jsonpath={range .items[*]}{.spec.workload.batchSizes[0]} {end}"
    found = cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", jsonpath).stdout
    return [[int(number)] for number in found.split()]


def version(cluster: Cluster, name: str, namespace: str) -> str:
    found = cluster.plane.get("iee", name, namespace)
    assert found is not None
    resource_version: str = found["metadata"]["resourceVersion"]
    return resource_version


def revisions(cluster: Cluster, namespace: str) -> int:
    return len(cluster.plane.kubectl("get", "replicasets", "-n", namespace, "-o", "name").stdout.split())


def image_of(cluster: Cluster, namespace: str) -> str:
    jsonpath = "jsonpath={.spec.template.spec.containers[0].image}"
    return cluster.plane.kubectl("get", "deployment", "web", "-n", namespace, "-o", jsonpath).stdout


def processes(cluster: Cluster, module: str) -> list[int]:
    """Return the controller's child processes that run ``module``."""
    children = Path(f"/proc/{cluster.installation.controller.pid}/task").glob("*/children")
    pids = [pid for file in children for pid in file.read_text().split()]
    return [int(pid) for pid in pids if module.encode() in command_line(pid)]


def command_line(pid: str) -> list[bytes]:
    """Return "" for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def events(cluster: Cluster, namespace: str) -> list[str]:
    """Return the reasons of the events in ``namespace``."""
    jsonpath = "jsonpath={.items[*].reason}"
    return cluster.plane.kubectl("get", "events", "-n", namespace, "-o", jsonpath).stdout.split()


def told(cluster: Cluster, namespace: str, deployment_name: str) -> list[tuple[str, str, str]]:
    """Return type, reason and message of joulecast's events on a Deployment."""
    found = json.loads(cluster.plane.kubectl("get", "events", "-n", namespace, "-o", "json").stdout)["items"]
    return [
        (event["type"], event["reason"], event["message"])
        for event in found
        if event["involvedObject"]["name"] == deployment_name
        and event["involvedObject"]["kind"] == "Deployment"
        and event.get("reportingComponent") == "joulecast-controller"
    ]


def review_errors(cluster: Cluster) -> float:
    """Return how many calls of the webhook the API server counts as failed."""
    page = cluster.plane.kubectl("get", "--raw", "/metrics").stdout
    lines = [line for line in page.splitlines() if line.startswith("apiserver_admission_webhook_fail_open_count")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def errors(cluster: Cluster) -> list[str]:
    lines = cluster.installation.controller.log.read_text().splitlines()
    return [line for line in lines if '"level": "error"' in line]
