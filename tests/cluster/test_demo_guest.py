"""Test that `make demo CLUSTER=1` plays in the cluster of KUBECONFIG and leaves it as it was, however it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.demo import guest, users_cluster
from joulecast_operator.api.crds import definitions
from tests.harness.cache import cache_directory
from tests.harness.control_plane import ControlPlane
from tests.harness.environment import ROOT
from tests.harness.kubeconfig import write_kubeconfig
from tests.waiting import eventually

DEMO_SECONDS = 1200.0  # half a minute on two idle cores
KINDS = ",".join(users_cluster.KINDS)
ELSEWHERE = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: elsewhere
  annotations: {joulecast.dev/model: registry.invalid/models/classifier:1}
spec:
  replicas: 0
  selector: {matchLabels: {app: elsewhere}}
  template:
    metadata: {labels: {app: elsewhere}}
    spec: {containers: [{name: server, image: registry.invalid/models/classifier:1}]}
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Run the user's cluster: one without joulecast, in which a Deployment has an annotation of it."""
    with ControlPlane.start(tmp_path_factory.mktemp("users-cluster")) as started:
        started.kubectl("apply", "-f", "-", stdin=ELSEWHERE)
        yield started


def start(plane: ControlPlane, kubeconfig: Path | None = None, **further: str) -> subprocess.Popen[str]:
    environment = plane.environment(kubeconfig) | {"CLUSTER": "1"} | further
    command = [sys.executable, "-u", "-m", "examples.demo"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, start_new_session=True, **pipes)


def played(plane: ControlPlane, kubeconfig: Path | None = None, **further: str) -> tuple[int, str]:
    process = start(plane, kubeconfig, **further)
    output, _ = process.communicate(timeout=DEMO_SECONDS)
    return process.returncode, output


def error_of(output: str) -> str:
    (line,) = (line for line in output.splitlines() if line.startswith("error: "))
    return line


def left(plane: ControlPlane) -> str:
    """Return what of any demo, and of joulecast's definitions, is in the cluster."""
    marked = plane.kubectl("get", KINDS, "-l", users_cluster.LABEL, "-o", "name").stdout
    names = [definition["metadata"]["name"] for definition in definitions().values()]
    return marked + plane.kubectl("get", "crd", *names, "-o", "name", "--ignore-not-found").stdout


def test_it_plays_and_removes_everything(plane: ControlPlane) -> None:
    code, output = played(plane)
    assert code == 0, output
    assert "without admission" in output
    assert re.search(r"kubectl -n joulecast-demo-[0-9a-f]+ apply -f examples/estimate.yaml", output)
    assert "joulecast.dev/state: Ready" in output
    assert "Warning: " not in output
    assert re.search(r"^llama-3-70b .* J/request", output, re.MULTILINE), output
    assert output.partition("The ten rows that cost most")[2].partition("Clean up")[0].count(" J  ") == 10
    assert left(plane) == ""
    elsewhere = plane.get("deployment", "elsewhere")
    assert elsewhere is not None
    noted = {key for key in elsewhere["metadata"]["annotations"] if key.startswith("joulecast.dev/")}
    assert noted == {"joulecast.dev/model"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_removes_everything(plane: ControlPlane, number: signal.Signals) -> None:
    process = start(plane)
    assert process.stdout is not None
    shown = ""
    for line in process.stdout:
        shown += line
        if "apply -f examples/estimate.yaml" in line:
            break
    assert left(plane) != "", shown
    os.killpg(process.pid, number)
    rest, _ = process.communicate(timeout=DEMO_SECONDS)
    assert process.returncode == 130, shown + rest
    assert left(plane) == "", rest


def test_a_cluster_that_has_joulecast_is_left_alone(plane: ControlPlane) -> None:
    plane.kubectl("create", "-f", str(ROOT / "crds" / "energycalibrations.yaml"))
    try:
        code, output = played(plane)
        assert code == 1
        assert "(energycalibrations.joulecast.dev)" in error_of(output)
        assert "choose another context" in error_of(output)
        assert left(plane).strip().endswith("/energycalibrations.joulecast.dev")
    finally:
        plane.kubectl("delete", "crd", "energycalibrations.joulecast.dev")
    assert left(plane) == ""


def test_what_a_killed_demo_left_is_told_apart_and_removed_by_the_command_it_prints(plane: ControlPlane) -> None:
    before = set(cache_directory().glob("demo-*"))
    process = start(plane)
    assert process.stdout is not None
    next(line for line in process.stdout if "apply -f examples/estimate.yaml" in line)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=DEMO_SECONDS)
    for folder in set(cache_directory().glob("demo-*")) - before:
        shutil.rmtree(folder, ignore_errors=True)
    code, output = played(plane)
    assert code == 1
    commands = re.search(r"if it was killed, `kubectl (.+)`", error_of(output))
    assert commands, output
    plane.kubectl(*commands[1].split())
    assert left(plane) == ""


def test_missing_rights_are_named_in_one_sentence(plane: ControlPlane, tmp_path: Path) -> None:
    user = plane.authority.client("intern", user="intern")
    config = write_kubeconfig(
        tmp_path / "intern.kubeconfig", server=plane.url, authority=plane.authority.bundle, user=user
    )
    code, output = played(plane, config)
    assert code == 1
    assert "your account may not get, list, create, delete customresourcedefinitions.apiext" in error_of(output)
    assert "ask its administrator" in error_of(output)
    assert left(plane) == ""


def test_no_cluster_is_one_sentence(plane: ControlPlane, tmp_path: Path) -> None:
    code, output = played(plane, tmp_path / "none")
    assert code == 1
    assert error_of(output).startswith("error: CLUSTER=1 takes the cluster of KUBECONFIG, which names none")


def test_keep_does_not_go_with_it(plane: ControlPlane) -> None:
    code, output = played(plane, KEEP="1")
    assert code == 1
    assert "KEEP=1 does not go with it" in error_of(output)


def test_what_cannot_be_removed_is_named_with_its_command(
    plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have a finalizer hold the namespace, as a controller of the user's cluster may do."""
    for key, value in plane.environment().items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(guest, "REMOVAL_SECONDS", 5)
    with guest.SmallRegistry.start(tmp_path / "registry") as registry:
        visitor = guest.Guest(tmp_path, registry)
        with pytest.raises(guest.GuestError) as failed, guest.removed_at_last(visitor):
            visitor.install()
            visitor.kubectl("create", "configmap", "held")
            visitor.kubectl("patch", "configmap", "held", "-p", '{"metadata": {"finalizers": ["example.com/held"]}}')
    commands = str(failed.value).partition("remove it with: ")[2].split("; ")
    assert commands[0] == f"kubectl delete namespaces -l {users_cluster.LABEL}={visitor.id}"
    visitor.kubectl("patch", "configmap", "held", "-p", '{"metadata": {"finalizers": null}}')
    for command in commands:  # on a busy machine the definitions may be among them
        plane.kubectl(*command.split()[1:])
    assert eventually(lambda: left(plane) == "")
