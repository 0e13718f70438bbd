"""What evaluate makes of the rows of a simulated card."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from joulecast.energy.profile import SIMULATED_ALLOWED
from joulecast_calibration.evaluate.evaluation import Evaluation
from joulecast_calibration.evaluate.protocol import evaluate


@pytest.fixture(scope="session")
def folder(measured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets whose one set is of the simulated card; a line of it is no row."""
    found = tmp_path_factory.mktemp("sets")
    shutil.copytree(measured, found / "bench")
    (found / "bench" / "torn.jsonl").write_text('{"kind": "layer"\n{"kind": "laye', "utf-8")
    return found


@pytest.fixture(scope="session")
def found(folder: Path) -> Evaluation:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(SIMULATED_ALLOWED, "1")
        return evaluate(folder)
