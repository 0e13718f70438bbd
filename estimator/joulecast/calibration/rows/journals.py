"""Reading of measured rows (``rows.measured``) from a folder: whatever a killed process left, each row once.

Rows of a simulated card are read like any others, and refused where rows are read to be fitted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from joulecast.calibration.rows.measured import SCHEMA_VERSION, SESSION
from joulecast.errors import MeasurementError

MEASURED_KINDS = ("layer", "network")
SIMULATED = "simulated-"
"""How the accelerator of a simulated card begins."""
_MOST_BYTES = 64 * 2**20  # of a file: four times what a measuring machine hands over in one


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row with its session's columns. ``path`` and ``line`` (from 1): where it lies."""

    columns: Mapping[str, Any]
    path: Path
    line: int

    @property
    def kind(self) -> str:
        return str(self.columns["kind"])

    @property
    def place(self) -> str:
        return f"{self.path}, line {self.line}"

    def __getitem__(self, column: str) -> Any:
        return self.columns[column]

    def get(self, column: str, absent: Any = None) -> Any:
        return self.columns.get(column, absent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """``rows`` in the order of files and lines; ``damaged``: places of lines that are no rows, as a kill leaves one."""

    rows: tuple[Row, ...]
    damaged: tuple[str, ...]


def read_journal(folder: Path) -> Journal:
    """All ``*.jsonl`` of ``folder``. Raises MeasurementError for no folder, a file too large, or a newer schema."""
    if not folder.is_dir():
        raise MeasurementError(f"{folder} is not a folder: name the one that holds the measured rows")
    rows: list[Row] = []
    damaged: list[str] = []
    seen: set[str] = set()
    for path in sorted(folder.glob("*.jsonl")):
        sessions: dict[tuple[Any, Any], dict[str, Any]] = {}
        for line, found in _lines(path):
            if found is None:
                damaged.append(f"{path}, line {line}")
                continue
            process = (found.get("run_id"), found.get("process"))
            if found["kind"] == "session":
                sessions[process] = {name: found[name] for name in SESSION if name in found}
            joined = sessions.get(process, {}) | found
            if (text := json.dumps(joined, sort_keys=True)) not in seen:  # a file copied twice
                seen.add(text)
                rows.append(Row(columns=joined, path=path, line=line))
    return Journal(rows=tuple(rows), damaged=tuple(damaged))


def read_rows(folder: Path) -> tuple[Row, ...]:
    """``read_journal`` without the damaged lines."""
    return read_journal(folder).rows


def measured_rows(folder: Path) -> tuple[Row, ...]:
    """The valid ``layer`` and ``network`` rows, to be fitted or scored.

    Raises MeasurementError that names the place if any row of the folder was simulated, does not say that it was not,
    or belongs to no session.
    """
    rows = read_rows(folder)
    for row in rows:
        _refuse_simulated(row)
    return tuple(row for row in rows if row.kind in MEASURED_KINDS and row.get("valid") is True)


def _refuse_simulated(row: Row) -> None:
    accelerator = row.get("accelerator")
    if accelerator is None:
        _refuse(row, "belongs to no session, so its accelerator is unknown")
    if row.get("simulated") is not False or str(accelerator).startswith(SIMULATED):
        _refuse(row, f"was not measured: {accelerator} is simulated, or the row does not say that it is not")


def _refuse(row: Row, why: str) -> NoReturn:
    raise MeasurementError(f"{row.place}: this row {why}; take the file out of the folder to fit the others")


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Number and row of each line that is not blank; None for what is no row."""
    if path.stat().st_size > _MOST_BYTES:
        raise MeasurementError(f"{path} has {path.stat().st_size} bytes, over {_MOST_BYTES}: split it by lines")
    text = path.read_bytes().decode("utf-8", errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row = _row(line)
        if row is not None and int(row["schema"]) > SCHEMA_VERSION:
            raise MeasurementError(
                f"{path}, line {number} has schema {row['schema']}, newer than {SCHEMA_VERSION}: upgrade joulecast"
            )
        yield number, row


def _row(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and isinstance(found.get("kind"), str) and isinstance(found.get("schema"), int)
    return found if whole else None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
