"""Test the webhook under the chart's token: what it writes at admission, and that it never blocks a workload."""

from __future__ import annotations

import copy
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from joulecast_operator.api import annotations as notes
from joulecast_operator.api.kinds import ANNOTATED
from tests.cluster.release import PREFIX, Release, deployment, ready_status, text, workload
from tests.harness.control_plane import ControlPlane
from tests.harness.http import TIMEOUT_SECONDS
from tests.harness.installation import NAMESPACE
from tests.harness.processes import Process
from tests.waiting import eventually

IMAGE = "registry.invalid/detector:1"
OTHER = "registry.invalid/segmenter:2"
BUG = "import joulecast_operator.webhook as webhook\ndef decide(*_): raise KeyError('bug')\nwebhook.decide = decide"

LOOKS_OFTEN = "import joulecast_operator.serving.certificate as certificate\ncertificate.CHECK_SECONDS = 0.2"

DEAF = """
import asyncio
import joulecast_operator.cluster.watches as watches
import joulecast_operator.webhook as webhook
async def hear_nothing(*_): await asyncio.Event().wait()
watches.Watches._follow = hear_nothing
watches.COMPARE_SECONDS = 1.0
webhook.STALE_SECONDS = 4.0
"""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Run a separate control plane, because a webhook and a policy concern a whole cluster."""
    with ControlPlane.start(tmp_path_factory.mktemp("admission")) as plane:
        found = Release(plane)
        found.install()
        yield found
        assert list(found.forbidden()) == []


@pytest.fixture(scope="module")
def running(release: Release) -> Iterator[Process]:
    with release.webhook() as process:
        yield process


@pytest.fixture
def webhook(release: Release, running: Process) -> Release:
    """Return the release with its webhook running, also if an earlier test stopped it."""
    if not running.is_running:
        running.start()
    return release


@pytest.fixture
def shop(webhook: Release) -> str:
    """Create a namespace with an estimate of IMAGE, and wait until the webhook knows it."""
    namespace = webhook.plane.create_namespace(f"shop-{uuid4().hex[:8]}")
    webhook.estimate("detector", namespace, IMAGE, 0.42)
    webhook.wait_known(namespace, "0.42", IMAGE)
    return namespace


FORECAST = {
    "joules-per-batch": "0.42",
    "joules-per-batch-lower": "0.378",
    "joules-per-batch-upper": "0.462",
    "watts": "350",
    "accelerator": "NVIDIA-H200",
    "coverage": "1",
    "origin": "public",
    "model-digest": "sha256:" + "ab" * 32,
    "estimated-at": "2026-01-01T00:00:00Z",
    "estimated-by": "detector",
    "estimated-batch-size": "32",
    "estimated-precision": "default",
    "estimated-runtime": "torch-eager",
    "state": "Ready",
}


def test_client_side_apply_is_annotated_and_warns(webhook: Release, shop: str) -> None:
    done = webhook.plane.kubectl("apply", "-f", "-", stdin=text(deployment("web", shop)))
    warning = "Warning: 0.42 J per batch of 32 on NVIDIA-H200 (0.378–0.462, public), 50 % below NVIDIA-A100-SXM4-80GB"
    assert warning + '; by the estimate "detector", precision default, torch-eager' in done.stderr
    assert webhook.annotations("web", shop) == FORECAST


def test_server_side_apply_is_annotated(webhook: Release, shop: str) -> None:
    for _ in range(2):  # the second finds our annotations with no owner
        webhook.plane.kubectl("apply", "--server-side", "-f", "-", stdin=text(deployment("web", shop)))
        assert webhook.annotations("web", shop) == FORECAST


def test_replace_keeps_the_outputs_that_the_manifest_lacks(webhook: Release, shop: str) -> None:
    webhook.plane.apply(deployment("web", shop))
    changed = deployment("web", shop)
    changed["spec"]["replicas"] = 2
    webhook.plane.replace(changed)
    assert webhook.annotations("web", shop) == FORECAST


def test_another_image_has_its_own_forecast(webhook: Release, shop: str) -> None:
    webhook.estimate("segmenter", shop, OTHER, 7.0)
    webhook.wait_known(shop, "7", OTHER)
    webhook.plane.apply(deployment("web", shop))
    webhook.plane.apply(deployment("web", shop, image=OTHER))
    assert webhook.annotations("web", shop)["joules-per-batch"] == "7"
    webhook.plane.apply(deployment("web", shop, image="registry.invalid/nothing:1"))
    assert webhook.annotations("web", shop) == {}


def test_rollout_undo_brings_no_stale_outputs_back(webhook: Release, shop: str) -> None:
    plane = webhook.plane
    plane.apply(deployment("web", shop))
    assert eventually(lambda: _replica_sets(plane, shop) == 1)
    plane.apply(deployment("web", shop, image="registry.invalid/nothing:1"))
    assert eventually(lambda: _replica_sets(plane, shop) == 2)
    assert webhook.annotations("web", shop) == {}
    webhook.estimate("detector", shop, IMAGE, 0.5, at="2026-02-01T00:00:00Z")
    webhook.wait_known(shop, "0.5", IMAGE)
    plane.kubectl("rollout", "undo", "deployment/web", "-n", shop)
    found = webhook.annotations("web", shop)
    assert (found["joules-per-batch"], found["estimated-at"]) == ("0.5", "2026-02-01T00:00:00Z")


def _replica_sets(plane: ControlPlane, namespace: str) -> int:
    return len(plane.kubectl("get", "replicasets", "-n", namespace, "-o", "name").stdout.split())


@pytest.mark.parametrize("image", [IMAGE, "registry.invalid/nothing:1"])
def test_forged_outputs_go(webhook: Release, shop: str, image: str) -> None:
    forged = {PREFIX + key: "0.001" for key in (*FORECAST, "reason")} | {"team": "vision"}
    expected = FORECAST if image == IMAGE else {}
    webhook.plane.apply(deployment("web", shop, image=image, annotations=forged))
    assert webhook.annotations("web", shop) == expected
    webhook.plane.kubectl("annotate", "deployment/web", "-n", shop, "--overwrite", f"{notes.JOULES}=0.001")
    assert webhook.annotations("web", shop) == expected
    assert webhook.plane.get("deployment", "web", shop)["metadata"]["annotations"]["team"] == "vision"


def test_a_dry_run_warns_and_writes_nothing(webhook: Release, shop: str) -> None:
    done = webhook.plane.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text(deployment("web", shop)))
    assert "Warning: 0.42 J per batch of 32" in done.stderr
    assert webhook.plane.get("deployment", "web", shop) is None


def test_of_two_estimates_of_an_image_the_one_that_is_run_speaks(webhook: Release, shop: str) -> None:
    """The alphabetically first result has another precision and runtime."""
    webhook.estimate("a-half", shop, IMAGE, 0.1, precision="fp16", runtime="onnxruntime-cuda")
    webhook.estimate("later", shop, OTHER, 7.0)
    webhook.wait_known(shop, "7", OTHER)  # and so what was written before
    for name, inputs, joules, by in (
        ("plain", {notes.PRECISION: "default"}, "0.42", "detector"),
        ("half", {notes.PRECISION: "fp16"}, "0.1", "a-half"),
        ("onnx", {notes.RUNTIME: "onnxruntime-cuda"}, "0.1", "a-half"),
        ("named", {notes.ESTIMATE: "detector", notes.PRECISION: "default"}, "0.42", "detector"),
    ):
        done = webhook.plane.kubectl("apply", "-f", "-", stdin=text(deployment(name, shop, annotations=inputs)))
        found = webhook.annotations(name, shop)
        assert (found["joules-per-batch"], found["estimated-by"]) == (joules, by)
        said = f'by the estimate "{by}", precision {found["estimated-precision"]}, {found["estimated-runtime"]}'
        assert said in done.stderr
    assert webhook.annotations("half", shop)["estimated-precision"] == "fp16"


def test_where_pods_must_be_placed_chooses_the_row(webhook: Release, shop: str) -> None:
    pinned = deployment("web", shop)
    pinned["spec"]["template"]["spec"]["nodeSelector"] = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
    webhook.plane.apply(pinned)
    found = webhook.annotations("web", shop)
    assert (found["accelerator"], found["joules-per-batch"]) == ("NVIDIA-A100-SXM4-80GB", "0.84")


def test_a_batch_size_that_nobody_holds_is_said(webhook: Release, shop: str) -> None:
    asked = deployment("web", shop, annotations={notes.BATCH_SIZE: "8"})
    done = webhook.plane.kubectl("apply", "-f", "-", stdin=text(asked))
    assert "no estimate of this model has a result for batch size 8" in done.stderr
    expected = {"state": "Failed", "reason": "BatchSizeNotEstimated", "estimated-by": "detector", "batch-size": "8"}
    assert webhook.annotations("web", shop) == expected


def test_a_misspelt_annotation_is_told_with_the_nearest(webhook: Release, shop: str) -> None:
    misspelt = deployment("web", shop, annotations={"joulecast.dev/modle": "registry.invalid/new:1"})
    done = webhook.plane.kubectl("apply", "-f", "-", stdin=text(misspelt))
    assert "Warning: unknown annotation joulecast.dev/modle: did you mean joulecast.dev/model?" in done.stderr
    assert webhook.annotations("web", shop) == FORECAST | {"modle": "registry.invalid/new:1"}
    webhook.plane.kubectl("annotate", "iee", "detector", "-n", shop, "joulecast.dev/refresh=now")
    done = webhook.plane.kubectl("annotate", "iee", "detector", "-n", shop, "joulecast.dev/refesh=now")
    assert "joulecast.dev/refesh has no effect on an InferenceEnergyEstimate" in done.stderr


def test_an_annotated_kind_that_is_not_covered_is_told_and_only_that_one_is_asked_about(
    webhook: Release, shop: str
) -> None:
    spec = {"restartPolicy": "Never", **deployment("set", shop)["spec"]["template"]["spec"]}
    body = {"apiVersion": "v1", "kind": "Pod", "spec": spec}
    before = sum(webhook.calls().values())
    done = webhook.plane.kubectl(
        "create", "-f", "-", stdin=text(body | {"metadata": {"name": "plain", "namespace": shop}})
    )
    assert "Warning" not in done.stderr
    assert sum(webhook.calls().values()) == before
    metadata = {"name": "told", "namespace": shop, "annotations": {notes.MODEL: "registry.invalid/new:1"}}
    done = webhook.plane.kubectl("create", "-f", "-", stdin=text(body | {"metadata": metadata}))
    assert f"Warning: {notes.MODEL} has no effect on a Pod, because joulecast reads them on Deployments," in done.stderr
    found = webhook.plane.get("pod", "told", shop)["metadata"]["annotations"]
    assert {key for key in found if key.startswith(PREFIX)} == {notes.MODEL}


@pytest.mark.parametrize("kind", tuple(ANNOTATED))
def test_every_kind_of_workload_is_annotated_and_warns(webhook: Release, shop: str, kind: str) -> None:
    forged = {notes.JOULES: "0.001", notes.STATE: "Ready"}
    for name, given in (("plain", None), ("forged", forged)):
        body = workload(kind, name, shop, annotations=given)
        done = webhook.plane.kubectl("create", "-f", "-", stdin=text(body))
        assert "Warning: 0.42 J per batch of 32 on NVIDIA-H200" in done.stderr
        made = webhook.plane.get(kind.lower(), name, shop)
        assert {key.removeprefix(PREFIX): value for key, value in ours(made).items()} == FORECAST
        assert not [key for key in json.dumps(made["spec"]).split('"') if key.startswith(PREFIX)], (
            "pods are not touched"
        )


def test_a_job_of_a_cron_job_is_never_asked_about_and_cannot_carry_forged_outputs(webhook: Release, shop: str) -> None:
    webhook.plane.apply(workload("CronJob", "nightly", shop))
    cron = webhook.plane.get("cronjob", "nightly", shop)
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": cron["metadata"]["uid"]}
    for name, given in (("plain", None), ("forged", {notes.JOULES: "0.001"})):
        job = workload("Job", name, shop, annotations=given)
        job["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
        before = sum(webhook.calls().values())
        done = webhook.plane.kubectl("create", "-f", "-", stdin=text(job))
        assert "Warning" not in done.stderr
        assert ours(webhook.plane.get("job", name, shop)) == {}
        assert sum(webhook.calls().values()) == before + (name == "forged")


def ours(resource: dict[str, Any]) -> dict[str, str]:
    """Return joulecast's annotations of an object."""
    found = resource["metadata"].get("annotations") or {}
    return {key: value for key, value in found.items() if key.startswith(PREFIX)}


