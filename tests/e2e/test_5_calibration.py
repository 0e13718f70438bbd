"""Test that the kubelet runs a calibration's Job, here with a simulated card, and that its profile prices forecasts."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.cluster import ACCELERATOR, NAMESPACE, Cluster

NAME = "whole-way"
PROFILE = "calibrated-nvidia-h100-80gb-hbm3-torch-eager"


def test_a_calibration_is_run_by_the_kubelet_and_its_profile_prices_forecasts(cluster: Cluster) -> None:
    before = float(cluster.annotations("voice-activity")["joules-per-batch"])
    cluster.apply(_calibration())
    ended = lambda: cluster.status("ecal", NAME, NAMESPACE).get("phase") in ("Done", "Failed")  # noqa: E731
    cluster.until(ended, "the calibration ends")
    status = cluster.status("ecal", NAME, NAMESPACE)
    assert status["phase"] == "Done", json.dumps(status, indent=1)
    assert status["quality"]["simulated"] is True
    assert status["profile"]["taken"] is True, json.dumps(status, indent=1)
    job = cluster.status("job", f"{NAME}-1", NAMESPACE)
    assert job["succeeded"] == 1
    assert cluster.plane.get("aep", PROFILE) is not None
    measured = lambda: cluster.annotations("voice-activity").get("origin") == "measured"  # noqa: E731
    cluster.until(measured, "a Deployment of the node's accelerator is priced by the new profile")
    assert float(cluster.annotations("voice-activity")["joules-per-batch"]) != before


def _calibration() -> dict[str, Any]:
    # a simulated card needs no quiet host, and the node may have two cores
    amounts = {"requests": {"cpu": "100m", "memory": "256Mi"}}
    spec = {"accelerator": ACCELERATOR, "quick": True, "resources": amounts}
    metadata = {"name": NAME, "namespace": NAMESPACE}
    return {"apiVersion": "joulecast.dev/v1alpha1", "kind": "EnergyCalibration", "metadata": metadata, "spec": spec}
