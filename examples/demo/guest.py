"""``make demo CLUSTER=1``: joulecast as a guest in the cluster of the user's KUBECONFIG, which it leaves as it was.

The controller and a registry run on this machine; in the cluster are joulecast's CustomResourceDefinitions and what
guest.yaml says, each with a label of this demo. There is no webhook, so nothing is said when a Deployment is admitted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from examples.demo import scenes
from examples.demo.stage import OURS, Stage
from examples.demo.terminal import answer, command, console, heading, say
from examples.demo.users_cluster import KINDS, LABEL, GuestError, cluster_name, kubectl
from joulecast_operator.api.crds import definitions
from tests.harness import http
from tests.harness.ports import free_port
from tests.harness.processes import Process
from tests.harness.registry import SmallRegistry

MANIFEST = Path(__file__).with_name("guest.yaml")
REMOVAL_SECONDS = 120  # a namespace is empty only when the cluster's own controllers have deleted what is in it
LIFETIME = "2h"  # of the controller's token


def programs() -> tuple[str, ...]:
    """What must be built: the user's own kubectl is taken, for it knows the user's cluster."""
    return ("small-registry",) if shutil.which("kubectl") else ("small-registry", "kubectl")


class Guest(Stage):
    """joulecast in a namespace of its own in the cluster of KUBECONFIG's current context."""

    def __init__(self, folder: Path, registry: SmallRegistry) -> None:
        super().__init__(folder, registry)
        self.id = uuid.uuid4().hex[:8]
        self.namespace = f"joulecast-demo-{self.id}"
        self.typed = f"kubectl -n {self.namespace}"

    def kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return kubectl("-n", self.namespace, *arguments)

    def manifest(self, name: str) -> Path:
        """The example's, with Deployments of no replicas: nothing is scheduled, and no image is pulled."""
        path = super().manifest(name)
        path.write_text(path.read_text().replace("  replicas: 1\n", "  replicas: 0\n"))
        return path

    def install(self) -> None:
        """Create the definitions and what guest.yaml says. Raises RuntimeError if something of that name is there."""
        documents = map(self._labelled, definitions().values())
        text = MANIFEST.read_text().replace("NAME", self.namespace).replace("{joulecast.dev/demo: ID}", self._label())
        answer(kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(documents)))
        answer(kubectl("create", "-f", "-", stdin=text))
        selected = ("customresourcedefinitions", "-l", f"{LABEL}={self.id}")
        kubectl("wait", "--for=condition=Established", *selected, f"--timeout={REMOVAL_SECONDS}s")

    def controller(self) -> Process:
        """The controller as a process of this machine, with the rights of the ServiceAccount; not yet started."""
        port, health = free_port(), free_port()
        options = [
            f"--metrics-port={port}",
            f"--health-port={health}",
            "--metrics-insecure=true",
            "--calibration=false",
            f"--cache-dir={self.folder / 'cache'}",
            f"--insecure-registries={self.registry.host}",
        ]
        own = {
            "KUBECONFIG": str(self._kubeconfig()),
            "JOULECAST_NAMESPACE": self.namespace,
            "JOULECAST_NAMESPACES": self.namespace,
            "JOULECAST_PROFILE_STATUS": "false",
        }
        return Process(
            "controller",
            [sys.executable, "-m", "joulecast_operator", "controller", *options],
            directory=self.folder,
            environment={**os.environ, **own},
            is_ready=lambda: http.answers(f"http://127.0.0.1:{health}/readyz"),
        )

    def removals(self) -> Iterator[list[str]]:
        """The arguments of kubectl that remove all that was created, in their order."""
        for kind in KINDS:
            yield ["delete", kind, "-l", f"{LABEL}={self.id}"]

    def _label(self) -> str:
        return json.dumps({LABEL: self.id})

    def _labelled(self, definition: dict[str, Any]) -> dict[str, Any]:
        return definition | {"metadata": definition["metadata"] | {"labels": {LABEL: self.id}}}

    def _kubeconfig(self) -> Path:
        """The user's kubeconfig of the current context, with the ServiceAccount's token as the only credentials."""
        view = json.loads(kubectl("config", "view", "--minify", "--flatten", "--raw", "-o", "json").stdout)
        token = self.kubectl("create", "token", "controller", f"--duration={LIFETIME}").stdout.strip()
        view["users"] = [{"name": "controller", "user": {"token": token}}]
        view["contexts"][0]["context"] |= {"user": "controller", "namespace": self.namespace}
        path = self.folder / "controller.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(view))
        return path


def play(folder: Path, layouts: dict[str, Path]) -> None:
    """All scenes; removes everything afterwards, also after an error or an interrupt.

    Raises GuestError if the cluster cannot have a guest, or if something could not be removed.
    """
    heading("joulecast as a guest in your cluster, without admission")
    console.print(f"the cluster is {cluster_name()}; all that is created there is removed at the end", soft_wrap=True)
    with ExitStack() as stack:
        guest = Guest(folder, stack.enter_context(SmallRegistry.start(folder / "registry")))
        stack.enter_context(removed_at_last(guest))
        guest.push(layouts)
        guest.install()
        controller = guest.controller()
        stack.callback(controller.stop)
        controller.start()
        for scene in (scenes.estimate, deployed, scenes.configuration, scenes.layers):
            scene(guest)
    heading("Done; the cluster is as it was")


def deployed(guest: Stage) -> None:
    heading("Deploy that image: without a webhook the forecast comes a moment later")
    say("It has no replicas here, so that no pod is made.")
    guest.apply("deployment.yaml")
    scenes.wait_until(lambda: guest.annotations("ocr").get(OURS + "state") == "Ready", "the forecast of ocr")
    guest.show_annotations("ocr")


@contextmanager
def removed_at_last(guest: Guest) -> Iterator[None]:
    """Remove what the guest created, however the block ends. Raises GuestError for what is left after a good end."""
    try:
        yield
    except BaseException:
        if left := remove(guest):
            console.print(f"error: {left}", style="red", markup=False, soft_wrap=True)
        raise
    if left := remove(guest):
        raise GuestError(left)


def remove(guest: Guest) -> str:
    """Remove what the guest created; returns what is left and how to remove it, empty if nothing is."""
    heading("Clean up")
    left = list(guest.removals())
    with suppress(KeyboardInterrupt):  # a second Ctrl-C: whoever waits no longer learns what is still there
        for arguments in list(left):
            if removed(arguments):
                left.remove(arguments)
    commands = "; ".join(f"kubectl {' '.join(arguments)}" for arguments in left)
    if not left:
        return ""
    return f"not all that the demo created could be removed from {cluster_name()}; remove it with: {commands}"


def removed(arguments: Sequence[str]) -> bool:
    """Delete by these arguments of kubectl, in sight; tells whether all is gone."""
    command(f"kubectl {' '.join(arguments)}")
    try:
        answer(kubectl(*arguments, "--ignore-not-found", f"--timeout={REMOVAL_SECONDS}s"))
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        console.print(str(error), style="yellow", markup=False, soft_wrap=True)
        return False
    return True
