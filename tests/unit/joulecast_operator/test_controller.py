"""Test that failures are forgotten after a success, so that the next failure counts as the first."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from joulecast_operator.api.kinds import CALIBRATIONS, DEPLOYMENTS, ESTIMATES, PROFILES
from joulecast_operator.api.objects import Key
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.controller import Controller, is_lasting
from joulecast_operator.controllers.certificates.file import CertificateFile
from joulecast_operator.controllers.certificates.webhook_certificate import WebhookCertificate
from joulecast_operator.settings import Settings
from tests.waiting import PATIENCE_SECONDS


@pytest.mark.parametrize(
    ("kind", "part"),
    [(DEPLOYMENTS.kind, "workloads"), (PROFILES.kind, "profiles"), (CALIBRATIONS.kind, "calibrations")],
)
def test_success_resets_the_pauses(kind: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Key(kind=kind, namespace="shop", name="server")
    failures = [OSError("injected: away")] * 3

    async def reconcile(_: Any) -> None:
        if failures:
            raise failures.pop()

    async def attempt() -> float:
        try:
            await controller.reconcile(key)
        except OSError:
            return controller.queue.pause_seconds(key)
        return 0.0

    async def run() -> list[float]:
        return [await attempt() for _ in range(4)]

    controller = Controller(Settings(cache_dir=tmp_path, retry_seconds=5))
    monkeypatch.setattr(getattr(controller, part), "reconcile", reconcile)
    assert asyncio.run(run()) == [5, 10, 20, 0]
    assert controller.queue.pause_seconds(key) == 5


def test_the_queue_knows_what_is_refused_for_good() -> None:
    assert is_lasting(ApiError(422, "Invalid", "no"))
    assert not is_lasting(ApiError(503, "", "busy"))
    assert not is_lasting(OSError("away"))


def ready(name: str) -> dict[str, Any]:
    """Return an estimate with results."""
    conditions = [{"type": "Ready", "status": "True", "reason": "Estimated", "lastTransitionTime": "t"}]
    metadata = {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1", "generation": 1}
    return {"metadata": metadata, "spec": {}, "status": {"results": [{"joulesPerBatch": 1}], "conditions": conditions}}


def test_a_defect_is_said_on_its_object_and_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller(Settings(cache_dir=tmp_path, retry_seconds=60))
    new = ready("new") | {"status": {}}
    for resource in (ready("a"), ready("broken"), ready("z"), new):
        controller.index.put(ESTIMATES, resource)
    seen: list[str] = []
    statuses: dict[str, dict[str, Any]] = {}

    async def reconcile(key: Key) -> bool:
        seen.append(key.name)
        if key.name in ("broken", "new"):
            raise KeyError("injected")
        return False

    async def status(_: Any, resource: dict[str, Any], desired: dict[str, Any], **__: Any) -> bool:
        statuses[resource["metadata"]["name"]] = desired
        return True

    async def run() -> None:
        work = asyncio.create_task(controller.queue.work(controller.reconcile, workers=2))
        controller.queue_all()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(controller.queue):
                await asyncio.sleep(0.01)
        work.cancel()

    monkeypatch.setattr(controller.estimates, "reconcile", reconcile)
    monkeypatch.setattr(controller._writer, "status", status)
    asyncio.run(run())
    assert sorted(seen) == ["a", "broken", "new", "z"]
    for name in ("broken", "new"):
        (said,) = statuses[name]["conditions"]
        assert (said["type"], said["status"], said["reason"]) == ("Ready", "Unknown", "InternalError")
        assert "KeyError: 'injected'" in said["message"]
    assert statuses["broken"]["results"], "what was known stays, and Ready says what it is worth"
    labels = {"kind": ESTIMATES.kind, "reason": "InternalError"}
    assert controller.registry.get_sample_value("joulecast_reconcile_errors_total", labels) == 2


def test_an_api_server_that_is_away_is_said_on_no_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller(Settings(cache_dir=tmp_path))
    controller.index.put(ESTIMATES, ready("a"))

    async def reconcile(_: Key) -> bool:
        raise ApiError(503, "", "busy")

    async def status(*_: Any, **__: Any) -> bool:
        raise AssertionError("nothing may be written")

    monkeypatch.setattr(controller.estimates, "reconcile", reconcile)
    monkeypatch.setattr(controller._writer, "status", status)
    with pytest.raises(ApiError):
        asyncio.run(controller.reconcile(Key(kind=ESTIMATES.kind, namespace="shop", name="a")))
    labels = {"kind": ESTIMATES.kind, "reason": "ApiUnavailable"}
    assert controller.registry.get_sample_value("joulecast_reconcile_errors_total", labels) == 1


def test_an_estimate_of_another_shape_stops_no_sweep(tmp_path: Path) -> None:
    controller = Controller(Settings(cache_dir=tmp_path))
    made = {"labels": {"app.kubernetes.io/managed-by": "joulecast"}, "ownerReferences": [{"kind": "Deployment"}]}
    for name, spec in (("a", {"targetRef": None}), ("b", {}), ("c", {"targetRef": {"name": "web"}})):
        found = ready(name)
        controller.index.put(ESTIMATES, found | {"metadata": found["metadata"] | made, "spec": spec})
    controller.queue_all()
    assert len(controller.queue) == 4


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"webhook_secret": "own"}, ["WebhookCertificate"]),
        ({"webhook_public_certfile": "/tls/tls.crt"}, ["CertificateFile"]),
        ({}, []),
    ],
)
def test_the_webhooks_certificate_is_kept_watched_or_left_alone(
    settings: dict[str, str], kept: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched: list[str] = []

    async def watch(self: object, *_: float) -> None:
        watched.append(type(self).__name__)

    for part in (WebhookCertificate, CertificateFile):
        monkeypatch.setattr(part, "watch", watch)
    controller = Controller(Settings(cache_dir=tmp_path, **settings))
    asyncio.run(controller.keep_certificate())
    assert watched == kept
    behind = controller.registry.get_sample_value("joulecast_webhook_certificate_behind_seconds")
    assert (behind == 0) is ("webhook_secret" not in settings)
