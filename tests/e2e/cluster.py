"""The cluster of the scenario, and what its tests ask of it again and again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from examples.demo import models
from tests.e2e import images
from tests.harness.control_plane import ControlPlane
from tests.harness.environment import ROOT
from tests.harness.installation import CHART, RELEASE
from tests.harness.node.kubelet import NODE
from tests.harness.node.node import Node
from tests.waiting import eventually

NAMESPACE = "joulecast"  # as the examples name it
ACCELERATOR = "NVIDIA-H100-80GB-HBM3"  # what the simulated card `hopper` is
GPUS = 8
PATIENCE_SECONDS = 600.0  # the kubelet waits longer after each crash of a container
HELM_SECONDS = 600
SIMULATED = {"name": "JOULECAST_ALLOW_SIMULATED_PROFILES", "value": "1"}
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A node with its control plane, and the folder of image layouts that its registry was given."""

    node: Node
    layouts: Path

    @property
    def plane(self) -> ControlPlane:
        return self.node.plane

    def push(self, reference: str, source: str = "") -> str:
        """Push the image `source`, or the one of this name, as `reference`, and return the name to pull it by."""
        repository, _, tag = reference.partition(":")
        self.node.registry.push(images.layout(self.layouts, source or reference), repository, tag)
        return f"{self.node.registry.host}/{reference}"

    @property
    def repository(self) -> Manifest:
        """The chart's value `image` without its tag."""
        return {"repository": f"{self.node.registry.host}/joulecast"}

    @property
    def image(self) -> str:
        """The operator's image."""
        return f"{self.node.registry.host}/{images.OPERATOR}"

    def push_server(self, name: str, model: bytes) -> str:
        """Push an image with a model, whose process only waits, and return the name to pull it by."""
        images.write_server(self.layouts, f"models/{name}:1", {"models/model.onnx": model, "salt": name.encode()})
        return self.push(f"models/{name}:1")

    def deployment(self, name: str, image: str) -> Manifest:
        """A Deployment that asks for a forecast of its image."""
        labels = {"app": name}
        notes = {"joulecast.dev/model": image, "joulecast.dev/batch-size": "32"}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "server", "image": image}]}}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "default", "annotations": notes},
            "spec": {"selector": {"matchLabels": labels}, "template": pod},
        }

    def is_reviewed(self) -> bool:
        """Whether the webhook forecasts a new Deployment, which is not made. Raises `CommandError` if it is refused."""
        probe = self.deployment("probe", f"{self.node.registry.host}/{models.OCR}")
        del probe["metadata"]["annotations"]
        done = self.plane.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(probe))
        return "joulecast.dev/joules-per-batch" in done.stdout

    def reviews(self) -> dict[str, float]:
        """The API server's count of answers of the webhook, by HTTP status."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(self.plane.kubectl("get", "--raw", "/metrics").stdout):
            for sample in family.samples:
                if (
                    sample.name == "apiserver_admission_webhook_request_total"
                    and sample.labels["name"] == "annotate.joulecast.dev"
                ):
                    found[sample.labels["code"]] = found.get(sample.labels["code"], 0) + sample.value
        return found

    def helm(self, *arguments: str, **values: Any) -> None:
        """Run Helm with the release's values, changed by `values`, and wait for its pods."""
        chosen = json.dumps(self._values() | values)
        options = ("-n", NAMESPACE, "--wait", f"--timeout={HELM_SECONDS}s", "--values", "-")
        self.plane.helm(*arguments, RELEASE, CHART, *options, stdin=chosen)

    def apply(self, *documents: Manifest) -> CompletedProcess[str]:
        """`kubectl apply`, whose standard error has the webhook's warnings."""
        return self.plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def example(self, name: str) -> list[Manifest]:
        """The manifests of an example, with the registry of this cluster in them."""
        text = (ROOT / "examples" / f"{name}.yaml").read_text()
        return list(yaml.safe_load_all(text.replace("REGISTRY", self.node.registry.host)))

    def annotations(self, deployment: str) -> dict[str, str]:
        """joulecast's annotations of a Deployment, without their prefix."""
        metadata = (self.plane.get("deployment", deployment) or {"metadata": {}})["metadata"]
        notes = metadata.get("annotations") or {}
        return {
            key.removeprefix("joulecast.dev/"): value
            for key, value in notes.items()
            if key.startswith("joulecast.dev/")
        }

    def status(self, kind: str, name: str, namespace: str = "default") -> Manifest:
        status: Manifest = (self.plane.get(kind, name, namespace) or {}).get("status") or {}
        return status

    def ready(self, estimate: str) -> Manifest:
        """Wait until an estimate is Ready, and return its status."""

        def said() -> bool:
            conditions = self.status("iee", estimate).get("conditions") or []
            return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

        self.until(said, f"the estimate {estimate} is Ready")
        return self.status("iee", estimate)

    def rolled_out(self, deployment: str, namespace: str = "default") -> None:
        """Wait until all pods of a Deployment run."""
        timeout = f"--timeout={PATIENCE_SECONDS:.0f}s"
        self.plane.kubectl("rollout", "status", f"deployment/{deployment}", "-n", namespace, timeout)

    def until(self, condition: Callable[[], object], what: str) -> None:
        assert eventually(condition, PATIENCE_SECONDS), f"not within {PATIENCE_SECONDS:.0f} s: {what}\n{self._sight()}"

    def _values(self) -> Manifest:
        host = self.node.registry.host
        arguments = [f"--insecure-registries={host}", "--calibration-arguments=--simulate,hopper"]
        return {
            "image": self.repository | {"tag": images.OPERATOR.rpartition(":")[2]},
            "controller": {"permittedHosts": [host], "extraArgs": arguments, "extraEnv": [SIMULATED]},
            "calibration": {"image": f"{host}/{images.CALIBRATION}"},
        }

    def _sight(self) -> str:
        """What somebody would look at first."""
        pods = self.plane.kubectl("get", "pods,iee,ecal", "-A", "-o", "wide", check=False).stdout
        events = self.plane.kubectl("get", "events", "-A", "--sort-by=.lastTimestamp", check=False).stdout
        return "\n".join([pods, *events.splitlines()[-20:]])


def with_gpus(plane: ControlPlane) -> None:
    """Give the node GPUs as feature discovery and device plugin do: a label, and a resource of its status.

    A kubelet that is started again forgets the resource, as there is no device plugin.
    """
    plane.kubectl("label", "node", NODE, f"nvidia.com/gpu.product={ACCELERATOR}", "--overwrite")
    capacity = json.dumps({"status": {"capacity": {"nvidia.com/gpu": str(GPUS)}}})
    plane.kubectl("patch", "node", NODE, "--subresource=status", "--type=merge", "-p", capacity)
    allocatable = rf"--for=jsonpath={{.status.allocatable.nvidia\.com/gpu}}={GPUS}"
    plane.kubectl("wait", f"node/{NODE}", allocatable, f"--timeout={PATIENCE_SECONDS:.0f}s")


def processes(*words: str) -> list[int]:
    """The pids whose command line has all `words`; only the scenario's own processes can be seen."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if all(word.encode() in line for word in words):
            found.append(int(folder.name))
    return found


def kill(*words: str) -> list[int]:
    """End the processes with all `words` in their command line like a crash, and return their pids."""
    found = processes(*words)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return found
