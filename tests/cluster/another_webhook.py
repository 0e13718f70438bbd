"""Run another mutating webhook, which changes every Deployment of one namespace at each write."""

from __future__ import annotations

import base64
import itertools
import json
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.cluster.patience import LONGEST_REVIEW_SECONDS
from tests.cluster.release import deployment
from tests.harness.certificates import CertificateAuthority
from tests.harness.control_plane import ControlPlane
from tests.waiting import eventually

Operation = dict[str, Any]
Change = Callable[[Mapping[str, Any]], Operation]
"""Returns the operation of a JSON patch by which the webhook changes an object."""

PROBE_IMAGE = "registry.invalid/probe:1"
COUNT = "other.example/updates"
COPIED = "other.example/label-"
BEFORE, AFTER = "a-other", "z-other"  # webhooks are called in the order of their configurations' names


def counting() -> Change:
    """Return a change that writes another number into an annotation at each review."""
    numbers = itertools.count(1)
    return lambda workload: _annotated(annotations(workload) | {COUNT: str(next(numbers))})


def copying(workload: Mapping[str, Any]) -> Operation:
    """Copy the labels into annotations."""
    labels = workload["metadata"].get("labels") or {}
    return _annotated(annotations(workload) | {COPIED + key: value for key, value in labels.items()})


def stripping(workload: Mapping[str, Any]) -> Operation:
    """Remove all annotations that the webhook does not know."""
    known = ("kubectl.kubernetes.io/", "deployment.kubernetes.io/")
    return _annotated({key: value for key, value in annotations(workload).items() if key.startswith(known)})


def pinning(image: str) -> Change:
    """Return a change that replaces the image of the first container."""
    return lambda _: {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}


def annotations(workload: Mapping[str, Any]) -> dict[str, str]:
    return dict(workload["metadata"].get("annotations") or {})


def _annotated(wanted: dict[str, str]) -> Operation:
    return {"op": "add", "path": "/metadata/annotations", "value": wanted}


@contextmanager
def another_webhook(
    plane: ControlPlane, directory: Path, name: str, namespace: str, change: Change, *, conditions: Iterable[str] = ()
) -> Iterator[None]:
    """Run a webhook with ``change`` for the Deployments of ``namespace``, and wait until the API server calls it.

    ``name``: of its configuration, ``BEFORE`` or ``AFTER`` that of joulecast. ``conditions``: its matchConditions.
    """
    authority = CertificateAuthority(directory / f"{name}-{namespace}", "ca")
    pair = authority.server("webhook")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(change)) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://127.0.0.1:{server.server_address[1]}/"
        named = f"{name}-{namespace}"
        bundle = base64.b64encode(authority.bundle.read_bytes()).decode()
        plane.apply(_configuration(named, namespace, url, bundle, conditions))
        try:
            assert eventually(lambda: _is_called(plane, namespace)), "the API server does not call the webhook"
            yield
        finally:
            plane.kubectl("delete", "mutatingwebhookconfiguration", named)
            server.shutdown()


def _is_called(plane: ControlPlane, namespace: str) -> bool:
    """Tell by a dry run whether the API server has the configuration."""
    body = deployment("probe", namespace, image=PROBE_IMAGE, annotations={"probe.example/known": "no"})
    body["metadata"]["labels"] = {"app": "probe"}
    done = plane.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(body))
    found = json.loads(done.stdout)
    others = {key: value for key, value in annotations(found).items() if not key.startswith("joulecast.dev/")}
    image = found["spec"]["template"]["spec"]["containers"][0]["image"]
    return (others, image) != (annotations(body), PROBE_IMAGE)


def _configuration(name: str, namespace: str, url: str, bundle: str, conditions: Iterable[str]) -> dict[str, Any]:
    rule = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "resources": ["deployments"],
        "operations": ["CREATE", "UPDATE"],
    }
    webhook = {
        "name": f"{name}.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": LONGEST_REVIEW_SECONDS,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "matchConditions": [{"name": f"c{number}", "expression": each} for number, each in enumerate(conditions)],
        "clientConfig": {"url": url, "caBundle": bundle},
        "rules": [rule],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }


def _handler(change: Change) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            encoded = base64.b64encode(json.dumps([change(asked["object"])]).encode()).decode()
            response = {"uid": asked["uid"], "allowed": True, "patchType": "JSONPatch", "patch": encoded}
            review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
            body = json.dumps(review).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