def test_an_unknown_model_is_pending(webhook: Release, shop: str) -> None:
    annotated = deployment("web", shop, annotations={notes.MODEL: "registry.invalid/new:1"})
    done = webhook.plane.kubectl("apply", "-f", "-", stdin=text(annotated))
    assert "Warning: no forecast yet of registry.invalid/new:1" in done.stderr
    assert webhook.annotations("web", shop) == {"model": "registry.invalid/new:1", "state": "Pending"}


def test_a_workload_that_wants_none_gets_none(webhook: Release, shop: str) -> None:
    done = webhook.plane.kubectl(
        "apply", "-f", "-", stdin=text(deployment("web", shop, annotations={notes.SKIP: "true"}))
    )
    assert "Warning" not in done.stderr
    assert webhook.annotations("web", shop) == {"skip": "true"}


def test_another_namespaces_estimate_is_never_used(webhook: Release, shop: str) -> None:
    elsewhere = webhook.plane.create_namespace(f"{shop}-elsewhere")
    webhook.plane.apply(deployment("web", elsewhere))
    assert webhook.annotations("web", elsewhere) == {}
    webhook.plane.apply(deployment("named", elsewhere, annotations={notes.ESTIMATE: "detector"}))
    assert webhook.annotations("named", elsewhere)["state"] == "Pending"


