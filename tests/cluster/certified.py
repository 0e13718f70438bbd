"""Install the chart with the controller's own certificate, and run replicas of the webhook behind its Service.

There are no nodes: the Service is an ExternalName of this machine's loopback, a thread passes connections on to the
replicas in turn, and another one brings the Secret into their folders as the kubelet does.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joulecast_operator.cluster.client import Cluster
from joulecast_operator.controllers.certificates.events import CertificateEvents
from joulecast_operator.controllers.certificates.webhook_certificate import WebhookCertificate
from joulecast_operator.settings import Settings, load
from tests.cluster.patience import be_patient
from tests.cluster.release import Release
from tests.harness import http
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import CHART, NAMESPACE, RELEASE, Installation
from tests.harness.processes import Process
from tests.unit.joulecast_operator.samples.certificates import Events
from tests.waiting import eventually

SECRET = "joulecast-webhook-certificate"
CONFIGURATION = "joulecast-webhook"
HOST = f"joulecast-webhook.{NAMESPACE}.svc"
PARTS = {"ca.crt", "ca.key", "tls.crt", "tls.key"}
LOOKS_OFTEN = "import joulecast_operator.serving.certificate as certificate\ncertificate.CHECK_SECONDS = 0.2"
SECRET_PATH = f"/api/v1/namespaces/{NAMESPACE}/secrets/{SECRET}"
CONFIGURATION_PATH = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{CONFIGURATION}"


class Certified:
    """The chart without any value, on a control plane."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.release = Release(plane)

    def helm(self, *options: str) -> None:
        """`helm upgrade --install` as a user runs it."""
        self.plane.helm("upgrade", "--install", RELEASE, CHART, "-n", NAMESPACE, "--create-namespace", *options)

    def get(self, path: str) -> Any:
        """Return the object at a path, None if there is none; without a kubectl, because it is asked often."""
        request = urllib.request.Request(self.plane.url + path)
        try:
            with http.send(request, tls=self.plane.admin_tls) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def data(self) -> dict[str, str]:
        """Return what the Secret holds."""
        held = (self.get(SECRET_PATH) or {}).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in held.items()}

    def bundle(self) -> str:
        """Return what the API server trusts."""
        webhooks = self.get(CONFIGURATION_PATH)["webhooks"]
        (bundle,) = {each["clientConfig"].get("caBundle", "") for each in webhooks}
        return base64.b64decode(bundle).decode()

    def is_in_order(self) -> bool:
        data = self.data()
        return data.keys() >= PARTS and self.bundle() == data["ca.crt"]

    def clear(self) -> None:
        """Empty the Secret and take the bundle away, as after an install without a controller."""
        empty = {"metadata": {"name": SECRET, "namespace": NAMESPACE}}
        self.plane.kubectl("delete", "secret", SECRET, "-n", NAMESPACE, "--ignore-not-found")
        self.plane.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Secret"} | empty))
        paths = (f"/webhooks/{number}/clientConfig/caBundle" for number in range(2))
        operations = [{"op": "add", "path": path, "value": ""} for path in paths]
        self.plane.kubectl(
            "patch", "mutatingwebhookconfiguration", CONFIGURATION, "--type=json", "-p", json.dumps(operations)
        )

    def settings(self) -> Settings:
        """Return the settings that the chart gives the controller."""
        return load(self._arguments(), {"JOULECAST_NAMESPACE": NAMESPACE})

    def controller(self, *options: str) -> Process:
        """Return the real controller with the chart's own arguments about the certificate, not yet started."""
        chosen = [each for each in self._arguments() if each.startswith("--webhook-")]
        return self.release.installation._process("controller", *chosen, *options)

    def keeper(self, cluster: Cluster, events: Events, now: float) -> tuple[WebhookCertificate, list[float]]:
        """Return what keeps the certificate, in this process, with a clock that the test sets."""
        clock, settings = [now], self.settings()
        posted = CertificateEvents(
            index=events,  # type: ignore[arg-type]
            writer=events,  # type: ignore[arg-type]
            namespace=NAMESPACE,
            deployment=settings.webhook_deployment,
        )
        return (
            WebhookCertificate(cluster=cluster, settings=settings, events=posted, now=lambda: clock[0]),
            clock,
        )

    def route(self, port: int) -> None:
        """Lead the Service to this machine, and wait for reviews as long as Kubernetes allows."""
        outside = {"spec": {"type": "ExternalName", "externalName": "127.0.0.1", "clusterIP": None, "clusterIPs": None}}
        patch = ("patch", "service", CONFIGURATION, "-n", NAMESPACE, "--type=merge", "-p", json.dumps(outside))
        self.plane.kubectl(*patch)
        step = {"op": "replace", "path": "/webhooks/0/clientConfig/service/port", "value": port}
        self.plane.kubectl(
            "patch", "mutatingwebhookconfiguration", CONFIGURATION, "--type=json", "-p", json.dumps([step])
        )
        be_patient(self.plane)

    def _arguments(self) -> list[str]:
        found = self.plane.get("deployment", "joulecast-controller", NAMESPACE)
        assert found is not None
        arguments: list[str] = found["spec"]["template"]["spec"]["containers"][0]["args"]
        return arguments[1:]


