"""Rows of a simulated run, measured once for all tests of this folder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.joulecast_calibration.measure.command import Measuring
from tests.unit.joulecast_calibration.measure.handmade_site import environment


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Rows of a run that has every kind of row, also of what goes wrong."""
    folder = tmp_path_factory.mktemp("rows")
    faults = ("out-of-memory=llm1|", "broken=n000|b32", "crash=hf:llm2|b128", "foreign-process=75-90")
    measuring = Measuring(folder=folder / "rows", environment=environment(folder / "site", networks=2, layers=14))
    done = measuring("--budget", "60m", *(word for fault in faults for word in ("--fault", fault)))
    assert done.returncode == 0, done.stderr
    lines = [line for path in measuring.folder.glob("*.jsonl") for line in path.read_text("utf-8").splitlines()]
    return [json.loads(line) for line in lines]