def test_a_deleted_estimate_is_forgotten(webhook: Release, shop: str) -> None:
    webhook.plane.kubectl("delete", "iee", "detector", "-n", shop)
    probe = text(deployment("probe", shop))

    def gone() -> bool:
        return "Warning" not in webhook.plane.kubectl("apply", "--dry-run=server", "-f", "-", stdin=probe).stderr

    assert eventually(gone)


def test_own_namespace_and_kube_system_are_not_reviewed(webhook: Release, shop: str) -> None:
    before = sum(webhook.calls().values())
    for namespace in (NAMESPACE, "kube-system"):
        webhook.plane.apply(deployment("web", namespace, annotations={notes.MODEL: "registry.invalid/new:1"}))
        assert webhook.annotations("web", namespace) == {"model": "registry.invalid/new:1"}
    assert sum(webhook.calls().values()) == before


def test_odd_inputs_are_admitted_with_a_decision(webhook: Release, shop: str) -> None:
    errors = webhook.decisions()["error"]
    for number, value in enumerate(["", " ", "../../x", "eight", "-1", "\u202e", "a" * 5000]):
        odd = {notes.BATCH_SIZE: value, notes.MODEL: value, notes.REFRESH: value}
        webhook.plane.apply(deployment(f"odd-{number}", shop, annotations=odd))
        assert webhook.plane.get("deployment", f"odd-{number}", shop) is not None
    assert webhook.decisions()["error"] == errors


