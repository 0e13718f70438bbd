"""What may lie under data/measurements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from joulecast_calibration.fit.journal import read
from joulecast_calibration.rows.measured import SCHEMA_VERSION

FOLDER = Path(__file__).resolve().parents[2] / "data" / "measurements"
MOST_BYTES = 20 << 20


def rows() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(FOLDER.rglob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            yield path, json.loads(line)


def test_the_page_says_whether_anything_was_measured() -> None:
    says_none = "No row has been measured yet" in (FOLDER / "README.md").read_text("utf-8")
    assert says_none == (next(rows(), None) is None)


def test_every_row_was_measured_on_hardware_and_lies_where_its_accelerator_does() -> None:
    wrong = [
        f"{path}: {row.get('accelerator') or row['kind']}"
        for path, row in rows()
        if row["simulated"]
        or row["schema"] != SCHEMA_VERSION
        or (row["kind"] == "session" and row["accelerator"] != path.parent.name)
    ]
    assert wrong == []


def test_every_folder_passes_who_fits_it() -> None:
    for folder in {path.parent for path, _ in rows()}:
        assert read([folder]).rows, folder


def test_every_accelerator_has_a_page_and_all_of_it_is_small() -> None:
    folders = [path for path in FOLDER.iterdir() if path.is_dir()]
    assert [folder.name for folder in folders if not (folder / "README.md").exists()] == []
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= MOST_BYTES
