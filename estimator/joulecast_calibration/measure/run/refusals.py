"""Check a request before the measurement begins, and refuse it in one sentence that names a remedy."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.plan.configuration import PRECISIONS, RUNTIMES, SLICES
from joulecast_calibration.rows.journals import Line
from joulecast_calibration.rows.measured import SCHEMA_VERSION
from joulecast_calibration.rows.typed import SessionRow, TypedRow

SMALLEST_BUDGET_SECONDS = 90.0  # of a run that goes on: imports, context, closing anchors, and some rows
LONGEST_PROCESS_SECONDS = 570.0  # 9.5 minutes: docs/measuring.md
SMALLEST_PROCESS_SECONDS = 120.0  # half of it would be imports and context

_LEAST_FREE_BYTES = 64 << 20  # some 40,000 rows
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def duration_seconds(text: str, option: str) -> float:
    """Parse ``25m``, ``90s``, ``1.5h`` or a number of seconds. Raises MeasurementError (WrongUsage)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if not match:
        raise wrong_usage(f"{option} {text!r} cannot be read as a length of time: give 25m, 90s or a number of seconds")
    return float(match[1]) * _UNITS[match[2] or "s"]


def check_times(budget_seconds: float, process_seconds: float) -> None:
    """Check that something can be measured in these times. Raises MeasurementError if not."""
    if budget_seconds < SMALLEST_BUDGET_SECONDS:
        raise wrong_usage(
            f"a budget of {budget_seconds:g} s is too small: a run that goes on needs {SMALLEST_BUDGET_SECONDS:g} s,"
            " and a new one three minutes for its imports, constants and anchors; give --budget 5m or more",
        )
    if process_seconds < SMALLEST_PROCESS_SECONDS:
        raise wrong_usage(
            f"processes of {process_seconds:g} s spend their time on imports: give --process-minutes"
            f" {SMALLEST_PROCESS_SECONDS / 60:g} or more"
        )


def check_names(slices: Iterable[str], precision: str, runtime: str) -> None:
    """Check that slices, precision and runtime exist. Raises MeasurementError if one does not."""
    for word, value, known in (
        *(("slice", name, SLICES) for name in slices),
        *([("precision", precision, PRECISIONS)] if precision else []),
        *([("runtime", runtime, RUNTIMES)] if runtime else []),
    ):
        if value not in known:
            raise wrong_usage(f"unknown {word} {value!r}: choose from {', '.join(known)}")


def wrong_usage(sentence: str) -> MeasurementError:
    return MeasurementError(sentence, reason="WrongUsage")


def check_folder(folder: Path) -> None:
    """Create the folder. Raises MeasurementError (FolderNotWritable, DiskFull)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise MeasurementError(
            f"{folder} cannot be written ({error.strerror}): give --resume a folder that you may write to",
            reason="FolderNotWritable",
        ) from None
    if shutil.disk_usage(folder).free < _LEAST_FREE_BYTES:
        raise MeasurementError(
            f"the disk that holds {folder} has less than {_LEAST_FREE_BYTES >> 20} MiB free: make room first",
            reason="DiskFull",
        )


def lock(folder: Path) -> int:
    """Lock the folder against other measurements; the lock holds until the descriptor and its copies are closed.

    Raises MeasurementError (FolderInUse).
    """
    file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise MeasurementError(
            f"another measurement is writing to {folder}: wait for it, or give another folder", reason="FolderInUse"
        ) from None
    return file


def check_rows(lines: Iterable[Line], folder: Path) -> None:
    """Check that new rows may be added to the folder's rows. Raises MeasurementError (OtherRows) if not.

    Rows of another version of the suite are accepted: they are identified by name and digest, and each carries its own
    graph.
    """
    for line in lines:
        if line.schema != SCHEMA_VERSION:
            raise _other(folder, f"schema {line.schema}, and this version writes schema {SCHEMA_VERSION}")


def check_accelerator(rows: Iterable[TypedRow], folder: Path, accelerator: str) -> None:
    """Check that the folder's rows are of this kind of card. Raises MeasurementError (OtherRows) if not.

    Simulated cards are kinds of their own.
    """
    for row in rows:
        if isinstance(row, SessionRow) and row.accelerator != accelerator:
            raise _other(folder, f"{row.accelerator}, and the card here is {accelerator}")


def _other(folder: Path, what: str) -> MeasurementError:
    return MeasurementError(f"{folder} holds rows of {what}: give another folder", reason="OtherRows")