def test_what_joulecast_writes_is_not_reviewed(webhook: Release, shop: str) -> None:
    webhook.plane.apply(deployment("web", shop))
    before = sum(webhook.calls().values())
    patch = json.dumps({"metadata": {"annotations": {notes.JOULES: "0.99"}}})
    kubeconfig = webhook.installation.account("controller")
    webhook.plane.kubectl("patch", "deployment/web", "-n", shop, "--type=merge", "-p", patch, kubeconfig=kubeconfig)
    assert webhook.annotations("web", shop)["joules-per-batch"] == "0.99"
    assert sum(webhook.calls().values()) == before


def post(release: Release, body: bytes) -> tuple[int, bytes]:
    """Send a request directly to the webhook, like any client on its network."""
    context = ssl.create_default_context(cafile=str(release.installation.authority.bundle))
    request = urllib.request.Request(release.installation.webhook_address, data=body, method="POST")
    try:
        with urllib.request.urlopen(request, context=context, timeout=TIMEOUT_SECONDS) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"null", b'{"request": {"uid": "1", "object": {"metadata": 1, "spec": []}}}']
)
def test_a_malformed_review_is_allowed(webhook: Release, body: bytes) -> None:
    status, answer = post(webhook, body)
    assert status == 200
    assert json.loads(answer)["response"]["allowed"] is True


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused_and_the_next_review_works(webhook: Release, body: bytes) -> None:
    status, _ = post(webhook, body)
    assert status in (400, 500)  # which the API server takes as a failure, and ignores
    assert post(webhook, b"{}")[0] == 200


def test_a_body_over_a_mebibyte_lets_the_deployment_through(webhook: Release, shop: str) -> None:
    large = deployment("large", shop)
    filler = [{"name": f"FILLER_{number}", "value": "x" * 100_000} for number in range(11)]
    large["spec"]["template"]["spec"]["containers"][0]["env"] = filler
    before = webhook.calls().get("413", 0)
    webhook.plane.kubectl("create", "-f", "-", stdin=text(large))
    assert webhook.plane.get("deployment", "large", shop) is not None
    assert webhook.calls()["413"] == before + 1


