"""Test that the webhook answers a real API server while other clients try to keep it from that."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from joulecast_operator.serving.admission_server import REVIEW_BYTES
from tests.cluster.release import Release, deployment
from tests.harness import http
from tests.harness.control_plane import ControlPlane

IMAGE = "registry.invalid/detector:1"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    with ControlPlane.start(tmp_path_factory.mktemp("door"), controller_manager=False) as plane:
        found = Release(plane)
        found.install()
        yield found


@pytest.fixture
def shop(release: Release) -> str:
    """Create a namespace with a forecast."""
    name = f"shop-{uuid4().hex[:8]}"
    release.plane.kubectl("create", "namespace", name)
    release.estimate("detector", name, IMAGE, 0.42)
    return name


def client_checks(release: Release, name: str) -> tuple[str, str]:
    """Return options that require the API server's client certificate, of that name."""
    authority = release.plane.admission_authority.bundle
    return f"--webhook-client-ca-file={authority}", f"--webhook-client-names={name}"


def post(release: Release, body: bytes) -> tuple[int, str]:
    """Send a review like any pod: to the Service, without a client certificate."""
    installation = release.installation
    request = urllib.request.Request(installation.webhook_address, data=body, method="POST")
    try:
        with http.send(request, tls=http.client_context(installation.authority.bundle)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def refusals(release: Release) -> dict[str, float]:
    with http.send(urllib.request.Request(f"{release.installation.webhook_url}/metrics")) as page:
        families = list(text_string_to_metric_families(page.read().decode()))
    name = "joulecast_admission_refused_requests_total"
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {sample.labels["reason"]: sample.value for sample in samples if sample.value}


def test_the_api_server_is_heard_by_its_client_certificate_and_nobody_else(release: Release, shop: str) -> None:
    with release.webhook("", *client_checks(release, "kube-apiserver")).start():
        release.wait_known(shop, "0.42", IMAGE)
        release.plane.apply(deployment("web", shop))
        assert release.annotations("web", shop)["joules-per-batch"] == "0.42"
        review = {"request": {"uid": "1", "operation": "CREATE", "namespace": shop, "object": deployment("x", shop)}}
        status, text = post(release, json.dumps(review).encode())
        assert status == 403
        assert "0.42" not in text
        assert refusals(release) == {"certificate": 1}


def test_a_certificate_of_another_name_is_not_heard(release: Release, shop: str) -> None:
    with release.webhook("", *client_checks(release, "somebody-else")).start():
        release.plane.apply(deployment("web", shop))  # goes through, as the webhook can only help
        assert release.annotations("web", shop) == {}
        assert refusals(release)["certificate"] >= 1


def test_large_bodies_of_a_pod_keep_the_api_server_from_nothing(release: Release, shop: str) -> None:
    """They come from the API server's own address, whose other reviews are still answered."""
    with release.webhook().start():
        release.wait_known(shop, "0.42", IMAGE)
        body, ended = b" " * (REVIEW_BYTES + 1), threading.Event()

        def flood() -> None:
            while not ended.is_set():
                try:
                    post(release, body)
                except OSError:  # told before all of it was sent
                    continue

        threads = [threading.Thread(target=flood) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number in range(5):
                release.plane.apply(deployment(f"web-{number}", shop))
                assert release.annotations(f"web-{number}", shop)["joules-per-batch"] == "0.42"
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        assert refusals(release)["size"] > 0
