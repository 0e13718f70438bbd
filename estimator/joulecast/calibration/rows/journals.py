"""Reading of measured rows (``rows.measured``) from a folder: whatever a killed process left, each row once.

Who goes on with a folder and who fits it read the same rows. Rows of a simulated card are read like any others, and
refused where rows are read to be fitted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from joulecast.calibration.rows.measured import LAYER_AND_NETWORK, SCHEMA_VERSION, SESSION
from joulecast.errors import MeasurementError

SIMULATED = "simulated-"
"""How the accelerator of a simulated card begins."""
FEWEST_ROWS = 10
"""Fewer cannot move the coefficients that every forecast needs: what is asked of a first look is 15 layers."""
_MOST_BYTES = 64 * 2**20  # of a file: four times what a measuring machine hands over in one


class Row(Mapping[str, Any]):
    """A row's columns, with its session's beside them. ``path`` and ``line`` (from 1): where it lies."""

    __slots__ = ("_columns", "line", "path")

    def __init__(self, columns: Mapping[str, Any], path: Path, line: int) -> None:
        self._columns, self.path, self.line = columns, path, line

    def __getitem__(self, column: str) -> Any:
        return self._columns[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def place(self) -> str:
        return f"{self.path}, line {self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """In the order of files and lines. ``damaged``: places of whole lines that are no rows."""

    rows: tuple[Row, ...]
    damaged: tuple[str, ...] = ()


def read_rows(folder: Path) -> Rows:
    """Every whole line of the folder's ``*.jsonl``; a folder that does not exist has none. As ``read_journals``."""
    return read_journals(sorted(folder.glob("*.jsonl")))


def read_journals(paths: Iterable[Path]) -> Rows:
    """Every whole line of the files; what follows the last line break of one was cut. Raises MeasurementError for a
    file too large."""
    rows: list[Row] = []
    damaged: list[str] = []
    seen: set[str] = set()
    for path in paths:
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
                rows.append(Row(joined, path, line))
    return Rows(rows=tuple(rows), damaged=tuple(damaged))


def measured_rows(folder: Path) -> tuple[Row, ...]:
    """The valid ``layer`` and ``network`` rows, to be fitted or scored.

    Raises MeasurementError for no folder, and one that names the place if any row of the folder was simulated, does
    not say that it was not, belongs to no session, or has a newer schema.
    """
    if not folder.is_dir():
        raise MeasurementError(f"{folder} is not a folder: name the one that holds the measured rows")
    rows = read_rows(folder).rows
    refuse_unfit(rows)
    return tuple(row for row in rows if row["kind"] in LAYER_AND_NETWORK and row.get("valid") is True)


_NUMBERS = ("joules", "seconds")
_PERHAPS_NUMBERS = ("sm_clock_mhz", "views", "module_calls", "audio_seconds", "power_limit_watts")
_TEXTS = ("name", "runtime", "precision", "identity")
_WHOLE = ("batch_size", "sequence_length")


def refusal_of(row: Mapping[str, Any]) -> str:
    """Why a layer or network of a journal cannot be fitted or scored; empty if it can."""
    if row.get("valid") is not True:
        return f"invalid: {row.get('invalid_reason') or 'no reason given'}"
    return flaw_of(row)


def flaw_of(row: Mapping[str, Any]) -> str:
    """Why a valid layer or network cannot be fitted or scored; empty if it can. A row may come from anybody."""
    for name in _NUMBERS:
        if not (_is_number(row.get(name)) and row[name] > 0):
            return f"no {name}"
    odd = [name for name in _TEXTS if not isinstance(row.get(name), str)]
    odd += [name for name in _PERHAPS_NUMBERS if row.get(name) is not None and not _is_number(row[name])]
    odd += [name for name in _WHOLE if row.get(name) is not None and not isinstance(row[name], int)]
    odd += ["batch_size"] if row["kind"] == "network" and not row.get("batch_size") else []
    return f"{odd[0]} makes no sense" if odd else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def refuse_unfit(rows: Iterable[Row], *, simulated: bool = False) -> None:
    """As ``measured_rows`` refuses them; ``simulated``: rows of a simulated card pass, as long as all say that they
    are."""
    for row in rows:
        if not (simulated and row.get("simulated") is True and is_simulated(row.get("accelerator"))):
            _refuse_simulated(row)
        if row["schema"] > SCHEMA_VERSION:
            raise MeasurementError(
                f"{row.place}: schema {row['schema']} is newer than {SCHEMA_VERSION}: upgrade joulecast to fit it"
            )


def is_simulated(name: Any) -> bool:
    """Whether an accelerator or a card of that name does not exist."""
    return str(name).lower().startswith(SIMULATED)


def _refuse_simulated(row: Row) -> None:
    accelerator = row.get("accelerator")
    if accelerator is None:
        _refuse(row, "belongs to no session, so its accelerator is unknown")
    if row.get("simulated") is not False or is_simulated(accelerator) or is_simulated(row.get("card")):
        _refuse(row, f"was not measured: {accelerator} is simulated, or the row does not say that it is not")


def _refuse(row: Row, why: str) -> NoReturn:
    raise MeasurementError(f"{row.place}: this row {why}; take the file out of the folder to fit the others")


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Number and row of each whole line that is not blank; None for what is no row."""
    if path.stat().st_size > _MOST_BYTES:
        raise MeasurementError(f"{path} has {path.stat().st_size} bytes, over {_MOST_BYTES}: split it by lines")
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        if not line.strip():
            continue
        yield number, _row(line)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and isinstance(found.get("kind"), str) and isinstance(found.get("schema"), int)
    return found if whole else None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
