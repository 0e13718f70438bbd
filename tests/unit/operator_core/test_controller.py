"""What went well is remembered as such: its next failure is a first one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from joulecast_operator.controller import Controller, is_lasting
from joulecast_operator.index import Key
from joulecast_operator.kinds import CALIBRATIONS, DEPLOYMENTS, PROFILES
from joulecast_operator.kube import ApiError
from joulecast_operator.settings import Settings


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
