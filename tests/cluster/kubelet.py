"""Play a node for one namespace: run each pod's command as a process under the pod's account, and report its end.

What a kubelet and a container runtime do beside is left out: pods need no node, images are this checkout, mounts are
folders whose paths stand in the arguments in place of the mounts'.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.control_plane import CommandError, ControlPlane
from tests.waiting import PATIENCE_SECONDS

POLL_SECONDS = 0.3
Manifest = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Running:
    """A pod's container: a process that leads a process group."""

    pod: Manifest
    process: subprocess.Popen[bytes]
    folders: list[Path]
    killed: bool = False
    reported: bool = False


class Kubelet:
    """Pods by their uid. ``claims`` holds a folder a PersistentVolumeClaim, which outlives pods. No pod is started
    while ``accepts`` is False, and none of a Job in ``refused``."""

    def __init__(self, plane: ControlPlane, namespace: str, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.claims = directory / "claims"
        self.accepts = True
        self.refused: set[str] = set()
        self.pods: dict[str, Running] = {}
        self._plane = plane
        self._namespace = namespace
        self._environment = environment
        self._stopped = threading.Event()

    def work(self) -> None:
        while not self._stopped.is_set():
            self._sync()
            self._stopped.wait(POLL_SECONDS)

    def stop(self) -> None:
        self._stopped.set()
        for running in self.pods.values():
            _kill(running)

    def running(self, job: str) -> list[Running]:
        """Return the running processes of a Job's pods."""
        return [each for each in self.pods.values() if _job(each.pod) == job and each.process.poll() is None]

    def started(self, job: str) -> int:
        """Return how many pods of a Job were started."""
        return sum(_job(each.pod) == job for each in self.pods.values())

    def hold(self, job: str, rows: int) -> None:
        """Stop the Job while it measures, when it has ``rows`` rows or a few more."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while sum(_lines(running) for running in self.running(job)) < rows:
            assert time.monotonic() < deadline, f"no process of {job} measured {rows} rows"
            time.sleep(0.01)
        (running,) = self.running(job)
        os.killpg(running.process.pid, signal.SIGSTOP)
        os.kill(running.process.pid, signal.SIGCONT)  # what reports goes on

    def lose(self, job: str) -> None:
        """Remove the Job's node: kill its process, and mark its pod as disrupted."""
        for running in self.running(job):
            running.killed = True
            _kill(running)

    def credentials(self, account: str) -> Path:
        folder = self.directory / "credentials" / account
        folder.mkdir(parents=True, exist_ok=True)
        token = self._plane.kubectl("create", "token", account, "-n", self._namespace).stdout.strip()
        (folder / "token").write_text(token)
        (folder / "ca.crt").write_bytes(self._plane.authority.bundle.read_bytes())
        return folder

    def _sync(self) -> None:
        text = self._plane.kubectl("get", "pods", "-n", self._namespace, "-o", "json").stdout
        pods = {pod["metadata"]["uid"]: pod for pod in json.loads(text)["items"]}
        for uid, pod in pods.items():
            accepted = self.accepts and _job(pod) not in self.refused
            if uid not in self.pods and accepted and pod["status"]["phase"] == "Pending":
                self._accept(uid, pod)
        for uid, running in self.pods.items():
            if uid not in pods or pods[uid]["metadata"].get("deletionTimestamp"):
                _kill(running)
            elif running.process.poll() is not None and not running.reported:
                running.reported = True
                self._ended(running)

    def _accept(self, uid: str, pod: Manifest) -> None:
        try:
            self.pods[uid] = self._start(pod)
        except CommandError:
            return  # its account went, and so does the pod: or else it is tried again
        self._report(pod, {"phase": "Running"})

    def _ended(self, running: Running) -> None:
        code = running.process.returncode
        container = running.pod["spec"]["containers"][0]
        terminated = {"terminated": {"exitCode": code if code >= 0 else 128 - code, "reason": "Ended"}}
        status = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
        ended: Manifest = {"phase": "Failed" if code else "Succeeded"}
        ended["containerStatuses"] = [status | {"ready": False, "state": terminated}]
        if running.killed:
            ended["conditions"] = [{"type": "DisruptionTarget", "status": "True", "reason": "NodeGone"}]
        self._report(running.pod, ended)

    def _report(self, pod: Manifest, status: Manifest) -> None:
        named = ("pod", pod["metadata"]["name"], "-n", self._namespace, "--subresource=status")
        self._plane.kubectl("patch", *named, "--type=merge", "-p", json.dumps({"status": status}), check=False)

    def _start(self, pod: Manifest) -> Running:
        container = pod["spec"]["containers"][0]
        folders = {volume["name"]: self._folder(pod, volume) for volume in pod["spec"]["volumes"]}
        mounts = {mount["mountPath"]: folders[mount["name"]] for mount in container["volumeMounts"]}
        python, *command = [_local(word, mounts) for word in (*container["command"], *container["args"])]
        assert python == "python3"
        given = {each["name"]: each["value"] for each in container["env"]} | {"HOME": str(mounts["/tmp"])}
        server = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self._plane.port)}
        path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        with (self.directory / f"{pod['metadata']['name']}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                env=given | server | path | self._environment,
                cwd=mounts["/tmp"],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(pod=pod, process=process, folders=list(folders.values()))

    def _folder(self, pod: Manifest, volume: Manifest) -> Path:
        if "persistentVolumeClaim" in volume:
            folder = self.claims / volume["persistentVolumeClaim"]["claimName"]
        elif volume["name"] == "credentials":
            assert volume["projected"]["sources"][0]["serviceAccountToken"]["path"] == "token"
            return self.credentials(pod["spec"]["serviceAccountName"])
        else:
            folder = self.directory / pod["metadata"]["uid"] / volume["name"]
        folder.mkdir(parents=True, exist_ok=True)
        if "configMap" in volume:
            name = volume["configMap"]["name"]
            found = json.loads(
                self._plane.kubectl("get", "configmap", name, "-n", self._namespace, "-o", "json").stdout
            )
            for item in volume["configMap"]["items"]:
                (folder / item["path"]).write_text(found["data"][item["key"]])
        return folder


@contextmanager
def kubelet(plane: ControlPlane, namespace: str, directory: Path, environment: dict[str, str]) -> Iterator[Kubelet]:
    """Run a node until the end of the block."""
    directory.mkdir(parents=True, exist_ok=True)
    node = Kubelet(plane, namespace, directory, environment)
    thread = threading.Thread(target=node.work, name="kubelet", daemon=True)
    thread.start()
    try:
        yield node
    finally:
        node.stop()
        thread.join(10)


def _job(pod: Manifest) -> str:
    return str(pod["metadata"]["labels"]["batch.kubernetes.io/job-name"])


def _lines(running: Running) -> int:
    journals = (journal for folder in running.folders for journal in folder.rglob("*.jsonl"))
    return sum(journal.read_bytes().count(b"\n") for journal in journals)


def _local(word: str, mounts: dict[str, Path]) -> str:
    for path, folder in mounts.items():
        if path != "/tmp":
            word = word.replace(f"{path}/", f"{folder}/").removesuffix(path) + (
                str(folder) if word.endswith(path) else ""
            )
    return word


def _kill(running: Running) -> None:
    if running.process.poll() is None:
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()
