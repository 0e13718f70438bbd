"""Fitting profiles from a data folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from joulecast.energy.names import sheet_named
from joulecast.energy.profile import AcceleratorProfile
from joulecast.errors import MeasurementError
from joulecast_calibration.fit.cards import problem_of
from joulecast_calibration.fit.crossvalidation import each_left_out
from joulecast_calibration.fit.networks import fit_networks, forecast_networks, refits
from joulecast_calibration.fit.profiles import SHIPPED, write
from joulecast_calibration.fit.table import table_of_set
from joulecast_calibration.rows.networks import Truth, read_set
from tests.unit.energy import data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data.write(tmp_path_factory.mktemp("data"))


def test_a_fit_finds_the_joules_it_was_given(folder: Path) -> None:
    (found,) = read_set(folder / "a_set")
    sheet = sheet_named(found.gpu)
    assert sheet is not None
    problem = problem_of(folder, sheet)
    table = table_of_set(found.rows, found.truth)
    joules = forecast_networks(problem, fit_networks(problem, table), table).joules
    assert joules == pytest.approx(found.truth.joules, rel=0.1)


@pytest.mark.slow
def test_nothing_of_an_architecture_reaches_its_own_forecast(folder: Path) -> None:
    (found,) = read_set(folder / "a_set")
    sheet = sheet_named(found.gpu)
    assert sheet is not None
    problem = problem_of(folder, sheet)
    names = np.array([row.architecture for row in found.rows])
    other = names == "gpt2model"
    lied = Truth(joules=found.truth.joules.copy(), seconds=found.truth.seconds.copy())
    lied.joules[other] *= 50
    lied.seconds[other] *= 7
    (told, width), (untold, same) = (
        each_left_out(refits(problem, table_of_set(found.rows, truth)), names, truth.joules, np.arange(names.size))
        for truth in (found.truth, lied)
    )
    assert told[other].tolist() == untold[other].tolist()
    assert width[other].tolist() == same[other].tolist()
    assert told.tolist() != untold.tolist()


@pytest.mark.slow
def test_a_fit_writes_the_same_profiles_every_time(folder: Path, tmp_path: Path) -> None:
    for target in ("one", "two"):
        write(folder, tmp_path / target)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted([*(f"{product}.json" for product in SHIPPED), "generic.json"])
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
def test_a_card_with_joules_is_public_and_one_of_its_chip_is_transferred(folder: Path, tmp_path: Path) -> None:
    write(folder, tmp_path)
    own, other = (
        AcceleratorProfile.from_json((tmp_path / f"{name}.json").read_text())
        for name in ("NVIDIA-A100-PCIE-40GB", "NVIDIA-A100-SXM4-80GB")
    )
    assert (own.origin, other.origin) == ("public", "transferred")
    assert own.held_out["rows"] == 12
    assert own.interval.groups == 3
    assert not own.interval.guaranteed
    assert 1.1e-10 < other.law.byte_joules < own.law.byte_joules, "it goes part of the way that networks say"
    assert str(folder) not in own.to_json()


def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="is not a folder"):
        write(tmp_path / "absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()
