"""`helm test` gets a forecast from the installed controller, by Helm 3 and Helm 4; its pod is played by a process."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from tests.harness import binaries
from tests.harness.control_plane import COMMAND_SECONDS, ControlPlane
from tests.harness.installation import CHART, NAMESPACE, Installation
from tests.waiting import PATIENCE_SECONDS, eventually

NAME = "joulecast-test"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAME}"
KEPT = "serviceaccounts,roles,rolebindings,configmaps"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane.start(tmp_path_factory.mktemp("trial")) as started:
        yield started


@pytest.fixture(params=["helm3", "helm"], ids=["helm-3", "helm-4"])
def helm(plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    """Return the program by which the chart is installed, as nobody has used it."""
    program = str(request.param)
    plane.helm("uninstall", "joulecast", "-n", NAMESPACE, "--no-hooks", "--ignore-not-found")
    plane.helm(
        "install", "joulecast", CHART, "-n", NAMESPACE, "--create-namespace", "--take-ownership", program=program
    )
    return program


class Installed(Installation):
    """The chart and its controller; the webhook has no part in this. ``watched``: the one namespace, if not all."""

    watched: str = ""

    @property
    def asks_in(self) -> str:
        return self.watched or NAMESPACE


@pytest.fixture(
    scope="module",
    params=[("helm3", "shop"), ("helm", "")],
    ids=["helm-3-restricted", "helm-4"],
)
def installed(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Installed]:
    helm, watched = request.param
    directory = plane.directory / f"installed-{helm}-{watched}"
    values = [f"watchNamespaces={{{watched}}}", "statusOnly=true"] if watched else []
    environment = {"JOULECAST_NAMESPACES": watched, "JOULECAST_STATUS_ONLY": "true"} if watched else {}
    plane.kubectl("create", "namespace", "shop", check=False)  # another installation's
    installation = Installed(plane, directory, helm=helm, values=values, environment=environment)
    installation.watched = watched
    installation.install("--take-ownership")
    installation.start_controller()
    yield installation
    installation.stop()
    installation.uninstall()
    assert left(plane, "test", "all,roles,rolebindings,serviceaccounts,configmaps") == []


class Node:
    """Runs the pod of `helm test` as a process under the pod's own account, and reports how it ended."""

    def __init__(self, plane: ControlPlane, directory: Path, **environment: str) -> None:
        self.plane = plane
        self.output = ""
        self._directory = directory
        self._environment = environment
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Node:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(PATIENCE_SECONDS)

    def _work(self) -> None:
        if eventually(lambda: pods(self.plane, "status.phase=Pending")):
            (pod,) = pods(self.plane, "status.phase=Pending")
            done = self._run(pod)
            self.output = done.stdout + done.stderr
            report(self.plane, pod, "Failed" if done.returncode else "Succeeded")

    def _run(self, pod: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        (container,) = pod["spec"]["containers"]
        account = self.plane.service_account_kubeconfig(pod["spec"]["serviceAccountName"], namespace=NAMESPACE)
        return subprocess.run(
            [sys.executable, "-m", "joulecast_operator", *container["args"]],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
            cwd=self._directory,
            env=os.environ | environment_of(pod) | {"KUBECONFIG": str(account)} | self._environment,
        )


def pods(plane: ControlPlane, fields: str) -> list[dict[str, Any]]:
    """Return the pods of `helm test`."""
    chosen = ("-n", NAMESPACE, "-l", f"batch.kubernetes.io/job-name={NAME}", f"--field-selector={fields}")
    found: list[dict[str, Any]] = json.loads(plane.kubectl("get", "pods", *chosen, "-o", "json").stdout)["items"]
    return found


def report(plane: ControlPlane, pod: dict[str, Any], phase: str) -> None:
    status = json.dumps({"status": {"phase": phase}})
    named = ("pod", pod["metadata"]["name"], "-n", NAMESPACE)
    plane.kubectl("patch", *named, "--subresource=status", "--type=merge", "-p", status)


def environment_of(pod: dict[str, Any]) -> dict[str, str]:
    """Return the environment of the pod's container, with the fields of the pod that it asks for."""
    found = {}
    for each in pod["spec"]["containers"][0]["env"]:
        path = each.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
        found[each["name"]] = (
            each["value"] if "value" in each else reduce(lambda part, key: part[key], path.split("."), pod)
        )
    return found


def left(plane: ControlPlane, component: str, kinds: str) -> list[str]:
    """Return the names of the objects of a part of the release, in any namespace."""
    chosen = ("-A", "-l", f"app.kubernetes.io/component={component}")
    return plane.kubectl("get", kinds, *chosen, "-o", "name").stdout.split()


def command_of(notes: str) -> list[str]:
    """Return the first command that NOTES.txt says, without the program."""
    found = re.search(r"^  helm (.+)$", notes, re.MULTILINE)
    assert found, notes
    return shlex.split(found[1])


def test_what_the_notes_say_next_shows_a_forecast_and_leaves_nothing(
    plane: ControlPlane, installed: Installed, tmp_path: Path
) -> None:
    command = command_of(plane.helm("get", "notes", "joulecast", "-n", NAMESPACE, program=installed.helm).stdout)
    assert command[0] == "test"
    before = len(list(plane.audit_events()))
    with Node(plane, tmp_path) as node:
        done = plane.helm(*command, program=installed.helm)
    assert re.search(r"Phase:\s+Succeeded", done.stdout)
    assert re.search(r"^joules: +[0-9.e+]+ J/request$", node.output, re.MULTILINE), node.output
    assert re.search(r"^interval: +\S+–\S+ J$", node.output, re.MULTILINE), node.output
    assert eventually(lambda: left(plane, "test", "jobs,pods") == [])
    assert plane.get("iee", NAME, installed.asks_in) is None
    asked = [event for event in list(plane.audit_events())[before:] if event["user"]["username"] == ACCOUNT]
    assert {event["verb"] for event in asked} == {"create", "get", "delete"}
    assert {event["objectRef"]["resource"] for event in asked} == {"configmaps", "inferenceenergyestimates"}
    assert {event["responseStatus"]["code"] for event in asked} <= {200, 201, 404}


def test_without_a_controller_it_fails_says_where_to_look_and_leaves_nothing(
    plane: ControlPlane, installed: Installed, tmp_path: Path
) -> None:
    installed.controller.kill()
    try:
        with Node(plane, tmp_path, JOULECAST_TRIAL_SECONDS="1") as node:
            done = plane.helm("test", "joulecast", "-n", NAMESPACE, check=False, program=installed.helm)
    finally:
        installed.controller.start()
    assert done.returncode != 0
    assert "there is no forecast after 1 s (the controller has not answered)" in node.output
    assert eventually(lambda: left(plane, "test", "jobs,pods") == [])
    assert plane.get("iee", NAME, installed.asks_in) is None


def test_the_accounts_rights_end_at_its_own_estimate(plane: ControlPlane, installed: Installed) -> None:
    where = installed.asks_in
    own = plane.kubectl("auth", "can-i", "get", f"iee/{NAME}", "-n", where, f"--as={ACCOUNT}").stdout.strip()
    assert own == "yes"
    for right in (
        ("get", "iee/other", "-n", where),
        ("delete", "iee/other", "-n", where),
        ("list", "iee", "-n", where),
        ("patch", f"iee/{NAME}", "-n", where),
        ("create", "iee", "-n", "default"),
        ("get", "configmap", "-n", where),
        ("get", "secret", "-n", where),
        ("create", "pods", "-n", where),
    ):
        said = plane.kubectl("auth", "can-i", *right, f"--as={ACCOUNT}", check=False).stdout.strip()
        assert said == "no", right


def test_a_trial_that_is_ended_takes_its_estimate_away(
    plane: ControlPlane, installed: Installed, tmp_path: Path
) -> None:
    """As when Helm waits no longer and has the pod deleted."""
    installed.controller.kill()
    job = installed._command("trial", "test", "trial", f"--trial-name={NAME}", f"--trial-namespace={installed.asks_in}")
    output = tmp_path / "output"
    try:
        with output.open("w") as file:
            running = subprocess.Popen(job.argv, env=job.environment, stdout=file, stderr=file)
        assert eventually(lambda: plane.get("iee", NAME, installed.asks_in)), output.read_text()
        running.terminate()
        assert running.wait(PATIENCE_SECONDS) == 1
    finally:
        installed.controller.start()
    assert "the trial was ended before there was a forecast" in output.read_text()
    assert plane.get("iee", NAME, installed.asks_in) is None


def stopped(plane: ControlPlane, helm: str, *command: str, when: Any) -> None:
    """Run Helm until ``when`` is true, and end it as nobody can prevent."""
    running = subprocess.Popen([str(binaries.program(helm)), *command], env=plane.environment())
    try:
        assert eventually(when)
    finally:
        running.kill()
        running.wait()


def test_an_uninstallation_after_a_test_that_was_broken_off_leaves_nothing(plane: ControlPlane, helm: str) -> None:
    stopped(plane, helm, "test", "joulecast", "-n", NAMESPACE, when=lambda: pods(plane, "status.phase=Pending"))
    plane.helm("uninstall", "joulecast", "-n", NAMESPACE, "--no-hooks", program=helm)
    assert left(plane, "test", KEPT) == []
    assert left(plane, "test", "jobs") == [f"job.batch/{NAME}"], "Helm does not know of it any more"
    job = plane.get("job", NAME, NAMESPACE)
    assert job is not None
    assert job["spec"]["activeDeadlineSeconds"] < 300, "its pod ends"
    assert job["spec"]["ttlSecondsAfterFinished"] == 300
    sooner = json.dumps({"spec": {"activeDeadlineSeconds": 1, "ttlSecondsAfterFinished": 1}})
    plane.kubectl("patch", "job", NAME, "-n", NAMESPACE, "--type=merge", "-p", sooner)
    assert eventually(lambda: left(plane, "test", "jobs,pods") == [])


def test_an_uninstallation_that_fails_can_be_repeated_without_its_job_and_leaves_nothing(
    plane: ControlPlane, helm: str
) -> None:
    failing = threading.Thread(target=overtaken, args=(plane,))
    failing.start()
    done = plane.helm("uninstall", "joulecast", "-n", NAMESPACE, check=False, program=helm)
    failing.join(COMMAND_SECONDS)
    assert done.returncode != 0
    assert left(plane, "controller", "deployments") == ["deployment.apps/joulecast-controller"]
    assert eventually(lambda: left(plane, "uninstall", "jobs,pods") == [])
    plane.helm("uninstall", "joulecast", "-n", NAMESPACE, "--no-hooks", program=helm)
    assert left(plane, "uninstall", "serviceaccounts,jobs") == []


def overtaken(plane: ControlPlane) -> None:
    """Have the Job of an uninstallation fail; its pod finds no node here."""
    assert eventually(lambda: left(plane, "uninstall", "jobs"))
    sooner = json.dumps({"spec": {"activeDeadlineSeconds": 1}})
    plane.kubectl("patch", "job", "joulecast-uninstall", "-n", NAMESPACE, "--type=merge", "-p", sooner)
