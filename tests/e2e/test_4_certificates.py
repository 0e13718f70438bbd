"""Test that every object is admitted while all of the webhook's certificates are replaced, which the kubelet brings."""

from __future__ import annotations

import base64
from typing import Any

from tests.e2e.cluster import NAMESPACE, Cluster

SECRET = "joulecast-webhook-certificate"
CONFIGURATION = "joulecast-webhook"


def test_all_certificates_are_replaced_while_requests_go_on_and_none_fails(cluster: Cluster) -> None:
    before = _trusted(cluster)
    assert before
    cluster.plane.kubectl("delete", "secret", SECRET, "-n", NAMESPACE)

    def known_by_the_new_one() -> bool:
        # raises if the request is refused
        known = cluster.is_reviewed()
        return known and _trusted(cluster) not in ("", before)

    cluster.until(known_by_the_new_one, "the webhook answers with a certificate of a new authority")
    kept: dict[str, Any] = (cluster.plane.get("secret", SECRET, NAMESPACE) or {})["data"]
    assert base64.b64decode(kept["ca.crt"]).decode() == _trusted(cluster), "no older authority is trusted"
    reasons = cluster.plane.kubectl("get", "events", "-n", NAMESPACE, "-o", "jsonpath={.items[*].reason}").stdout
    assert "CertificateMade" in reasons.split()


def _trusted(cluster: Cluster) -> str:
    found = cluster.plane.get("mutatingwebhookconfiguration", CONFIGURATION) or {}
    bundle = found["webhooks"][0]["clientConfig"].get("caBundle", "")
    return base64.b64decode(bundle).decode()
