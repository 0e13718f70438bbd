"""Test that the control plane of the cluster tests is a real one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cluster.release import deployment
from tests.harness import binaries, reaper
from tests.harness.control_plane import CommandError, ControlPlane
from tests.harness.processes import ProcessError, stop_directory
from tests.harness.steps import StepError
from tests.waiting import eventually


def test_the_api_server_is_the_pinned_release(control_plane: ControlPlane) -> None:
    answer = yaml.safe_load(control_plane.kubectl("version", "-o", "yaml").stdout)
    if "KUBEBUILDER_ASSETS" not in os.environ:
        assert answer["serverVersion"]["gitVersion"] == binaries.KUBERNETES.version("k8s.io/kubernetes")
        assert answer["clientVersion"]["gitVersion"] == answer["serverVersion"]["gitVersion"]
    assert answer["serverVersion"]["major"] == "1"


def test_deployments_are_real(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.apply(deployment("model", namespace))

    def has_pod() -> bool:
        return bool(control_plane.kubectl("get", "pods", "-n", namespace, "-o", "name").stdout.strip())

    assert eventually(has_pod), "the controller manager made no pod"
    found = control_plane.get("deployment", "model", namespace)
    assert found is not None
    assert found["status"]["observedGeneration"] == 1
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"


def test_what_does_not_exist_is_none(control_plane: ControlPlane, namespace: str) -> None:
    assert control_plane.get("deployment", "absent", namespace) is None


def test_a_refused_command_says_what_and_why(control_plane: ControlPlane) -> None:
    with pytest.raises(
        CommandError, match=r"`kubectl get nonsense` failed \(exit code 1\):\nerror: the server doesn't"
    ):
        control_plane.kubectl("get", "nonsense")
    assert control_plane.kubectl("get", "nonsense", check=False).returncode == 1


def test_a_service_account_has_its_rights_and_no_more(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    control_plane.kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps", "-n", namespace)
    subject = f"--serviceaccount={namespace}:reader"
    control_plane.kubectl("create", "rolebinding", "reader", "--role=reader", subject, "-n", namespace)
    kubeconfig = control_plane.service_account_kubeconfig("reader", namespace=namespace)
    assert kubeconfig.stat().st_mode & 0o077 == 0

    listed = control_plane.kubectl("get", "configmaps", "-o", "name", kubeconfig=kubeconfig)
    assert "configmap/kube-root-ca.crt" in listed.stdout
    refused = control_plane.kubectl("get", "secrets", kubeconfig=kubeconfig, check=False)
    assert "Forbidden" in refused.stderr

    user = f"system:serviceaccount:{namespace}:reader"

    def answers() -> set[tuple[str, int]]:
        events = [event for event in control_plane.audit_events() if event["user"]["username"] == user]
        return {(e["objectRef"]["resource"], e["responseStatus"]["code"]) for e in events if "objectRef" in e}

    assert eventually(lambda: {("configmaps", 200), ("secrets", 403)} <= answers())


def test_helm_installs_a_chart(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: sample\nversion: 0.1.0\nkubeVersion: '>=1.30.0'\n")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sample"}, "data": {"colour": "green"}}
    (chart / "templates" / "configmap.yaml").write_text(yaml.safe_dump(body))
    control_plane.helm("install", "sample", chart, "-n", namespace, "--no-hooks")
    found = control_plane.get("configmap", "sample", namespace)
    assert found is not None
    assert found["data"] == {"colour": "green"}


def test_components_are_killed_and_restarted_and_keep_what_was_written(tmp_path: Path) -> None:
    with ControlPlane.start(tmp_path, controller_manager=False) as plane:
        plane.kubectl("create", "configmap", "kept")
        plane.apiserver.kill()
        assert plane.kubectl("get", "configmap", "kept", check=False).returncode != 0
        plane.apiserver.start()
        plane.etcd.restart()
        plane.apiserver.restart()
        assert plane.get("configmap", "kept") is not None
        plane.controller_manager.start()
        assert plane.create_namespace("later") == "later"
        pids = [process.pid for process in (plane.etcd, plane.apiserver, plane.controller_manager)]
    assert not any(reaper.start_of(pid) for pid in pids)
    assert not list(tmp_path.glob("*.pid"))


def test_two_control_planes_stand_side_by_side_with_a_scheduler(control_plane: ControlPlane, tmp_path: Path) -> None:
    with ControlPlane.start(tmp_path, controller_manager=False, scheduler=True) as other:
        assert other.url != control_plane.url
        assert other.scheduler.is_running
        other.kubectl("create", "namespace", "only-here")
        assert control_plane.get("namespace", "only-here") is None


START_AND_WAIT = """
import sys, time
from pathlib import Path
from tests.harness.control_plane import ControlPlane
plane = ControlPlane.start(Path(sys.argv[1]), controller_manager=False, detached=sys.argv[2] == "detached")
print(plane.etcd.pid, plane.apiserver.pid, flush=True)
if sys.argv[2] != "detached":
    time.sleep(600)
"""


def started_elsewhere(directory: Path, mode: str) -> tuple["subprocess.Popen[str]", list[int]]:
    command = [sys.executable, "-c", START_AND_WAIT, str(directory), mode]
    process = subprocess.Popen(command, cwd=binaries.ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        return process, [int(pid) for pid in process.stdout.readline().split()]


def test_nothing_is_left_behind_when_its_starter_is_killed(tmp_path: Path) -> None:
    process, pids = started_elsewhere(tmp_path, "attached")
    assert all(reaper.start_of(pid) for pid in pids)
    process.kill()
    process.wait()
    assert eventually(lambda: not any(reaper.start_of(pid) for pid in pids))


def test_a_detached_control_plane_outlives_its_starter_until_its_directory_is_stopped(tmp_path: Path) -> None:
    process, pids = started_elsewhere(tmp_path, "detached")
    assert process.wait() == 0
    assert all(reaper.start_of(pid) for pid in pids)
    assert stop_directory(tmp_path) == ["kube-apiserver", "etcd"]
    assert eventually(lambda: not any(reaper.start_of(pid) for pid in pids))
    assert stop_directory(tmp_path) == []


def test_a_pid_file_of_an_earlier_boot_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "etcd.pid").write_text(f"{os.getpid()} another-start")
    assert stop_directory(tmp_path) == ["etcd"]


def test_a_component_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path)
    plane.apiserver.argv.append("--no-such-flag")
    with pytest.raises(ProcessError, match=r"kube-apiserver ended \(exit code 1\)[\s\S]*unknown flag: --no-such-flag"):
        plane.apiserver.start()


def test_an_unknown_program_is_named() -> None:
    with pytest.raises(StepError, match="unknown program 'docker'; known are etcd, "):
        binaries.program("docker")
