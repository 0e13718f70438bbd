"""Calibrations against a real API server and a real Job controller; the Job's own command measures a simulated card."""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from joulecast.accelerators import SIMULATED_ALLOWED
from tests import small_models
from tests.cluster.controlled import Cluster, estimate, merge, metrics
from tests.cluster.kubelet import Kubelet, kubelet
from tests.cluster.test_controller import node, profile_document
from tests.harness import http
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import Installation
from tests.harness.registry import Registry

LAB = "lab"
H100 = "NVIDIA-H100-80GB-HBM3"  # what the simulated hopper is a likeness of
PROFILE = "calibrated-nvidia-h100-80gb-hbm3-torch-eager"
RUN_SECONDS = 75.0
ALLOWED = {SIMULATED_ALLOWED: "1"}
FLAGS = [
    "--retry-seconds=0.5",
    "--sweep-seconds=5",
    f"--calibration-namespaces={LAB}",
    "--calibration-image=registry.invalid/joulecast-torch:1",
    "--calibration-arguments=--simulate,hopper",
    "--calibration-poll-seconds=0.5",
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("calibrations")
    with ControlPlane.start(directory / "plane") as plane, Registry.start(directory / "registry") as registry:
        plane.create_namespace(LAB)
        plane.kubectl("label", "namespace", LAB, "pod-security.kubernetes.io/enforce=restricted")
        model = small_models.classifier(directory / "classifier.onnx").read_bytes()
        values = [f"calibration.namespaces={{{LAB}}}"]
        with Installation.start(
            plane,
            directory / "joulecast",
            insecure_registries=[registry.host],
            options=FLAGS,
            values=values,
            environment=ALLOWED,
        ) as installation:
            yield Cluster(plane=plane, registry=registry, installation=installation, model=model)


@pytest.fixture(scope="module")
def worker(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubelet]:
    with kubelet(cluster.plane, LAB, tmp_path_factory.mktemp("kubelet"), ALLOWED) as started:
        yield started


def calibration(name: str, namespace: str = LAB, **spec: Any) -> dict[str, Any]:
    kind = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "EnergyCalibration"}
    return kind | {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def found(cluster: Cluster, name: str, namespace: str = LAB) -> dict[str, Any]:
    status: dict[str, Any] = (cluster.plane.get("ecal", name, namespace) or {}).get("status") or {}
    return status


def condition(cluster: Cluster, name: str, namespace: str = LAB, kind: str = "Calibrated") -> dict[str, Any]:
    conditions = found(cluster, name, namespace).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def until_phase(cluster: Cluster, name: str, *phases: str, seconds: float = RUN_SECONDS) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while (status := found(cluster, name)).get("phase") not in phases:
        log = cluster.installation.controller.log.read_text()[-3000:]
        assert time.monotonic() < deadline, f"{name} is not {phases}: {json.dumps(status, indent=1)}\n{log}"
        time.sleep(0.2)
    return status


def until_reason(cluster: Cluster, name: str, reason: str, namespace: str = LAB) -> dict[str, Any]:
    said = lambda: condition(cluster, name, namespace).get("reason") == reason  # noqa: E731
    cluster.until(said, f"{name} says {reason}: {found(cluster, name, namespace)}")
    return condition(cluster, name, namespace)


def made(cluster: Cluster, name: str) -> set[str]:
    """What joulecast made for a calibration."""
    kinds = "jobs,configmaps,serviceaccounts,roles,rolebindings,pods"
    selector = f"app.kubernetes.io/instance={name}"
    return set(cluster.plane.kubectl("get", kinds, "-n", LAB, "-l", selector, "-o", "name").stdout.split())


def test_the_whole_way(cluster: Cluster, worker: Kubelet) -> None:
    """Applied, measured through restarts of operator and node, in use; the next, no better, waits, runs and is not."""
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
    worker.hold("first-1", rows=20)
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
    worker.accepts = False
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
    worker.accepts = True
    worse = until_phase(cluster, "second", "Done", "Failed")
    assert worse["profile"]["taken"] is False, worse
    assert worse["quality"]["better"] is False
    assert worse["against"] == status["profile"]["digest"]
    assert condition(cluster, "second")["reason"] == "NotBetter"
    held = plane.get("aep", PROFILE)
    assert held is not None
    assert "sha256:" + hashlib.sha256(held["spec"]["coefficients"].encode()).hexdigest() == status["profile"]["digest"]
    assert "no, " in plane.kubectl("get", "ecal", "second", "-n", LAB).stdout
    events = plane.kubectl("get", "events", "-n", LAB, "-o", "jsonpath={.items[*].reason}").stdout.split()
    assert {"Starting", "Measuring", "Better", "NotBetter", "AnotherCalibration"} <= set(events)


def disturb(rows: Path, copy: Path) -> None:
    """The same rows as a card would give them that is off by up to two fifths, now above and now below."""
    draw = random.Random(7)
    copy.mkdir(parents=True)
    for journal in rows.glob("*.jsonl"):
        read = [json.loads(line) for line in journal.read_text().splitlines()]
        noisy = [
            row | {"joules": row["joules"] * math.exp(draw.uniform(-0.4, 0.4))} if "joules" in row else row
            for row in read
        ]
        (copy / journal.name).write_text("".join(json.dumps(row) + "\n" for row in noisy))


def earlier_profile() -> dict[str, Any]:
    """What joulecast made of the accelerator before, by ten times too many watts."""
    kind = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "AcceleratorEnergyProfile"}
    labels = {"app.kubernetes.io/managed-by": "joulecast"}
    spec = {"product": H100, "coefficients": profile_document(H100)}
    return kind | {"metadata": {"name": PROFILE, "labels": labels}, "spec": spec}


