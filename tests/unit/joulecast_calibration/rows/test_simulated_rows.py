"""What a simulated card says never gets into a profile: whoever reads rows to fit or score refuses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from joulecast.accelerators.catalogue import find
from joulecast.energy.profile import AcceleratorProfile
from joulecast.errors import MeasurementError, NotCalibratedError
from joulecast_calibration.evaluate.protocol import evaluate
from joulecast_calibration.fit.profiles import write
from joulecast_calibration.rows.journals import read_rows
from joulecast_calibration.rows.networks import FILE_NAME, INPUTS, TRUTH
from tests.unit.joulecast_calibration.measure.command import Measuring
from tests.unit.joulecast_calibration.measure.handmade_site import environment
from tests.unit.joulecast_calibration.rows.made import as_measured, measured_rows

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What the runner writes on a simulated card."""
    folder = tmp_path_factory.mktemp("rehearsal")
    measuring = Measuring(folder=folder / "rows", environment=environment(folder / "site", networks=1, layers=3))
    assert measuring("--budget", "5m", "--slice", "layers").returncode == 0
    (path,) = measuring.folder.glob("*.jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def put(folder: Path, rows: Rows) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


def as_it_is(rows: Rows) -> Rows:
    return rows


def without_the_mark(rows: Rows) -> Rows:
    return [{name: value for name, value in row.items() if name != "simulated"} for row in rows]


def marked_as_measured(rows: Rows) -> Rows:
    return [row | {"simulated": False} for row in rows]


def renamed(rows: Rows) -> Rows:
    return [row | {"simulated": False} | ({"accelerator": "SIMULATED-hopper"} if "card" in row else {}) for row in rows]


def of_a_real_name(rows: Rows) -> Rows:
    return [row | {"simulated": False} | ({"accelerator": "NVIDIA-H200"} if "card" in row else {}) for row in rows]


def without_a_session(rows: Rows) -> Rows:
    return marked_as_measured([row for row in rows if row["kind"] != "session"])


CHANGES = [as_it_is, without_the_mark, marked_as_measured, renamed, of_a_real_name, without_a_session]


def test_every_row_says_so(rehearsed: Rows) -> None:
    assert {row["simulated"] for row in rehearsed} == {True}
    assert {row["accelerator"] for row in rehearsed if row["kind"] == "session"} == {"simulated-hopper"}


@pytest.mark.parametrize("change", CHANGES)
def test_rows_are_not_fitted_whatever_was_changed_by_hand(
    rehearsed: Rows, tmp_path: Path, change: Callable[[Rows], Rows]
) -> None:
    folder = put(tmp_path / "NVIDIA-H200", change(rehearsed))
    assert len(read_rows(folder).lines) > 3
    with pytest.raises(MeasurementError, match=r"line 1: this row (was not measured|belongs to no session)"):
        measured_rows(folder)


def test_the_same_rows_of_a_real_card_are(rehearsed: Rows, tmp_path: Path) -> None:
    folder = put(tmp_path, [as_measured(row) for row in rehearsed])
    assert len(measured_rows(folder)) > 3


@pytest.mark.parametrize("change", CHANGES)
def test_none_of_them_is_scored_but_all_are_counted(
    rehearsed: Rows, tmp_path: Path, change: Callable[[Rows], Rows]
) -> None:
    put(tmp_path / "data" / "NVIDIA-H200", change(rehearsed))
    found = evaluate(tmp_path / "data")
    assert (found.results, found.measured) == ((), ())
    executed = sum(row["kind"] in ("layer", "network") for row in rehearsed)
    assert {entry.set for entry in found.unscored} == {"NVIDIA-H200"}
    assert sum(entry.n for entry in found.unscored) == executed


@pytest.mark.parametrize("card", ["simulated-hopper", "Simulated-NVIDIA H200"])
def test_a_table_of_networks_on_a_simulated_card_is_refused(tmp_path: Path, card: str) -> None:
    folder = tmp_path / "data" / "rehearsal"
    folder.mkdir(parents=True)
    columns = ("gpu", *INPUTS, *TRUTH)
    row = {"gpu": card, "model": "resnet50", "precision": "fp32", "batch": "1", TRUTH[0]: "1.0", TRUTH[1]: "2.0"}
    lines = [",".join(columns), ",".join(row.get(name, "") for name in columns)]
    (folder / FILE_NAME).write_text("\n".join(lines) + "\n")
    refused = f"holds rows of {card}, which were simulated"
    with pytest.raises(MeasurementError, match=refused):
        evaluate(tmp_path / "data")
    with pytest.raises(MeasurementError, match=refused):
        write(tmp_path / "data", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_a_profile_of_a_simulated_card_is_none() -> None:
    document = json.loads(find("NVIDIA-H200").to_json()) | {"product": "simulated-hopper"}
    with pytest.raises(NotCalibratedError, match="simulated-hopper does not exist"):
        AcceleratorProfile.from_json(json.dumps(document))
