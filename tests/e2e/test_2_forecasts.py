"""Test that workloads whose pods really run are forecast, and that the API server calls the webhook by its Service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from examples.demo import models
from tests.e2e.cluster import ACCELERATOR, NAMESPACE, Cluster, processes

DIGITS = 0.005  # annotations have three significant ones


@pytest.fixture(scope="module", autouse=True)
def pushed(cluster: Cluster) -> None:
    for reference in (models.OCR, models.VOICE, models.CHAT):
        cluster.push(reference)


def test_an_estimate_of_an_image_in_the_registry_becomes_ready(cluster: Cluster) -> None:
    cluster.apply(*cluster.example("estimate"))
    results = cluster.ready("ocr-detector")["results"]
    assert len(results) == 6
    assert all(row["joulesPerBatch"] > 0 for row in results)


def test_a_deployment_is_forecast_in_the_answer_to_its_admission(cluster: Cluster) -> None:
    reviewed = cluster.reviews()
    cluster.until(cluster.is_reviewed, "the webhook's index has the estimate")
    done = cluster.apply(*cluster.example("deployment"))
    assert "Warning" in done.stderr
    assert "J" in done.stderr
    assert cluster.reviews()["200"] > reviewed.get("200", 0)
    cluster.rolled_out("ocr")
    best = cluster.annotations("ocr")
    rows = cluster.status("iee", "ocr-detector")["results"]
    (row,) = [row for row in rows if row["accelerator"] == best["accelerator"] and row["batchSize"] == 32]
    assert float(best["joules-per-batch"]) == pytest.approx(row["joulesPerBatch"], rel=DIGITS)


def test_a_deployment_that_asks_by_its_annotation_is_forecast_while_its_pod_runs(cluster: Cluster) -> None:
    cluster.apply(*cluster.example("deployment-unknown"))
    cluster.until(lambda: cluster.annotations("voice-activity").get("state") == "Ready", "its forecast")
    cluster.rolled_out("voice-activity")
    notes = cluster.annotations("voice-activity")
    assert notes["accelerator"] == ACCELERATOR, "the forecast is for the node's accelerator"
    assert float(notes["joules-per-batch"]) > 0


def test_an_engine_with_its_model_in_an_image_volume_is_understood(cluster: Cluster) -> None:
    cluster.apply(*cluster.example("deployment-vllm"))
    assert cluster.ready("chat")["understood"]["engine"] == "vLLM"
    cluster.rolled_out("chat")
    (server,) = processes("serve", "/models")
    mounted = json.loads(Path(f"/proc/{server}/root/models/config.json").read_text())
    assert mounted["model_type"] == "llama", "the kubelet has mounted the model"
    noted = lambda: "joules-per-output-token" in cluster.annotations("chat")  # noqa: E731
    cluster.until(noted, "the Deployment has the joules of a token")


def test_a_pod_reads_the_model_from_its_image_volume_and_forecasts_the_same(cluster: Cluster) -> None:
    cluster.apply(_reader(cluster))
    finished = ("wait", "job/reader", "--for=condition=Complete", "--timeout=600s")
    cluster.plane.kubectl(*finished)
    document = json.loads(cluster.plane.kubectl("logs", "job/reader").stdout)
    (result,) = document["results"]
    rows = cluster.status("iee", "ocr-detector")["results"]
    (row,) = [row for row in rows if row["accelerator"] == "NVIDIA-H200" and row["batchSize"] == 32]
    assert result["joules_per_batch"] == pytest.approx(row["joulesPerBatch"], rel=1e-5)


def test_nothing_was_forbidden_to_joulecast(cluster: Cluster) -> None:
    refused = [
        f"{event['user']['username']} {event['verb']} {event['requestURI']}"
        for event in cluster.plane.audit_events()
        if event["user"]["username"].startswith(f"system:serviceaccount:{NAMESPACE}:")
        and event.get("responseStatus", {}).get("code") == 403
    ]
    assert refused == []


def _reader(cluster: Cluster) -> dict[str, Any]:
    """A Job of the operator's image that forecasts the model of its image volume."""
    model = "/image/models/ch_PP-OCRv4_det_infer.onnx"
    options = "--accelerator NVIDIA-H200 --batch-size 32 --input x=batch,3,736,736 --output json"
    container = {
        "name": "reader",
        "image": cluster.image,
        "command": ["joulecast", "estimate", model, *options.split()],
        "volumeMounts": [{"name": "model", "mountPath": "/image", "readOnly": True}],
    }
    volume = {"name": "model", "image": {"reference": f"{cluster.node.registry.host}/{models.OCR}"}}
    pod = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
    metadata = {"name": "reader", "namespace": "default"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": pod}}}