def usable(cluster: Cluster) -> dict[str, Any]:
    profile = cluster.plane.get("aep", PROFILE) or {}
    conditions = (profile.get("status") or {}).get("conditions") or [{}]
    first: dict[str, Any] = conditions[0]
    return first


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
    cluster.plane.kubectl("delete", "ecal", "first", "second", "-n", LAB)
    cluster.until(lambda: not made(cluster, "first") | made(cluster, "second"), "all of it goes")
    assert cluster.plane.get("aep", PROFILE) is not None

    worker.accepts = True
    cluster.plane.apply(calibration("third", accelerator=H100, quick=True))
    worker.hold("third-1", rows=20)
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
    assert until_phase(cluster, "moved", "Queued")["run"] == 2, "another spec is another run"
    queued = plane.get("job", "moved-2", LAB)
    assert queued is not None
    assert queued["spec"]["suspend"] is True
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    plane.kubectl("delete", "ecal", "moved", "-n", LAB)
    worker.accepts = True


def test_a_schedule_is_waited_for(cluster: Cluster) -> None:
    cluster.plane.apply(calibration("nightly", accelerator="NVIDIA-L40S", schedule="0 3 29 2 *"))
    until_reason(cluster, "nightly", "Scheduled")
    assert found(cluster, "nightly")["nextRunAt"].endswith("-02-29T03:00:00Z")
    assert "run" not in found(cluster, "nightly")
    cluster.plane.kubectl("delete", "ecal", "nightly", "-n", LAB)


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
    long = json.dumps(calibration("n" * 41, accelerator=H100))
    done = plane.kubectl("apply", "--dry-run=server", "-f", "-", stdin=long, check=False)
    assert "40 characters" in done.stderr


def test_what_a_pod_writes_is_checked(cluster: Cluster, worker: Kubelet) -> None:
    """A pod that hands over another profile than its summary says."""
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
    assert plane.get("job", "forged-1", LAB) is None
    wrong = {"name": "calibrate", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    ended = {"state": {"terminated": {"exitCode": 2, "reason": "Error"}}}
    merge_status(plane, pod_of(cluster, "forged-2"), {"phase": "Failed", "containerStatuses": [wrong | ended]})
    assert until_phase(cluster, "forged", "Failed")["run"] == 2, "no retry mends a wrong command line"
    assert "exit code 2" in condition(cluster, "forged")["message"]
    plane.kubectl("delete", "ecal", "forged", "-n", LAB)
    worker.accepts = True


def test_nothing_was_forbidden(cluster: Cluster) -> None:
    assert cluster.forbidden() == []
    log = cluster.installation.controller.log.read_text().splitlines()
    assert [line for line in log if '"level": "error"' in line] == []


def pod_of(cluster: Cluster, job: str) -> str:
    """The Job's pod as kubectl names it, once the Job controller has made it."""
    query = ("get", "pods", "-n", LAB, "-l", f"batch.kubernetes.io/job-name={job}", "-o", "name")
    cluster.until(lambda: cluster.plane.kubectl(*query).stdout, f"a pod of {job}")
    return cluster.plane.kubectl(*query).stdout.split()[0]


def merge_status(plane: ControlPlane, name: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    plane.kubectl("patch", name, "-n", LAB, "--subresource=status", "--type=merge", "-p", patch)


def ask(cluster: Cluster, credentials: Path, method: str, path: str, body: object = None) -> int:
    """The HTTP status of one request with the pod's own token."""
    headers = {
        "Authorization": f"Bearer {(credentials / 'token').read_text()}",
        "Content-Type": "application/merge-patch+json",
    }
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(cluster.plane.url + path, data=data, method=method, headers=headers)
    try:
        with http.send(request, tls=http.client_context(cluster.plane.authority.bundle)) as answer:
            code: int = answer.status
            return code
    except urllib.error.HTTPError as error:
        return error.code
