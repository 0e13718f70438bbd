"""Run a control plane with joulecast installed, for tests of the controller, and registries that misbehave."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests import images, small_models
from tests.harness import http
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import NAMESPACE, Installation
from tests.harness.registry import Registry
from tests.waiting import PATIENCE_SECONDS, eventually

ACCELERATORS = ["NVIDIA-H200", "NVIDIA-A100-SXM4-80GB"]
CONTROLLER = f"system:serviceaccount:{NAMESPACE}:joulecast-controller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A control plane, a registry and joulecast, for tests of the controller."""

    plane: ControlPlane
    registry: Registry
    installation: Installation
    model: bytes

    def push(self, repository: str, tag: str = "1", *, salt: str = "", registry: Registry | None = None) -> str:
        """Push an image with the small classifier and return its digest, which depends on ``salt``."""
        return self.push_files({"models/classifier.onnx": self.model}, repository, tag, salt=salt, registry=registry)

    def push_files(
        self,
        files: dict[str, bytes],
        repository: str,
        tag: str = "1",
        *,
        salt: str = "",
        registry: Registry | None = None,
    ) -> str:
        image = images.build([files, {"etc/salt": salt.encode()}])
        folder = self.installation.directory / "layouts" / image.digest.replace(":", "-")
        return (registry or self.registry).push(images.write_layout(image, folder), repository, tag)

    def image(self, repository: str, tag: str = "1") -> str:
        return f"{self.registry.host}/{repository}:{tag}"

    def status(self, name: str, namespace: str) -> dict[str, Any]:
        found = self.plane.get("iee", name, namespace)
        status: dict[str, Any] = (found or {}).get("status") or {}
        return status

    def condition(self, name: str, namespace: str, kind: str = "Ready") -> dict[str, Any]:
        conditions = self.status(name, namespace).get("conditions") or []
        return next((found for found in conditions if found["type"] == kind), {})

    def annotations(self, name: str, namespace: str) -> dict[str, str]:
        found = self.plane.get("deployment", name, namespace)
        assert found is not None
        notes = found["metadata"].get("annotations") or {}
        return {
            key.removeprefix("joulecast.dev/"): value
            for key, value in notes.items()
            if key.startswith("joulecast.dev/")
        }

    def until(self, condition: Callable[[], object], what: str) -> None:
        assert eventually(condition), f"not within {PATIENCE_SECONDS:.0f} s: {what}\n{self._log()}"

    def until_ready(self, name: str, namespace: str) -> dict[str, Any]:
        """Wait until the estimate is Ready for its current generation, and return its status."""
        ready = partial(self._is_ready, name, namespace)
        assert eventually(ready), f"{name} is not Ready: {self.status(name, namespace)}\n{self._log()}"
        return self.status(name, namespace)

    def until_reason(self, name: str, namespace: str, reason: str, kind: str = "Ready") -> dict[str, Any]:
        """Wait until the condition has ``reason``, and return it."""
        said = lambda: self.condition(name, namespace, kind).get("reason") == reason  # noqa: E731
        assert eventually(said), f"{name}: {self.status(name, namespace)}\n{self._log()}"
        return self.condition(name, namespace, kind)

    def forbidden(self) -> list[str]:
        """Return the controller's requests that were forbidden."""
        return [
            f"{event['verb']} {event['requestURI']}"
            for event in self.plane.audit_events()
            if event["user"]["username"] == CONTROLLER and event.get("responseStatus", {}).get("code") == 403
        ]

    def answers(self, code: int) -> int:
        """Return how many of the controller's requests were answered with ``code``."""
        events = (event for event in self.plane.audit_events() if event["user"]["username"] == CONTROLLER)
        return sum(event.get("responseStatus", {}).get("code") == code for event in events)

    def _is_ready(self, name: str, namespace: str) -> bool:
        found = self.plane.get("iee", name, namespace) or {}
        ready = self.condition(name, namespace)
        return ready.get("status") == "True" and ready["observedGeneration"] == found["metadata"]["generation"]

    def _log(self) -> str:
        return self.installation.controller.log.read_text()[-4000:]


@contextmanager
def controlled(directory: Path, *, insecure_registries: list[str] | None = None, **options: Any) -> Iterator[Cluster]:
    """Run a separate control plane with an open registry and a joulecast that retries quickly."""
    with ControlPlane.start(directory / "plane") as plane, Registry.start(directory / "registry") as registry:
        hosts = [registry.host, *(insecure_registries or [])]
        flags = ["--retry-seconds=0.5", "--sweep-seconds=5", *options.pop("flags", [])]
        model = small_models.classifier(directory / "classifier.onnx").read_bytes()
        with Installation.start(
            plane, directory / "joulecast", insecure_registries=hosts, options=flags, **options
        ) as installation:
            yield Cluster(plane=plane, registry=registry, installation=installation, model=model)


def estimate(name: str, namespace: str, image: str | None = None, **spec: Any) -> dict[str, Any]:
    """Return an estimate for two accelerators, of ``image`` unless ``spec`` names another model."""
    body = {"workload": {"batchSizes": [1, 32]}, "accelerators": {"names": ACCELERATORS}} | spec
    if image is not None:
        body["model"] = {"image": image, **body.get("model", {})}
    return {
        "apiVersion": "joulecast.dev/v1alpha1",
        "kind": "InferenceEnergyEstimate",
        "metadata": {"name": name, "namespace": namespace},
        "spec": body,
    }


@contextmanager
def silent_registry() -> Iterator[str]:
    """Run a host that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        for connection in held:
            connection.close()
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def redirecting_registry(target: str) -> Iterator[str]:
    """Run a host that redirects every request."""

    class Redirect(BaseHTTPRequestHandler):
        def _redirect(self) -> None:
            self.send_response(307)
            self.send_header("Location", target + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = _redirect  # noqa: N815  # http.server's names

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def metrics(url: str) -> str:
    with http.send(urllib.request.Request(f"{url}/metrics")) as page:
        text: str = page.read().decode()
    return text


def merge(plane: ControlPlane, kind: str, name: str, namespace: str, patch: dict[str, Any]) -> None:
    plane.kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(patch))
