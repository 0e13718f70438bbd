"""Rows of a simulated card, measured once, and what a fit makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from joulecast.energy.profile import SIMULATED_ALLOWED
from joulecast_calibration.fit.profiles import FittedRows, fit_measured
from joulecast_calibration.measure.__main__ import main as measure


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated rows may be fitted, and their profiles priced."""
    monkeypatch.setenv(SIMULATED_ALLOWED, "1")


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of layers and networks, as ``joulecast measure`` writes it."""
    folder = tmp_path_factory.mktemp("measured")
    asked = ["--simulate", "hopper", "--resume", str(folder), "--continues"]
    for slices in (("layers",), ("llm", "networks")):
        chosen = [word for name in slices for word in ("--slice", name)]
        assert measure([*asked, *chosen, "--budget", "5m"]) == 0
    return folder


@pytest.fixture(scope="session")
def fitted(measured: Path) -> Iterator[FittedRows]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(SIMULATED_ALLOWED, "1")
        found = fit_measured([measured])
    yield found


@pytest.fixture
def changed(measured: Path, tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], dict[str, Any] | None]], Path]:
    """A folder with the rows as a function changes them; None leaves one out."""

    def write(change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Path:
        lines = [line for path in sorted(measured.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
        rows = [row for row in map(change, map(json.loads, lines)) if row is not None]
        target = tmp_path / "changed"
        target.mkdir()
        (target / "run.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return target

    return write
