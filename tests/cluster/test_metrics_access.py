"""Test with a real API server that only accounts that may get /metrics can read it."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from joulecast_operator.serving.metrics_access import REFUSED_SECONDS
from tests.cluster.release import Release
from tests.harness import http
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import NAMESPACE, Installation
from tests.harness.prometheus import Prometheus
from tests.waiting import eventually

ROLES = ("controller", "webhook")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with ControlPlane.start(tmp_path_factory.mktemp("access"), controller_manager=False) as plane:
        release = Release(plane)
        release.installation = Installation(plane, plane.directory / "joulecast", secure_metrics=True)
        release.install()
        plane.kubectl("create", "namespace", "monitoring")
        for name in ("prometheus", "guest"):
            plane.kubectl("create", "serviceaccount", name, "-n", "monitoring")
        bind(plane, "prometheus")
        release.installation.start_processes()
        with release.installation as running:
            yield running
        assert list(release.forbidden()) == []


def bind(plane: ControlPlane, account: str) -> None:
    """The rights are given as docs/kubernetes.md says."""
    role, subject = "--clusterrole=joulecast-metrics-reader", f"--serviceaccount=monitoring:{account}"
    plane.kubectl("create", "clusterrolebinding", f"{account}-joulecast", role, subject)


def token(plane: ControlPlane, account: str) -> str:
    return plane.kubectl("create", "token", account, "-n", "monitoring").stdout.strip()


def scrape(installation: Installation, role: str, *, token: str | None = None) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"https://{installation.secure_address(role)}/metrics", headers=headers)
    try:
        with http.send(request, tls=http.unchecked_context()) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("role", ROLES)
def test_an_account_that_may_get_the_metrics_does(installation: Installation, role: str) -> None:
    status, page = scrape(installation, role, token=token(installation.plane, "prometheus"))
    assert status == 200
    assert "process_resident_memory_bytes" in page


@pytest.mark.parametrize("role", ROLES)
def test_nobody_else_does(installation: Installation, role: str) -> None:
    plane = installation.plane
    status, text = scrape(installation, role)
    assert (status, "Bearer TOKEN" in text) == (401, True)
    assert scrape(installation, role, token="x.y.z")[0] == 401
    status, text = scrape(installation, role, token=token(plane, "guest"))
    assert status == 403
    assert "system:serviceaccount:monitoring:guest may not get /metrics" in text
    assert "joulecast_" not in text


def test_a_right_that_is_given_counts_soon(installation: Installation) -> None:
    plane = installation.plane
    plane.kubectl("create", "serviceaccount", "late", "-n", "monitoring")
    late = token(plane, "late")
    assert scrape(installation, "controller", token=late)[0] == 403
    bind(plane, "late")
    allowed = lambda: scrape(installation, "controller", token=late)[0] == 200  # noqa: E731
    assert eventually(allowed), f"a refusal stands for longer than {REFUSED_SECONDS} s"


@pytest.mark.parametrize("role", ROLES)
def test_health_stays_open_and_shows_no_metrics(installation: Installation, role: str) -> None:
    url = installation.controller_url if role == "controller" else installation.webhook_url
    assert http.answers(f"{url}/healthz")
    assert http.answers(f"{url}/readyz")
    assert http.answers(f"{url}/metrics", statuses=(404,))


def test_prometheus_scrapes_both_with_its_accounts_token(installation: Installation, tmp_path: Path) -> None:
    targets = [installation.secure_address(role) for role in ROLES]
    with Prometheus.start(tmp_path / "bound", token=token(installation.plane, "prometheus")) as prometheus:
        prometheus.scrape(*targets)
        assert eventually(lambda: prometheus.query("joulecast_profiler_isolated"))
        assert eventually(lambda: prometheus.query("joulecast_admission_refused_requests_total"))


def test_the_chart_makes_an_account_that_may_scrape(installation: Installation) -> None:
    plane = installation.plane
    options = ("--set", "metrics.podMonitor.enabled=true", "--set", "webhook.enabled=false")
    only = ("--show-only", "templates/metrics-rbac.yaml")
    rendered = plane.helm("template", "joulecast", "charts/joulecast", "-n", NAMESPACE, *options, *only).stdout
    plane.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=rendered)
    made = plane.kubectl("create", "token", "joulecast-scraper", "-n", NAMESPACE).stdout.strip()
    assert scrape(installation, "webhook", token=made)[0] == 200
