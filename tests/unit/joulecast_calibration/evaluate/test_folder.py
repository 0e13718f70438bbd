"""Which rows of a folder are read, under which name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from joulecast_calibration.evaluate.evaluation import Unscored
from joulecast_calibration.evaluate.folder import NamedJournal, find_journals, read_journals
from tests.unit.joulecast_calibration.rows.made import ACCELERATOR as H100
from tests.unit.joulecast_calibration.rows.made import as_measured

Row = dict[str, Any]
Changed = Callable[[Callable[[Row], Row | None]], Path]


def split(folder: Path) -> tuple[list[NamedJournal], dict[str, int]]:
    found = list(read_journals(folder))
    reasons = {each.reason: each.n for each in found if isinstance(each, Unscored)}
    return [each for each in found if isinstance(each, NamedJournal)], reasons


def executed(folder: Path) -> int:
    return sum('"kind": "layer"' in line or '"kind": "network"' in line for line in (folder / "run.jsonl").open())


def test_rows_of_hardware_are_read_whatever_the_environment_says(changed: Changed) -> None:
    folder = changed(as_measured)
    (found,), reasons = split(folder)
    assert (found.name, found.journal.product, found.journal.simulated) == ("changed", H100, False)
    assert (len(found.journal.rows), reasons) == (executed(folder), {})


@pytest.mark.usefixtures("allowed")
def test_rows_of_two_accelerators_are_two_sets(changed: Changed) -> None:
    def two(row: Row) -> Row:
        return row if row["process"] % 2 else as_measured(row)

    journals, _ = split(changed(two))
    assert [each.name for each in journals] == [f"changed/{H100}", "changed/simulated-hopper simulated"]


def test_a_table_in_the_same_folder_keeps_the_folders_name(changed: Changed) -> None:
    folder = changed(as_measured)
    (folder / "model_energy.csv").touch()
    (found,), _ = split(folder)
    assert found.name == f"changed/{H100}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"valid": False, "invalid_reason": "not finite"}, "invalid: not finite"),
        ({"valid": False}, "invalid: no reason given"),
        ({"valid": None}, "valid is null: give true or false"),
        ({"joules": 0.0}, "joules is 0.0: give a finite number above 0 J"),
        ({"joules": -1}, "joules is -1: give a finite number above 0 J"),
        ({"seconds": "long"}, 'seconds is "long": give a finite number above 0 s'),
        ({"identity": None}, "identity is null: give text of 1 to 1024 characters"),
        ({"batch_size": [1]}, "batch_size is a list of 1: give a whole number from 1"),
        ({"sm_clock_mhz": "fast"}, 'sm_clock_mhz is "fast": give a finite number above 0 MHz'),
        ({"schema": 99}, "schema 99 is newer than 1: upgrade joulecast to score it"),
        ({"simulated": None}, f"does not say whether {H100} was measured or simulated"),
    ],
)
def test_rows_that_cannot_be_scored_are_counted(changed: Changed, columns: Row, reason: str) -> None:
    networks = 0

    def change(row: Row) -> Row:
        nonlocal networks
        if row["kind"] != "network":
            return as_measured(row)
        networks += 1
        return as_measured(row) | columns

    folder = changed(change)
    (found,), reasons = split(folder)
    ((told, number),) = reasons.items()
    assert (told.partition(", line ")[2].partition(": ")[2] or told, number) == (reason, networks)
    assert len(found.journal.rows) == executed(folder) - networks


def test_lines_without_a_session_are_counted(changed: Changed) -> None:
    folder = changed(lambda row: None if row["kind"] == "session" else as_measured(row))
    journals, reasons = split(folder)
    assert journals == []
    assert reasons == {"belongs to no session, so the accelerator is unknown": executed(folder)}


def test_too_few_rows_are_counted(changed: Changed) -> None:
    kept = 0

    def few(row: Row) -> Row | None:
        nonlocal kept
        kept += row["kind"] == "layer"
        return as_measured(row) if row["kind"] == "session" or (row["kind"] == "layer" and kept <= 4) else None

    journals, reasons = split(changed(few))
    assert journals == []
    assert reasons == {"4 valid layers and networks, and a fit needs 10: measure more": 4}


def test_a_file_too_large_is_named_and_its_lines_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.jsonl").write_text("{}\n" * 7)
    monkeypatch.setattr("joulecast_calibration.rows.journals._MOST_BYTES", 8)
    journals, reasons = split(tmp_path)
    assert journals == []
    ((reason, number),) = reasons.items()
    assert ("split it by lines" in reason, number) == (True, 7)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").mkdir()
    journals, reasons = split(tmp_path)
    assert (journals, list(reasons.values())) == ([], [0])
    assert "run.jsonl" in next(iter(reasons))


def test_journals_are_found_in_the_folder_itself_and_one_below(tmp_path: Path) -> None:
    for name in ("b/run.jsonl", "a/run.jsonl", "c/other.txt", "a/deep/run.jsonl", "run.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_journals(tmp_path) == (tmp_path, tmp_path / "a", tmp_path / "b")