class Replica:
    """One webhook process with a folder into which its certificate is mounted."""

    def __init__(self, certified: Certified, name: str) -> None:
        self._certified = certified
        self.folder = certified.plane.directory / name
        self.mounted = self.folder / "mounted"
        self.installation = Installation(certified.plane, self.folder)
        self.process = self.installation.webhook_process(
            "--webhook-await-certificate=true",
            f"--webhook-certfile={self.mounted}/tls.crt",
            f"--webhook-keyfile={self.mounted}/tls.key",
            prelude=LOOKS_OFTEN,
        )
        self.port = int(self.installation.webhook_address.rpartition(":")[2].partition("/")[0])
        self._content: dict[str, str] = {}

    def mount(self, data: dict[str, str]) -> None:
        """Change the files like the kubelet: write a new folder, then switch the link to it."""
        content = {key: data[key] for key in ("tls.crt", "tls.key") if key in data}
        if content == self._content or len(content) < 2:
            return
        fresh = self.folder / f"data-{time.monotonic_ns()}"
        fresh.mkdir()
        for key, value in content.items():
            (fresh / key).write_text(value)
        link = self.folder / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(fresh)
        old = self.mounted.resolve() if self.mounted.exists() else None
        link.replace(self.mounted)
        if old is not None:
            shutil.rmtree(old)
        self._content = content

    def readiness(self) -> str:
        """Return the page that the kubelet's probe reads; "" if nothing answers."""
        try:
            with http.send(urllib.request.Request(f"{self.installation.webhook_url}/readyz")) as page:
                return str(page.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return ""

    def served(self) -> str:
        """Return the certificate that a new connection is shown; "" if there is none."""
        try:
            return ssl.get_server_certificate(("127.0.0.1", self.port), timeout=http.TIMEOUT_SECONDS)
        except OSError:
            return ""

    def review(self, bundle: str) -> None:
        """Send a review over a new connection, which trusts ``bundle`` and expects the Service's name."""
        context = ssl.create_default_context(cadata=bundle)
        body = b'{"request": {"uid": "1"}}'
        head = f"POST /admit HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=http.TIMEOUT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as connection,
        ):
            connection.sendall(head.encode() + body)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert b'"allowed": true' in answer, answer


@contextmanager
def passed_on(*ports: int) -> Iterator[int]:
    """Pass connections to a port, which is yielded, on to ``ports`` in turn, as a Service does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        turns = itertools.cycle(ports)

        def accept() -> None:
            while True:
                try:
                    incoming, _ = server.accept()
                except OSError:
                    return
                try:
                    outgoing = socket.create_connection(("127.0.0.1", next(turns)))
                except OSError:
                    incoming.close()
                    continue
                for ends in ((incoming, outgoing), (outgoing, incoming)):
                    threading.Thread(target=_pump, args=ends, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while content := source.recv(65536):
            sink.sendall(content)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        sink.close()


@contextmanager
def mounted(certified: Certified, *replicas: Replica) -> Iterator[None]:
    """Bring what the Secret holds into the folders of ``replicas`` all the time."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.1):
            data = certified.data()
            for replica in replicas:
                replica.mount(data)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def served(certified: Certified, directory: Path) -> Iterator[tuple[Replica, Replica]]:
    """Run two replicas behind the Service; they wait for their certificate."""
    replicas = Replica(certified, "first"), Replica(certified, "second")
    with passed_on(*(replica.port for replica in replicas)) as port:
        certified.route(port)
        with replicas[0].process.start(wait=False), replicas[1].process.start(wait=False):
            for replica in replicas:
                assert eventually(replica.readiness), (
                    f"it does not serve its health:\n{replica.process.log.read_text()}"
                )
            with mounted(certified, *replicas):
                yield replicas