def test_a_bug_of_ours_lets_the_deployment_through(webhook: Release, running: Process, shop: str) -> None:
    running.stop()
    with webhook.webhook(BUG).start():
        webhook.plane.apply(deployment("web", shop))
        assert webhook.annotations("web", shop) == {}
        assert webhook.decisions()["error"] == 1


def test_an_absent_webhook_lets_the_deployment_through(webhook: Release, running: Process, shop: str) -> None:
    running.kill()
    before = webhook.calls().get("503", 0)
    webhook.plane.apply(deployment("web", shop))
    assert webhook.annotations("web", shop) == {}
    assert webhook.calls()["503"] == before + 1


def test_a_webhook_killed_comes_back_with_its_index(webhook: Release, running: Process, shop: str) -> None:
    running.kill()
    webhook.estimate("detector", shop, IMAGE, 0.5, at="2026-02-01T00:00:00Z")
    running.start()
    webhook.plane.apply(deployment("web", shop))
    assert webhook.annotations("web", shop)["joules-per-batch"] == "0.5"


def test_a_watch_that_brings_nothing_more_ends_its_process(webhook: Release, running: Process, shop: str) -> None:
    running.stop()
    with webhook.webhook(DEAF).start():
        assert health(webhook) == 200
        webhook.estimate("missed", shop, OTHER, 1.0)
        webhook.wait_known(shop, "1", OTHER)  # by a comparison
        assert eventually(lambda: health(webhook) == 503), "it is alive for ever, on an index a minute old"


def test_a_damaged_certificate_file_keeps_the_old_one_in_use_and_is_told(
    webhook: Release, running: Process, shop: str
) -> None:
    running.stop()
    path = webhook.installation.certificate.certificate
    whole = path.read_bytes()
    with webhook.webhook(LOOKS_OFTEN).start() as process:
        ends = gauge(webhook, "joulecast_webhook_certificate_expiry_timestamp_seconds")
        assert time.time() < ends < time.time() + 366 * 86400
        path.write_text("garbage")
        try:
            assert eventually(lambda: "cannot be served" in ready_page(webhook)), "it does not look at the files"
            assert ready_page(webhook).startswith("ok\nthe webhook's certificate is valid until 20")
            webhook.plane.apply(deployment("web", shop))
            assert webhook.annotations("web", shop) == FORECAST
            assert gauge(webhook, "joulecast_webhook_certificate_expiry_timestamp_seconds") == ends
            assert "stays in use" in process.log.read_text()
        finally:
            path.write_bytes(whole)
        assert eventually(lambda: "cannot be served" not in ready_page(webhook)), "a file that is whole again"


def ready_page(release: Release) -> str:
    with urllib.request.urlopen(f"{release.installation.webhook_url}/readyz", timeout=TIMEOUT_SECONDS) as page:
        text: str = page.read().decode()
    return text


def gauge(release: Release, name: str) -> float:
    with urllib.request.urlopen(f"{release.installation.webhook_url}/metrics", timeout=TIMEOUT_SECONDS) as page:
        families = list(text_string_to_metric_families(page.read().decode()))
    (sample,) = [sample for family in families for sample in family.samples if sample.name == name]
    return sample.value


def health(release: Release) -> int:
    try:
        with urllib.request.urlopen(f"{release.installation.webhook_url}/healthz", timeout=TIMEOUT_SECONDS) as page:
            status: int = page.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def test_outputs_hold_while_the_estimate_is_made_anew(webhook: Release, shop: str) -> None:
    webhook.plane.apply(deployment("web", shop))
    status = copy.deepcopy(ready_status(0.42))
    status["conditions"][0] |= {"status": "Unknown", "reason": "Profiling"}
    patch = json.dumps({"status": {"conditions": status["conditions"]}})
    webhook.plane.kubectl("patch", "iee", "detector", "-n", shop, "--subresource=status", "--type=merge", "-p", patch)
    webhook.estimate("later", shop, OTHER, 7.0)
    webhook.wait_known(shop, "7", OTHER)  # and so what was written before
    webhook.plane.kubectl("label", "deployment/web", "-n", shop, "a=b")
    assert webhook.annotations("web", shop) == FORECAST
