"""What evaluate makes of the rows of a simulated card."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from joulecast.energy.generic import datasheet_profile
from joulecast.energy.profile import SIMULATED_ALLOWED, AcceleratorProfile
from joulecast_calibration.evaluate import transfer
from joulecast_calibration.evaluate.evaluation import Evaluation
from joulecast_calibration.evaluate.protocol import evaluate
from joulecast_calibration.fit.shared import sheet_of


@pytest.fixture(scope="session")
def folder(measured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets whose one set is of the simulated card; a line of it is no row."""
    found = tmp_path_factory.mktemp("sets")
    shutil.copytree(measured, found / "bench")
    (found / "bench" / "torn.jsonl").write_text('{"kind": "layer"\n{"kind": "laye', "utf-8")
    return found


@pytest.fixture(scope="session")
def found(folder: Path) -> Evaluation:
    """Score the set as if no joule of the card that is simulated had ever been measured."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(SIMULATED_ALLOWED, "1")
        patched.setattr(transfer, "known_of", from_datasheet)
        return evaluate(folder)


def from_datasheet(product: str) -> AcceleratorProfile:
    sheet = sheet_of(product)
    assert sheet is not None
    return datasheet_profile(sheet)
