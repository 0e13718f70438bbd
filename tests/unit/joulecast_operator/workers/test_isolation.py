"""Test that the barriers between the profiler and the network are found out at the start."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from joulecast_operator.metrics.work import ISOLATED, show_isolation
from joulecast_operator.workers import isolation
from joulecast_operator.workers.sandbox import BARRIERS


def kernel(tmp_path: Path, script: str) -> str:
    """Replace the program that asks the kernel by another one."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("script", "standing", "level"),
    [
        ("echo namespace seccomp audit-hook", BARRIERS, "INFO"),
        ("echo seccomp audit-hook", ("seccomp", "audit-hook"), "INFO"),
        ("echo audit-hook", ("audit-hook",), "WARNING"),
        ("echo namespace; exit 1", ("audit-hook",), "WARNING"),
    ],
)
def test_what_stands_is_said_once_and_served(
    script: str,
    standing: tuple[str, ...],
    level: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(sys, "executable", kernel(tmp_path, script))
    assert asyncio.run(isolation.checked()) == standing
    assert [record.levelname for record in caplog.records if record.name == isolation.__name__] == [level]
    registry = CollectorRegistry()
    show_isolation(registry, standing)
    served = {barrier: registry.get_sample_value(ISOLATED.name, {"barrier": barrier}) for barrier in BARRIERS}
    assert served == {barrier: float(barrier in standing) for barrier in BARRIERS}


def test_the_question_is_answered_by_this_kernel() -> None:
    standing = asyncio.run(isolation.checked())
    assert standing[-1] == "audit-hook"
    assert sys.platform != "linux" or "seccomp" in standing
