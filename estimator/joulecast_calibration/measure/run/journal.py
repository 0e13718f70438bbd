"""Write rows to disk: one ``.jsonl`` file per run, line by line, readable when cut at any byte (``rows.journals``)."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from joulecast.errors import MeasurementError
from joulecast_calibration.rows.measured import SCHEMA_VERSION, WINDOWED
from joulecast_calibration.rows.typed import Flaw, TypedRow, row_of, row_or_flaw

Columns = Mapping[str, Any]

REFUSED = "refused"
"""Reason of a row with impossible values, which is kept as invalid with the fault as its message."""
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class JournalWriter:
    """Appends rows of one process to the file of its run, after removing an incomplete line of a killed process.

    Raises MeasurementError (DiskFull, FolderNotWritable) and then leaves the file as it was before the row.
    """

    def __init__(self, path: Path, *, run_id: str, process: int, simulated: bool, seconds: Callable[[], float]) -> None:
        self.path = path
        self._seconds = seconds
        self._every = {"schema": SCHEMA_VERSION, "run_id": run_id, "process": process, "simulated": simulated}
        self._sequence = 0
        self._file = _open(path)

    def record(self, kind: str, columns: Columns) -> TypedRow:
        """Write a row that its readers accept, flush it to the disk, and return it as they read it.

        A layer, network or window with a column that readers refuse is written as invalid. Another kind of row with
        such a column raises MeasurementError (InvalidRow) and is not written.
        """
        row = self._row(kind, columns)
        flaw = row_or_flaw(row)
        if isinstance(flaw, Flaw) and kind in WINDOWED:
            row |= {"valid": False, "invalid_reason": REFUSED, "message": flaw.says}
        found = row_of(row, f"a {kind} row")
        self._write(row)
        return found

    def _row(self, kind: str, columns: Columns) -> dict[str, Any]:
        own = {"sequence": self._sequence, "at_seconds": round(self._seconds(), 3)}
        return _as_read({"kind": kind, **self._every, **own, **columns})

    def _write(self, row: Columns) -> None:
        line = _text(row).encode() + b"\n"
        end = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, end)
            raise _refusal(self.path, error) from None
        self._sequence += 1

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _open(path: Path) -> int:
    """Open the file for new lines, and remove an incomplete last one."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        lines = os.pread(file, os.fstat(file).st_size, 0)
        os.ftruncate(file, lines.rfind(b"\n") + 1)
    except OSError as error:
        raise _refusal(path, error) from None
    return file


def _refusal(path: Path, error: OSError) -> MeasurementError:
    if error.errno in _DISK_FULL:
        return MeasurementError(
            f"the disk that holds {path} is full: rows so far are kept; make room and give --resume {path.parent}",
            reason="DiskFull",
        )
    return MeasurementError(
        f"{path} cannot be written ({error.strerror}): give --resume a folder that you may write to",
        reason="FolderNotWritable",
    )


def _text(row: Columns) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False)


def _as_read(row: Columns) -> dict[str, Any]:
    """Return the row as its readers get it: a library's version may be an instance of a subclass of str."""
    read: dict[str, Any] = json.loads(_text(_plain(row)))
    return read


def _plain(value: Any) -> Any:
    """Convert to JSON values: numbers that are not finite become null, others keep nine digits."""
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
