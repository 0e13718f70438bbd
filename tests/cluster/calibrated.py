"""Make the objects that tests of calibrations apply, and read what became of them."""

from __future__ import annotations

import json
import math
import random
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from joulecast.energy.profile import SIMULATED_ALLOWED
from tests.cluster.controlled import Cluster
from tests.cluster.test_controller_profiles import profile_document
from tests.harness import http
from tests.harness.control_plane import ControlPlane
from tests.waiting import PATIENCE_SECONDS

LAB = "lab"
SHORT = "short-lived"
"""A further namespace in which calibrations run, until a test deletes it."""
H100 = "NVIDIA-H100-80GB-HBM3"  # what the simulated hopper simulates
PROFILE = "calibrated-nvidia-h100-80gb-hbm3-torch-eager"
ALLOWED = {SIMULATED_ALLOWED: "1"}
IMAGE = "registry.invalid/joulecast-torch:1"
MAY = {"claims": ["rows"], "tolerations": ["lab"], "queues": ["gpus"]}
"""What calibrations of these tests may name, for the chart and the controller."""
VALUES = [
    f"calibration.namespaces={{{LAB},{SHORT}}}",
    f"calibration.image={IMAGE}",
    *(f"calibration.allowed.{key}={{{','.join(names)}}}" for key, names in MAY.items()),
]
FLAGS = [
    "--retry-seconds=0.5",
    f"--calibration-namespaces={LAB},{SHORT}",
    f"--calibration-image={IMAGE}",
    f"--calibration-allowed={json.dumps(MAY)}",
    "--calibration-arguments=--simulate,hopper",
    "--calibration-poll-seconds=0.5",
]


def calibration(name: str, namespace: str = LAB, **spec: Any) -> dict[str, Any]:
    kind = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "EnergyCalibration"}
    return kind | {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def found(cluster: Cluster, name: str, namespace: str = LAB) -> dict[str, Any]:
    status: dict[str, Any] = (cluster.plane.get("ecal", name, namespace) or {}).get("status") or {}
    return status


def condition(cluster: Cluster, name: str, namespace: str = LAB, kind: str = "Calibrated") -> dict[str, Any]:
    conditions = found(cluster, name, namespace).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def until_phase(cluster: Cluster, name: str, *phases: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while (status := found(cluster, name)).get("phase") not in phases:
        log = cluster.installation.controller.log.read_text()[-3000:]
        assert time.monotonic() < deadline, f"{name} is not {phases}: {json.dumps(status, indent=1)}\n{log}"
        time.sleep(0.2)
    return status


def until_reason(cluster: Cluster, name: str, reason: str, namespace: str = LAB) -> dict[str, Any]:
    """Wait until the condition has ``reason``, and return it."""
    seen: list[dict[str, Any]] = []

    def said() -> bool:
        seen.append(condition(cluster, name, namespace))
        return bool(seen[-1].get("reason") == reason)

    cluster.until(said, f"{name} says {reason}: {found(cluster, name, namespace)}")
    return seen[-1]


def made(cluster: Cluster, name: str) -> set[str]:
    """Return the objects that joulecast created for a calibration."""
    kinds = "jobs,configmaps,serviceaccounts,roles,rolebindings,pods"
    selector = f"app.kubernetes.io/instance={name}"
    return set(cluster.plane.kubectl("get", kinds, "-n", LAB, "-l", selector, "-o", "name").stdout.split())


def disturb(rows: Path, copy: Path) -> None:
    """Copy rows with energies changed by up to two fifths, some up and some down."""
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
    """Make an earlier profile of the accelerator from ten times too many watts."""
    kind = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "AcceleratorEnergyProfile"}
    labels = {"app.kubernetes.io/managed-by": "joulecast"}
    spec = {"product": H100, "coefficients": profile_document(H100)}
    return kind | {"metadata": {"name": PROFILE, "labels": labels}, "spec": spec}


def usable(cluster: Cluster) -> dict[str, Any]:
    profile = cluster.plane.get("aep", PROFILE) or {}
    conditions = (profile.get("status") or {}).get("conditions") or [{}]
    first: dict[str, Any] = conditions[0]
    return first


def events(cluster: Cluster, namespace: str = LAB) -> set[tuple[str, str, str]]:
    """Return type, calibration and reason of joulecast's events."""
    query = ("get", "events", "-n", namespace, "--field-selector", "involvedObject.kind=EnergyCalibration")
    items = json.loads(cluster.plane.kubectl(*query, "-o", "json").stdout)["items"]
    return {(each["type"], each["involvedObject"]["name"], each["reason"]) for each in items}


def pod_of(cluster: Cluster, job: str) -> str:
    """Wait until the Job controller has created the Job's pod, and return its name as kubectl prints it."""
    query = ("get", "pods", "-n", LAB, "-l", f"batch.kubernetes.io/job-name={job}", "-o", "name")
    cluster.until(lambda: cluster.plane.kubectl(*query).stdout, f"a pod of {job}")
    return cluster.plane.kubectl(*query).stdout.split()[0]


def merge_status(plane: ControlPlane, name: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    plane.kubectl("patch", name, "-n", LAB, "--subresource=status", "--type=merge", "-p", patch)


def ask(cluster: Cluster, credentials: Path, method: str, path: str, body: object = None) -> int:
    """Return the HTTP status of one request with the pod's own token."""
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
