"""Let the API server wait longer for reviews than the chart has it, because the machine may be busy."""

from __future__ import annotations

import json

from tests.harness.control_plane import ControlPlane

LONGEST_REVIEW_SECONDS = 30  # the most that Kubernetes allows: the chart's two are for users


def be_patient(plane: ControlPlane, configuration: str = "joulecast-webhook") -> None:
    """Lengthen the wait for every webhook of a MutatingWebhookConfiguration."""
    found = plane.get("mutatingwebhookconfiguration", configuration)
    assert found is not None, f"there is no MutatingWebhookConfiguration {configuration}"
    steps = [
        {"op": "replace", "path": f"/webhooks/{number}/timeoutSeconds", "value": LONGEST_REVIEW_SECONDS}
        for number in range(len(found["webhooks"]))
    ]
    plane.kubectl("patch", "mutatingwebhookconfiguration", configuration, "--type=json", "-p", json.dumps(steps))
