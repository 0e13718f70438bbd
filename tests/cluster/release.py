"""Install the chart on a real control plane, and run its webhook as a process under the chart's ServiceAccount."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from joulecast_operator.api.kinds import ANNOTATED
from tests.cluster.patience import be_patient
from tests.harness import http
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import NAMESPACE, Installation
from tests.harness.processes import Process
from tests.waiting import eventually


class Release:
    """An installation without a controller, whose writes would disturb these tests."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.installation = Installation(plane, plane.directory / "joulecast")

    def install(self, *options: str) -> None:
        self.installation.install(*options)
        served = lambda: self.plane.kubectl("get", "iee,aep", "-A", check=False).returncode == 0  # noqa: E731
        assert eventually(served), "the API server does not serve the chart's kinds"
        be_patient(self.plane)

    def webhook(self, prelude: str = "", *options: str) -> Process:
        """Return the webhook with further ``options``, not yet started; it runs the Python code ``prelude`` first."""
        return self.installation.webhook_process(*options, prelude=prelude)

    def send(
        self, part: str, method: str, path: str, body: object, *, kind: str = "merge-patch+json"
    ) -> tuple[int, str]:
        """Send one request as the ServiceAccount of ``part``, return status and body; kubectl GETs before a PATCH."""
        user = yaml.safe_load(self.installation.account(part).read_text())["users"][0]["user"]
        headers = {"Authorization": f"Bearer {user['token']}", "Content-Type": f"application/{kind}"}
        if method in ("POST", "PUT", "DELETE"):
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.plane.url + path, data=data, method=method, headers=headers)
        try:
            with http.send(request, tls=http.client_context(self.plane.authority.bundle)) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def wait_known(self, namespace: str, joules: str, image: str) -> None:
        """Wait until a dry run shows that the webhook's index has the estimate."""
        probe = text(deployment("probe", namespace, image=image))

        def known() -> bool:
            done = self.plane.kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=probe)
            notes: dict[str, str] = json.loads(done.stdout)["metadata"].get("annotations", {})
            return notes.get(f"{PREFIX}joules-per-batch") == joules

        assert eventually(known), f"the webhook's index did not learn of {joules} J"

    def decisions(self) -> dict[str, float]:
        """Return how many Deployments the webhook has decided about, by decision."""
        with http.send(urllib.request.Request(f"{self.installation.webhook_url}/metrics")) as page:
            families = list(text_string_to_metric_families(page.read().decode()))
        name = "joulecast_admission_requests_total"
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return {sample.labels["decision"]: sample.value for sample in samples}

    def calls(self) -> dict[str, float]:
        """Return the API server's count of calls of the webhook by HTTP status; "503" for those without connection."""
        page = self.plane.kubectl("get", "--raw", "/metrics").stdout
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                ours = sample.labels.get("name") == "annotate.joulecast.dev"
                if ours and sample.name == "apiserver_admission_webhook_request_total":
                    found[sample.labels["code"]] = found.get(sample.labels["code"], 0) + sample.value
        return found

    def forbidden(self) -> Iterator[str]:
        """Return the requests of the chart's ServiceAccounts that were forbidden so far."""
        for event in self.plane.audit_events():
            status = event.get("responseStatus", {}).get("code")
            if event["user"]["username"].startswith(f"system:serviceaccount:{NAMESPACE}:") and status == 403:
                yield f"{event['user']['username']} {event['verb']} {event['requestURI']}"

    def estimate(
        self,
        name: str,
        namespace: str,
        image: str,
        joules: float,
        *,
        at: str = "2026-01-01T00:00:00Z",
        precision: str = "default",
        runtime: str = "torch-eager",
    ) -> None:
        """Create an estimate with the status that the controller writes when it is Ready."""
        kind = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "InferenceEnergyEstimate"}
        metadata = {"name": name, "namespace": namespace}
        workload = {"batchSizes": [32], "precision": precision}
        spec = {"model": {"image": image}, "workload": workload, "runtime": runtime}
        self.plane.apply(kind | {"metadata": metadata, "spec": spec})
        generation = self.plane.get("iee", name, namespace)["metadata"]["generation"]
        status = ready_status(joules, generation=generation, at=at)
        for row in status["results"]:
            row |= {"precision": precision, "runtime": runtime}
        self.put_status(name, namespace, status)

    def put_status(self, name: str, namespace: str, status: dict[str, Any]) -> None:
        """Write the status of an estimate like the controller."""
        self.plane.kubectl(
            "patch",
            "iee",
            name,
            "-n",
            namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            json.dumps({"status": status}),
        )

    def annotations(self, name: str, namespace: str) -> dict[str, str]:
        """Return joulecast's annotations of a Deployment, without the prefix."""
        found = self.plane.get("deployment", name, namespace)
        assert found is not None, f"there is no Deployment {namespace}/{name}"
        notes = found["metadata"].get("annotations", {})
        return {key.removeprefix(PREFIX): value for key, value in notes.items() if key.startswith(PREFIX)}


PREFIX = "joulecast.dev/"


def ready_status(joules: float, *, generation: int = 1, at: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    """Return a status with a forecast for an H200 at batch size 32 and a higher one for an A100."""
    return {
        "observedGeneration": generation,
        "modelDigest": "sha256:" + "ab" * 32,
        "estimatedAt": at,
        "results": [_row("NVIDIA-H200", joules), _row("NVIDIA-A100-SXM4-80GB", 2 * joules)],
        "summary": {
            "model": "detector:1",
            "accelerator": "NVIDIA-H200",
            "batchSize": "32",
            "joules": str(joules),
            "interval": f"{0.9 * joules}–{1.1 * joules}",
            "coverage": "100 %",
            "origin": "public",
        },
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Estimated",
                "message": "",
                "observedGeneration": generation,
                "lastTransitionTime": at,
            }
        ],
    }


def _row(accelerator: str, joules: float) -> dict[str, Any]:
    return {
        "accelerator": accelerator,
        "runtime": "torch-eager",
        "precision": "default",
        "batchSize": 32,
        "joulesPerBatch": joules,
        "joulesPerBatchLower": 0.9 * joules,
        "joulesPerBatchUpper": 1.1 * joules,
        "intervalLevel": 0.9,
        "latencySeconds": 0.0123,
        "averagePowerWatts": 350.0,
        "coverage": 1.0,
        "origin": "public",
    }


def deployment(
    name: str, namespace: str, *, image: str = "registry.invalid/detector:1", annotations: dict[str, str] | None = None
) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if annotations:
        metadata["annotations"] = annotations
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def workload(
    kind: str,
    name: str,
    namespace: str,
    *,
    image: str = "registry.invalid/detector:1",
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return a workload of any kind that is annotated; a CronJob never runs within a test."""
    found = deployment(name, namespace, image=image, annotations=annotations)
    found |= {"apiVersion": ANNOTATED[kind].api_version, "kind": kind}
    if kind == "DaemonSet":
        del found["spec"]["replicas"]
    if kind in ("Job", "CronJob"):
        pod = found["spec"]["template"]["spec"] | {"restartPolicy": "Never"}
        found["spec"] = {"template": {"spec": pod}}
    if kind == "CronJob":
        found["spec"] = {"schedule": "0 0 29 2 *", "jobTemplate": {"spec": found["spec"]}}
    return found


def text(*documents: dict[str, Any]) -> str:
    return yaml.safe_dump_all(documents)
