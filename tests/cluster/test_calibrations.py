"""Test calibrations with a real API server and Job controller; the Job's command measures a simulated card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from joulecast.accelerators import installed
from joulecast_operator.api.calibrations import NAME_CHARACTERS
from tests import small_models
from tests.cluster.calibrated import (
    ALLOWED,
    FLAGS,
    H100,
    LAB,
    PROFILE,
    SHORT,
    VALUES,
    ask,
    calibration,
    condition,
    disturb,
    earlier_profile,
    events,
    found,
    made,
    merge_status,
    pod_of,
    until_phase,
    until_reason,
    usable,
)
from tests.cluster.controlled import Cluster, estimate, merge, metrics
from tests.cluster.kubelet import Kubelet, kubelet
from tests.cluster.test_controller import node
from tests.harness.control_plane import ControlPlane
from tests.harness.environment import ROOT
from tests.harness.installation import Installation
from tests.harness.registry import Registry


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("calibrations")
    with ControlPlane.start(directory / "plane") as plane, Registry.start(directory / "registry") as registry:
        plane.create_namespace(LAB)
        plane.create_namespace(SHORT)
        plane.kubectl("label", "namespace", LAB, "pod-security.kubernetes.io/enforce=restricted")
        model = small_models.classifier(directory / "classifier.onnx").read_bytes()
        with Installation.start(
            plane,
            directory / "joulecast",
            insecure_registries=[registry.host],
            options=FLAGS,
            values=VALUES,
            environment=ALLOWED,
        ) as installation:
            yield Cluster(plane=plane, registry=registry, installation=installation, model=model)


@pytest.fixture(scope="module")
def worker(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubelet]:
    with kubelet(cluster.plane, LAB, tmp_path_factory.mktemp("kubelet"), ALLOWED) as started:
        yield started


def test_the_whole_way(cluster: Cluster, worker: Kubelet) -> None:
    """A run survives restarts of operator and node, and its profile is used; the next one, not better, is not used."""
    plane = cluster.plane
    cluster.push("priced")
    plane.apply(earlier_profile())
    cluster.until(lambda: usable(cluster).get("status") == "True", "an earlier profile is in use")
    plane.apply(estimate("priced", LAB, cluster.image("priced"), accelerators={"names": [H100]}))
    before = cluster.until_ready("priced", LAB)["results"][0]
    plane.apply(node("h100-whole", H100, pool="whole"))
    rows = {"claimName": "rows"}
    second = calibration("second", nodeSelector={"matchLabels": {"pool": "whole"}}, quick=True, storage=rows)
    plane.apply(calibration("first", accelerator=H100, quick=True, storage=rows))
    worker.refused.add("second-1")
    worker.hold("first-1", rows=5)
    until_phase(cluster, "first", "Measuring")
    job = plane.get("job", "first-1", LAB)
    assert job is not None
    assert job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}

    plane.apply(second)
    waits = until_reason(cluster, "second", "AnotherCalibration")
    assert f"{LAB}/first" in waits["message"]
    assert plane.get("job", "second-1", LAB) is None

    cluster.installation.controller.kill()
    worker.lose("first-1")
    cluster.installation.controller.start()
    cluster.until(lambda: worker.started("first-1") == 2, "the Job goes on with another pod")
    (measured,) = worker.claims.glob("rows/first-*/1")
    assert list(measured.rglob("*.jsonl")), "what was measured is there for the second pod"

    status = until_phase(cluster, "first", "Done", "Failed")
    assert status["run"] == 1
    assert status["progress"] == 1
    assert status["rows"] > 50
    assert status["quality"]["simulated"] is True
    assert status["quality"]["better"] is True, status
    assert status["quality"]["againstMedianError"] > status["quality"]["heldOut"]["medianError"]
    assert status["profile"]["taken"] is True
    assert 0 < status["quality"]["heldOut"]["medianError"] < 0.2
    assert "first" in plane.kubectl("get", "ecal", "-n", LAB).stdout
    assert "yes, in use" in plane.kubectl("get", "ecal", "-n", LAB).stdout

    cluster.until(lambda: usable(cluster).get("status") == "True", "the profile is usable")
    joules = lambda: cluster.status("priced", LAB)["results"][0]["joulesPerBatch"]  # noqa: E731
    cluster.until(lambda: joules() < before["joulesPerBatch"], "estimates are priced with it")
    assert cluster.status("priced", LAB)["results"][0]["origin"] == "measured"
    assert "joulecast_calibration_progress_ratio" in metrics(cluster.installation.controller_url)

    uid = plane.get("ecal", "second", LAB)["metadata"]["uid"]
    disturb(measured / "rows", worker.claims / f"rows/second-{uid[:8]}/1/rows")
    worker.refused.clear()
    worse = until_phase(cluster, "second", "Done", "Failed")
    assert worse["profile"]["taken"] is False, worse
    assert worse["quality"]["better"] is False
    assert worse["against"] == status["profile"]["digest"]
    assert condition(cluster, "second")["reason"] == "NotBetter"
    held = plane.get("aep", PROFILE)
    assert held is not None
    assert "sha256:" + hashlib.sha256(held["spec"]["coefficients"].encode()).hexdigest() == status["profile"]["digest"]
    assert "no, " in plane.kubectl("get", "ecal", "second", "-n", LAB).stdout
    first = {("Normal", "first", reason) for reason in ("Starting", "Measuring", "Better")}
    told = first | {("Normal", "second", reason) for reason in ("AnotherCalibration", "NotBetter")}
    cluster.until(lambda: told <= events(cluster), "events tell of all of it")


def test_the_pods_account_may_write_its_result_and_nothing_else(cluster: Cluster, worker: Kubelet) -> None:
    folder = worker.credentials("first-calibration")
    own = f"/api/v1/namespaces/{LAB}/configmaps/first-calibration"
    other = f"/api/v1/namespaces/{LAB}/configmaps/second-calibration"
    note = {"metadata": {"labels": {"touched": "yes"}}}
    assert ask(cluster, folder, "PATCH", own, note) == 200
    assert ask(cluster, folder, "PATCH", other, note) == 403
    assert ask(cluster, folder, "GET", own) == 403
    assert ask(cluster, folder, "GET", f"/api/v1/namespaces/{LAB}/secrets") == 403
    assert ask(cluster, folder, "DELETE", own) == 403
    ours = f"/apis/joulecast.dev/v1alpha1/namespaces/{LAB}/energycalibrations/first/status"
    assert ask(cluster, folder, "PATCH", ours, {"status": {"phase": "Done"}}) == 403
    assert (
        ask(cluster, folder, "PATCH", f"/apis/joulecast.dev/v1alpha1/acceleratorenergyprofiles/{PROFILE}", note) == 403
    )


def test_what_is_deleted_takes_everything_but_the_profile_with_it(cluster: Cluster, worker: Kubelet) -> None:
    names = {each.rpartition("/")[2] for each in made(cluster, "first")}
    assert {"first-1", "first-calibration"} <= names
    cluster.plane.kubectl("delete", "ecal", "second", "-n", LAB)
    cluster.plane.kubectl("delete", "aep", PROFILE)
    assert "it was deleted" in until_reason(cluster, "first", "NotInUse")["message"]
    cluster.plane.apply(earlier_profile())
    cluster.plane.kubectl("delete", "ecal", "first", "-n", LAB)
    cluster.until(lambda: not made(cluster, "first") | made(cluster, "second"), "all of it goes")
    assert cluster.plane.get("aep", PROFILE) is not None

    cluster.plane.apply(calibration("third", accelerator=H100, quick=True))
    worker.hold("third-1", rows=5)
    until_phase(cluster, "third", "Measuring")
    (running,) = worker.running("third-1")
    cluster.plane.kubectl("delete", "ecal", "third", "-n", LAB)
    cluster.until(lambda: running.process.poll() is not None, "its pod is gone")
    cluster.until(lambda: not made(cluster, "third"), "and all else")


def test_shared_and_sliced_gpus_are_refused_before_there_is_a_job(cluster: Cluster) -> None:
    plane = cluster.plane
    plane.apply(node("shared", "NVIDIA-L40S-SHARED", pool="shared", **{"nvidia.com/gpu.replicas": "4"}))
    plane.apply(node("sliced", "NVIDIA-A100-SXM4-80GB", pool="sliced", **{"nvidia.com/mig-1g.10gb.count": "7"}))
    plane.apply(calibration("shared", accelerator="NVIDIA-L40S"))
    plane.apply(calibration("sliced", nodeSelector={"matchLabels": {"pool": "sliced"}}))
    plane.apply(calibration("absent", accelerator="NVIDIA-B200"))
    assert "time slicing" in until_reason(cluster, "shared", "SharedAccelerator")["message"]
    assert "MIG" in until_reason(cluster, "sliced", "SharedAccelerator")["message"]
    assert condition(cluster, "sliced", kind="Accepted")["status"] == "False"
    assert "nvidia.com/gpu.product=NVIDIA-B200" in until_reason(cluster, "absent", "NoNode")["message"]
    assert not made(cluster, "shared") | made(cluster, "sliced") | made(cluster, "absent")
    plane.kubectl("delete", "ecal", "shared", "sliced", "absent", "-n", LAB)


def test_a_job_is_taken_away_and_comes_back(cluster: Cluster, worker: Kubelet) -> None:
    worker.accepts = False
    plane = cluster.plane
    plane.apply(node("l40s", "NVIDIA-L40S", pool="l40s"))
    plane.apply(calibration("moved", accelerator="NVIDIA-L40S", budget="10m"))
    until_reason(cluster, "moved", "Starting")
    cluster.until(lambda: plane.get("job", "moved-1", LAB), "a Job")
    plane.kubectl("delete", "job", "moved-1", "-n", LAB)
    assert "spec.storage" in until_reason(cluster, "moved", "FromTheStart")["message"]
    assert found(cluster, "moved")["starts"] == 2
    merge(plane, "ecal", "moved", LAB, {"spec": {"suspend": True}})
    until_reason(cluster, "moved", "Suspended")
    cluster.until(lambda: plane.get("job", "moved-1", LAB) is None, "no Job while it is suspended")
    merge(plane, "ecal", "moved", LAB, {"spec": {"suspend": False, "queueName": "gpus"}})
    assert until_phase(cluster, "moved", "Queued")["run"] == 1, "the same is asked, in another place"
    assert "'gpus'" in until_reason(cluster, "moved", "Queued")["message"]
    queued = plane.get("job", "moved-1", LAB)
    assert queued is not None
    assert queued["spec"]["suspend"] is True
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    plane.kubectl("delete", "ecal", "moved", "-n", LAB)
    worker.accepts = True


def test_why_a_pod_is_not_there_or_does_not_start_is_said(cluster: Cluster, worker: Kubelet) -> None:
    """The quota and the LimitRange are real; the messages of scheduler and kubelet are written by the test."""
    plane = cluster.plane
    worker.refused.add("stuck-1")
    plane.apply(node("l40s", "NVIDIA-L40S", pool="l40s"))
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-gpus", "namespace": LAB}}
    plane.apply(quota | {"spec": {"hard": {"requests.nvidia.com/gpu": "0"}}})
    enforced = lambda: (plane.get("resourcequota", "no-gpus", LAB) or {}).get("status", {}).get("hard")  # noqa: E731
    cluster.until(enforced, "the quota is in force")
    plane.apply(calibration("stuck", accelerator="NVIDIA-L40S"))
    refused = until_reason(cluster, "stuck", "FailedCreate")["message"]
    assert "exceeded quota: no-gpus" in refused
    assert "raise the quota" in refused
    cluster.until(lambda: ("Warning", "stuck", "FailedCreate") in events(cluster), "an event warns of it")
    plane.kubectl("delete", "resourcequota", "no-gpus", "-n", LAB)

    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small", "namespace": LAB}}
    plane.apply(limits | {"spec": {"limits": [{"type": "Container", "max": {"memory": "4Gi"}}]}})
    merge(plane, "ecal", "stuck", LAB, {"spec": {"tolerations": [{"key": "lab", "operator": "Exists"}]}})
    told = lambda word: word in condition(cluster, "stuck").get("message", "")  # noqa: E731
    small = lambda: told("spec.resources") and told("4Gi")  # noqa: E731
    cluster.until(small, "the LimitRange is named, of another Job as the pod is placed otherwise")
    merge(plane, "ecal", "stuck", LAB, {"spec": {"resources": {"limits": {"memory": "4Gi"}}}})
    pod = pod_of(cluster, "stuck-1")
    asked = plane.get("pod", pod.removeprefix("pod/"), LAB)
    assert asked is not None
    assert {each.get("key") for each in asked["spec"]["tolerations"]} >= {"nvidia.com/gpu", "lab"}
    assert found(cluster, "stuck")["run"] == 1

    taints = "0/1 nodes are available: 1 node(s) had untolerated taint {lab2: }."
    unfit = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": taints}
    merge_status(plane, pod, {"conditions": [unfit]})
    assert "spec.tolerations" in until_reason(cluster, "stuck", "Unschedulable")["message"]
    scheduled = {"type": "PodScheduled", "status": "True"}
    state = {"name": "calibrate", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    pulls = {"state": {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}}
    merge_status(plane, pod, {"conditions": [scheduled], "containerStatuses": [state | pulls]})
    assert "manifest unknown" in until_reason(cluster, "stuck", "ImagePullBackOff")["message"]
    creates = {"state": {"waiting": {"reason": "ContainerCreating"}}}
    merge_status(plane, pod, {"containerStatuses": [state | creates]})
    until_reason(cluster, "stuck", "Starting")
    plane.kubectl("delete", "limitrange", "small", "-n", LAB)
    plane.kubectl("delete", "ecal", "stuck", "-n", LAB)
    worker.refused.clear()


def test_who_waits_longest_is_next_and_a_missed_time_is_made_up_for_after_a_restart(
    cluster: Cluster, worker: Kubelet
) -> None:
    worker.accepts = False
    plane = cluster.plane
    plane.apply(node("t4", "Tesla-T4", pool="t4"))
    plane.apply(calibration("nightly", accelerator="Tesla-T4", schedule="0 3 29 2 *"))
    until_reason(cluster, "nightly", "Scheduled")
    assert found(cluster, "nightly")["nextRunAt"].endswith("-02-29T03:00:00Z")
    assert "run" not in found(cluster, "nightly")
    plane.apply(calibration("a-holder", accelerator="NVIDIA-L40S"))
    cluster.until(lambda: plane.get("job", "a-holder-1", LAB), "a Job")
    plane.apply(calibration("graph", accelerator="NVIDIA-L40S", runtime="torch-cudagraph"))
    cluster.until(lambda: plane.get("job", "graph-1", LAB), "another Job, for another profile")
    plane.apply(calibration("z-early", nodeSelector={"matchLabels": {"pool": "l40s"}}))
    until_reason(cluster, "z-early", "AnotherCalibration")
    plane.apply(calibration("b-late", accelerator="NVIDIA-L40S"))
    until_reason(cluster, "b-late", "AnotherCalibration")
    cluster.installation.controller.kill()
    plane.kubectl("delete", "ecal", "a-holder", "-n", LAB)
    plane.apply(calibration("a-newest", accelerator="NVIDIA-L40S"))
    merge_status(
        plane, "ecal/nightly", {"run": 4, "nextRunAt": "2020-02-29T03:00:00Z", "finishedAt": "2020-01-01T01:00:00Z"}
    )
    cluster.installation.controller.start()
    cluster.until(lambda: plane.get("job", "z-early-1", LAB), "who waited longest is next")
    cluster.until(lambda: plane.get("job", "nightly-5", LAB), "what was missed is made up for")
    cluster.until(
        lambda: "1 more is before it" in condition(cluster, "a-newest").get("message", ""), "then the one after"
    )
    first = lambda: f"waits for {LAB}/z-early, which measures" in condition(cluster, "b-late")["message"]  # noqa: E731
    cluster.until(first, "and is first in line")
    merge(plane, "ecal", "z-early", LAB, {"spec": {"suspend": True}})
    cluster.until(lambda: plane.get("job", "b-late-1", LAB), "suspended, it holds up nobody")
    assert plane.get("job", "a-newest-1", LAB) is None
    plane.kubectl("delete", "ecal", "graph", "z-early", "b-late", "a-newest", "nightly", "-n", LAB)
    worker.accepts = True


def test_a_run_whose_spec_changes_under_way_is_another_run(cluster: Cluster, worker: Kubelet) -> None:
    worker.accepts = False
    plane = cluster.plane
    plane.apply(calibration("changed", accelerator="NVIDIA-L40S", quick=True))
    cluster.until(lambda: plane.get("job", "changed-1", LAB), "a Job")
    merge(plane, "ecal", "changed", LAB, {"spec": {"schedule": "0 0 31 2 *"}})
    until_reason(cluster, "changed", "InvalidSchedule")
    cluster.until(lambda: plane.get("job", "changed-1", LAB) is None, "nothing goes on that nobody reads")
    merge(plane, "ecal", "changed", LAB, {"spec": {"schedule": None, "quick": None, "budget": "10m"}})
    cluster.until(lambda: plane.get("job", "changed-2", LAB), "what is asked now is another run")
    assert found(cluster, "changed")["run"] == 2
    plane.kubectl("delete", "ecal", "changed", "-n", LAB)
    worker.accepts = True


def test_a_node_that_comes_later_begins_a_run_and_a_namespace_takes_it_with_it(
    cluster: Cluster, worker: Kubelet
) -> None:
    worker.refused.add("after-1")
    plane = cluster.plane
    longest = "ab." + "n" * (NAME_CHARACTERS - 3)
    plane.apply(calibration(longest, SHORT, accelerator="NVIDIA-L4", queueName="gpus"))
    until_reason(cluster, longest, "NoNode", SHORT)
    plane.apply(node("l4", "NVIDIA-L4", pool="l4"))
    cluster.until(lambda: plane.get("job", f"{longest}-1", SHORT), "it begins with the node")
    plane.apply(calibration("after", accelerator="NVIDIA-L4"))
    until_reason(cluster, "after", "AnotherCalibration")
    plane.kubectl("delete", "namespace", SHORT, "--wait=false")
    cluster.until(lambda: plane.get("job", "after-1", LAB), "nobody has the turn any more")
    plane.kubectl("delete", "ecal", "after", "-n", LAB)
    worker.refused.clear()


def test_the_examples_are_taken(cluster: Cluster) -> None:
    cluster.plane.create_namespace("joulecast")
    files = [word for name in ("calibration", "calibration-nightly") for word in ("-f", f"{ROOT}/examples/{name}.yaml")]
    done = cluster.plane.kubectl("apply", "--dry-run=server", "--validate=strict", *files)
    assert done.stdout.count("energycalibration.joulecast.dev/") == 2
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({}, "exactly one of accelerator and nodeSelector"),
        (
            {"accelerator": H100, "nodeSelector": {"matchLabels": {"a": "b"}}},
            "exactly one of accelerator and nodeSelector",
        ),
        ({"accelerator": H100, "budget": "4m"}, "from 5m to 24h"),
        ({"accelerator": H100, "slices": ["everything"]}, "slices"),
        ({"accelerator": H100, "slices": ["layers"], "quick": True}, "quick or slices"),
        ({"accelerator": H100, "schedule": "every night"}, "schedule"),
        ({"accelerator": H100, "runtime": "onnxruntime-cuda"}, "runtime"),
        ({"accelerator": H100, "resources": {"limits": {"nvidia.com/gpu": 2}}}, 'unknown field "spec.resources.limits'),
        ({"accelerator": H100, "resources": {"limits": {"memory": "plenty"}}}, "spec.resources.limits.memory"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(cluster: Cluster, spec: dict[str, Any], complaint: str) -> None:
    document = json.dumps(calibration("wrong", **spec))
    done = cluster.plane.kubectl("apply", "--dry-run=server", "-f", "-", stdin=document, check=False)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_what_only_the_controller_can_see_is_said(cluster: Cluster) -> None:
    plane = cluster.plane
    plane.create_namespace("elsewhere")
    plane.apply(calibration("stranger", "elsewhere", accelerator=H100))
    assert LAB in until_reason(cluster, "stranger", "NamespaceNotAllowed", "elsewhere")["message"]
    plane.apply(calibration("never", accelerator=H100, schedule="0 0 31 2 *"))
    assert "0 0 31 2 *" in until_reason(cluster, "never", "InvalidSchedule")["message"]
    plane.apply(calibration("greedy", accelerator=H100, image="evil.invalid/x:1", priorityClassName="high"))
    assert "calibration.allowed.images" in until_reason(cluster, "greedy", "NotAllowed")["message"]
    merge(plane, "ecal", "greedy", LAB, {"spec": {"image": None}})
    other = lambda: "calibration.allowed.priorityClasses" in condition(cluster, "greedy")["message"]  # noqa: E731
    cluster.until(other, "the next thing that is not allowed is named")
    assert not made(cluster, "greedy")
    long = json.dumps(calibration("n" * 41, accelerator=H100))
    done = plane.kubectl("apply", "--dry-run=server", "-f", "-", stdin=long, check=False)
    assert "40 characters" in done.stderr


def test_what_a_pod_writes_is_checked(cluster: Cluster, worker: Kubelet) -> None:
    """A pod that writes another profile than the one in its summary."""
    plane = cluster.plane
    worker.accepts = False
    plane.apply(node("l40s", "NVIDIA-L40S", pool="l40s"))
    plane.apply(calibration("forged", accelerator="NVIDIA-L40S"))
    cluster.until(lambda: plane.get("job", "forged-1", LAB), "a Job")
    summary = {"kind": "calibration-summary", "schema_version": 1, "phase": "done", "progress": 1, "better": True}
    data = {"run": "1", "summary.json": json.dumps(summary | {"profile_digest": "0" * 64}), "profile.json": "{}"}
    merge(plane, "configmap", "forged-calibration", LAB, {"data": data})
    merge_status(plane, pod_of(cluster, "forged-1"), {"phase": "Succeeded"})
    assert until_phase(cluster, "forged", "Failed")["run"] == 1
    assert condition(cluster, "forged")["reason"] == "DigestMismatch"
    assert plane.get("aep", "calibrated-nvidia-l40s-torch-eager") is None

    plane.kubectl("annotate", "ecal", "forged", "-n", LAB, "joulecast.dev/refresh=again")
    cluster.until(lambda: plane.get("job", "forged-2", LAB), "asked again, it runs again")
    cluster.until(lambda: plane.get("job", "forged-1", LAB) is None, "and the Job before it goes")
    wrong = {"name": "calibrate", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    ended = {"state": {"terminated": {"exitCode": 2, "reason": "Error"}}}
    merge_status(plane, pod_of(cluster, "forged-2"), {"phase": "Failed", "containerStatuses": [wrong | ended]})
    assert until_phase(cluster, "forged", "Failed")["run"] == 2, "no retry mends a wrong command line"
    assert "exit code 2" in condition(cluster, "forged")["message"]

    plain = json.loads(installed()["NVIDIA-L40S"].to_json())
    text = json.dumps(plain | {"law": plain["law"] | {"byte_joules": -1}})
    digest = hashlib.sha256(text.encode()).hexdigest()
    plane.kubectl("annotate", "--overwrite", "ecal", "forged", "-n", LAB, "joulecast.dev/refresh=negative")
    cluster.until(lambda: plane.get("job", "forged-3", LAB), "a third run")
    data = {"run": "3", "summary.json": json.dumps(summary | {"profile_digest": digest}), "profile.json": text}
    merge(plane, "configmap", "forged-calibration", LAB, {"data": data})
    merge_status(plane, pod_of(cluster, "forged-3"), {"phase": "Succeeded"})
    until_reason(cluster, "forged", "InvalidProfile")
    assert "law.byte_joules is -1" in condition(cluster, "forged")["message"]
    assert plane.get("aep", "calibrated-nvidia-l40s-torch-eager") is None, "negative joules are never in use"
    plane.kubectl("delete", "ecal", "forged", "-n", LAB)
    worker.accepts = True


def test_the_server_finds_no_fault_in_the_policies(cluster: Cluster) -> None:
    """kube-controller-manager checks the expressions against the types of the objects that they match."""
    names = cluster.plane.kubectl("get", "validatingadmissionpolicies", "-o", "name").stdout.split()
    assert len(names) == 7
    checked = lambda name: (cluster.plane.get(*name.split("/")) or {})["status"].get("observedGeneration")  # noqa: E731
    for name in names:
        cluster.until(partial(checked, name), f"{name} is checked")
        found = cluster.plane.get(*name.split("/")) or {}
        assert not found["status"].get("typeChecking", {}).get("expressionWarnings"), found["status"]


def test_nothing_was_forbidden(cluster: Cluster) -> None:
    assert [each for each in cluster.forbidden() if f"/{SHORT}/" not in each] == [], "of those that are there"
    log = cluster.installation.controller.log.read_text().splitlines()
    assert [line for line in log if '"level": "error"' in line] == []
