"""Look at a Deployment and at the controller's writes to it until nothing more happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from joulecast_operator.api.annotations import JOULES, STATE
from tests.cluster.controlled import CONTROLLER, Cluster, estimate, metrics
from tests.harness import http

PASSES = 3
REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A namespace with an estimate of ``image`` that is Ready, whose forecast is ``joules``."""

    cluster: Cluster
    namespace: str
    image: str
    joules: str

    @classmethod
    def open(cls, cluster: Cluster, namespace: str) -> Shop:
        image = cluster.image("served")
        cluster.plane.create_namespace(namespace)
        cluster.plane.apply(estimate("served", namespace, image, workload={"batchSizes": [8]}))
        summary = cluster.until_ready("served", namespace)["summary"]
        joules = summary["joules"].removesuffix(" J/batch")
        return cls(cluster=cluster, namespace=namespace, image=image, joules=joules)

    def deployment(self, name: str = "web") -> dict[str, Any]:
        """Return a Deployment as the API server has it; without a kubectl, because it is asked often."""
        return self._got(f"{self._path}/{name}")

    def annotations(self, name: str = "web") -> dict[str, str]:
        return self.deployment(name)["metadata"].get("annotations") or {}

    def is_right(self, name: str = "web") -> bool:
        """Tell whether the Deployment has the forecast of its estimate."""
        found = self.annotations(name)
        return (found.get(STATE), found.get(JOULES)) == ("Ready", self.joules)

    def until_right(self, name: str = "web") -> None:
        self.cluster.until(lambda: self.is_right(name), f"{name} has its forecast")

    def until_rolled_out(self, name: str = "web") -> None:
        """Wait until Kubernetes' own controllers are done with the Deployment, as far as without nodes."""
        self.cluster.until(lambda: self._is_rolled_out(name), f"{name} is rolled out")

    def until_settled(self, name: str = "web") -> str:
        """Wait until nobody has anything more to do with the Deployment; return its version."""
        self.until_rolled_out(name)
        self.passed()
        self.until_rolled_out(name)
        return self.version(name)

    def version(self, name: str = "web") -> str:
        version: str = self.deployment(name)["metadata"]["resourceVersion"]
        return version

    def writes(self, name: str = "web") -> int:
        """Return how often the controller has sent a write of the Deployment, refused ones included."""
        path = f"{self._path}/{name}"
        events = self.cluster.plane.audit_events()
        ours = (event for event in events if event["user"]["username"] == CONTROLLER and event["verb"] == "patch")
        return sum(event["requestURI"].partition("?")[0] == path for event in ours)

    def passed(self, passes: int = PASSES) -> None:
        """Wait until the controller has looked at all Deployments so often."""
        goal = _looks(self.cluster) + passes * self._deployments()
        self.cluster.until(lambda: _looks(self.cluster) >= goal, f"{passes} sweeps")

    def events(self, reason: str) -> list[str]:
        """Return the messages of the events with ``reason``."""
        found = self._got(f"/api/v1/namespaces/{self.namespace}/events")["items"]
        return [event["message"] for event in found if event["reason"] == reason]

    @property
    def _path(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments"

    def _is_rolled_out(self, name: str) -> bool:
        found = self.deployment(name)
        numbered = REVISION in (found["metadata"].get("annotations") or {})
        return numbered and found["metadata"]["generation"] == found.get("status", {}).get("observedGeneration")

    def _deployments(self) -> int:
        return len(self._got("/apis/apps/v1/deployments")["items"])

    def _got(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = http.get_json(self.cluster.plane.url + path, tls=self.cluster.plane.admin_tls)
        return found


def _looks(cluster: Cluster) -> float:
    """Return how often the controller has reconciled a Deployment."""
    page, name = metrics(cluster.installation.controller_url), "joulecast_reconcile_duration_seconds_count"
    samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
    return sum(each.value for each in samples if each.name == name and each.labels["kind"] == "Deployment")
