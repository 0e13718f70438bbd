"""Test that forecasts are right after each part was killed and came back."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import small_models
from tests.e2e.cluster import ACCELERATOR, NAMESPACE, Cluster, kill, processes, with_gpus
from tests.harness.processes import Process, ProcessError

STARTS = 4
PROCESSES: dict[str, Callable[[Cluster], Process]] = {
    "kubelet": lambda cluster: cluster.node.kubelet,
    "containerd": lambda cluster: cluster.node.containerd.process,
    "kube-proxy": lambda cluster: cluster.node.proxy,
    "registry": lambda cluster: cluster.node.registry.process,
    "kube-scheduler": lambda cluster: cluster.plane.scheduler,
    "kube-controller-manager": lambda cluster: cluster.plane.controller_manager,
    "kube-apiserver": lambda cluster: cluster.plane.apiserver,
    "etcd": lambda cluster: cluster.plane.etcd,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_models.classifier(tmp_path_factory.mktemp("models") / "classifier.onnx")


@pytest.fixture(scope="module")
def joules(model: Path) -> float:
    """What the library says of the model."""
    options = ["--accelerator", ACCELERATOR, "--batch-size", "32", "--output", "json"]
    command = [Path(sys.executable).with_name("joulecast"), "estimate", model, *options]
    done = subprocess.run(command, check=True, capture_output=True)
    found: float = json.loads(done.stdout)["results"][0]["joules_per_batch"]
    return found


@pytest.mark.parametrize("part", ["controller", "webhook"])
def test_a_killed_process_of_joulecast_is_started_again(
    cluster: Cluster, part: str, model: Path, joules: float
) -> None:
    killed = kill("joulecast_operator", part)
    assert killed
    cluster.until(lambda: set(processes("joulecast_operator", part)) - set(killed), f"the kubelet starts the {part}")
    _goes_on(cluster, part, model, joules)


@pytest.mark.parametrize("part", PROCESSES)
def test_forecasts_are_right_after_a_crash_of_a_part_of_the_cluster(
    cluster: Cluster, part: str, model: Path, joules: float
) -> None:
    process = PROCESSES[part](cluster)
    process.kill()
    assert not process.is_running
    _start(process)
    with_gpus(cluster.plane)
    _goes_on(cluster, part, model, joules)


def test_forecasts_are_right_after_everything_was_killed_at_once(cluster: Cluster, model: Path, joules: float) -> None:
    parts = [found(cluster) for found in PROCESSES.values()]
    for process in parts:
        process.kill()
    kill("joulecast_operator")
    for process in reversed(parts):  # etcd and the API server first
        _start(process)
    with_gpus(cluster.plane)
    _goes_on(cluster, "everything", model, joules)


def _start(process: Process) -> None:
    """Start a program, and again if it gives up, as an init system does: a busy API server may end at its start."""
    for _ in range(STARTS):
        with contextlib.suppress(ProcessError):
            process.start()
            return
    process.start()


def _goes_on(cluster: Cluster, part: str, model: Path, joules: float) -> None:
    """A model that nobody has seen before is forecast, its pod runs, and the webhook is called."""
    name = f"after-{part}"
    image = cluster.push_server(name, model.read_bytes())
    cluster.apply(cluster.deployment(name, image))
    cluster.until(lambda: cluster.annotations(name).get("state") == "Ready", f"a forecast after the end of {part}")
    assert float(cluster.annotations(name)["joules-per-batch"]) == pytest.approx(joules, rel=0.005)
    cluster.rolled_out(name)
    for role in ("controller", "webhook"):
        cluster.rolled_out(f"joulecast-{role}", NAMESPACE)
    cluster.until(cluster.is_reviewed, f"the webhook answers after the end of {part}")
