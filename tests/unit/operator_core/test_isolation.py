"""Whether the profiler has left the network is found out at the start."""

from __future__ import annotations

import asyncio
import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from joulecast_operator import isolation, metrics


@pytest.mark.parametrize(("program", "isolated"), [("true", True), ("false", False)])
def test_isolation_that_is_not_there_is_said_once(
    program: str, isolated: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    assert asyncio.run(isolation.checked()) is isolated
    assert [record.levelname for record in caplog.records] == ([] if isolated else ["WARNING"])
    registry = CollectorRegistry()
    metrics.show_isolation(registry, isolated=isolated)
    assert f"joulecast_profiler_isolated {float(isolated)}" in generate_latest(registry).decode()


def test_the_question_is_answered_by_this_kernel() -> None:
    assert asyncio.run(isolation.checked()) in (True, False)
