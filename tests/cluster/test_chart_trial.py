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

from tests.harness.control_plane import ControlPlane
from tests.harness.installation import NAMESPACE, Installation
from tests.waiting import PATIENCE_SECONDS, eventually

NAME = "joulecast-test"
HOOKS = "serviceaccount,role,rolebinding,configmap,pod"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAME}"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane.start(tmp_path_factory.mktemp("trial"), controller_manager=False) as started:
        yield started


@pytest.fixture(scope="module", params=["helm3", "helm"], ids=["helm-3", "helm-4"])
def installed(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Installation]:
    """The chart by Helm 3 or Helm 4, and its controller; the webhook has no part in this."""
    directory = plane.directory / f"installed-{request.param}"
    installation = Installation(plane, directory, helm=request.param)
    installation.install("--take-ownership")
    installation.start_controller()
    yield installation
    installation.stop()
    installation.uninstall()


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
        if not eventually(lambda: self.plane.get("pod", NAME, NAMESPACE)):
            return
        pod = self.plane.get("pod", NAME, NAMESPACE)
        assert pod is not None
        (container,) = pod["spec"]["containers"]
        account = self.plane.service_account_kubeconfig(pod["spec"]["serviceAccountName"], namespace=NAMESPACE)
        done = subprocess.run(
            [sys.executable, "-m", "joulecast_operator", *container["args"]],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
            cwd=self._directory,
            env=os.environ | environment_of(pod) | {"KUBECONFIG": str(account)} | self._environment,
        )
        self.output = done.stdout + done.stderr
        status = json.dumps({"status": {"phase": "Failed" if done.returncode else "Succeeded"}})
        self.plane.kubectl("patch", "pod", NAME, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", status)


def environment_of(pod: dict[str, Any]) -> dict[str, str]:
    """Return the environment of the pod's container, with the fields of the pod that it asks for."""
    found = {}
    for each in pod["spec"]["containers"][0]["env"]:
        path = each.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
        found[each["name"]] = (
            each["value"] if "value" in each else reduce(lambda part, key: part[key], path.split("."), pod)
        )
    return found


def hooks(plane: ControlPlane) -> list[str]:
    selector = "app.kubernetes.io/component=test"
    return plane.kubectl("get", HOOKS, "-n", NAMESPACE, "-l", selector, "-o", "name").stdout.split()


def command_of(notes: str) -> list[str]:
    """Return the first command that NOTES.txt says, without the program."""
    found = re.search(r"^  helm (.+)$", notes, re.MULTILINE)
    assert found, notes
    return shlex.split(found[1])


def test_what_the_notes_say_next_shows_a_forecast_and_leaves_nothing(
    plane: ControlPlane, installed: Installation, tmp_path: Path
) -> None:
    command = command_of(plane.helm("get", "notes", "joulecast", "-n", NAMESPACE, program=installed.helm).stdout)
    assert command[0] == "test"
    before = len(list(plane.audit_events()))
    with Node(plane, tmp_path) as node:
        done = plane.helm(*command, program=installed.helm)
    assert re.search(r"Phase:\s+Succeeded", done.stdout)
    assert re.search(r"^joules: +[0-9.e+]+ J/request$", node.output, re.MULTILINE), node.output
    assert re.search(r"^interval: +\S+–\S+ J$", node.output, re.MULTILINE), node.output
    assert hooks(plane) == []
    assert plane.get("iee", NAME, NAMESPACE) is None
    asked = [event for event in list(plane.audit_events())[before:] if event["user"]["username"] == ACCOUNT]
    assert {event["verb"] for event in asked} == {"create", "get", "delete"}
    assert {event["objectRef"]["resource"] for event in asked} == {"inferenceenergyestimates"}
    assert {event["responseStatus"]["code"] for event in asked} <= {200, 201, 404}


def test_without_a_controller_it_fails_and_says_where_to_look(
    plane: ControlPlane, installed: Installation, tmp_path: Path
) -> None:
    installed.controller.kill()
    try:
        with Node(plane, tmp_path, JOULECAST_TRIAL_SECONDS="1") as node:
            done = plane.helm("test", "joulecast", "-n", NAMESPACE, check=False, program=installed.helm)
    finally:
        installed.controller.start()
    assert done.returncode != 0
    assert "there is no forecast after 1 s (the controller has not answered)" in node.output
    assert hooks(plane) == [f"pod/{NAME}"], "the pod stays, to be looked at, and its rights go"
    assert plane.get("iee", NAME, NAMESPACE) is None


def test_the_accounts_rights_end_at_its_own_estimate(plane: ControlPlane, installed: Installation) -> None:
    manifests = plane.helm("get", "hooks", "joulecast", "-n", NAMESPACE, program=installed.helm).stdout
    plane.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=manifests)
    own = plane.kubectl("auth", "can-i", "get", f"iee/{NAME}", "-n", NAMESPACE, f"--as={ACCOUNT}").stdout.strip()
    assert own == "yes"
    for right in (
        ("get", "iee/other", "-n", NAMESPACE),
        ("delete", "iee/other", "-n", NAMESPACE),
        ("list", "iee", "-n", NAMESPACE),
        ("patch", f"iee/{NAME}", "-n", NAMESPACE),
        ("create", "iee", "-n", "default"),
        ("get", "configmap", "-n", NAMESPACE),
        ("get", "secret", "-n", NAMESPACE),
        ("create", "pods", "-n", NAMESPACE),
    ):
        said = plane.kubectl("auth", "can-i", *right, f"--as={ACCOUNT}", check=False).stdout.strip()
        assert said == "no", right
    plane.kubectl("delete", "-n", NAMESPACE, "-f", "-", "--wait=false", stdin=manifests, check=False)
