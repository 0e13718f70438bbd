"""Show the progress of a measurement as plain lines, which a log can hold."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from joulecast_calibration.measure.report.text import clock


class Reporter(Protocol):
    """Receives every event of a run: ``started``, ``begin``, ``row``, ``note``, ``ended``."""

    def event(self, name: str, columns: Mapping[str, Any], elapsed_seconds: float) -> None: ...


class PlainReporter:
    """Prints one line per event, with the time since the command began.

    - ``write``: prints a line; by default on standard error.
    """

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write or partial(print, file=sys.stderr, flush=True)
        self._rows = 0
        self._left: Mapping[str, Any] = {}

    def event(self, name: str, columns: Mapping[str, Any], elapsed_seconds: float) -> None:
        if name == "begin":
            self._left = columns
        if name not in _LINES:
            return
        if name == "row":
            self._rows += 1
        line = _LINES[name](columns)
        left = f" · {clock(self._left['seconds_left'])} left" if name == "row" and self._left else ""
        count = f" {self._rows:>4}" if name == "row" else ""
        self._write(f"[{clock(elapsed_seconds)}]{count} {line}{left}")


def _started(columns: Mapping[str, Any]) -> str:
    which = "goes on" if columns["continues"] else "begins"
    return (
        f"process {columns['process']}: run {columns['run_id']} {which} on {columns['accelerator']}"
        f" ({columns['rows_left']} rows left, {clock(columns['seconds'])} for this process)"
    )


def row_line(columns: Mapping[str, Any]) -> str:
    """Format a row as one line."""
    figures = ""
    if columns.get("joules") is not None:
        figures = f": {columns['joules']:.4g} J, {1e3 * columns['seconds']:.4g} ms, {columns['watts']:.0f} W"
    trouble = columns.get("invalid_reason") or columns.get("reason")
    return f"{columns['slice']}: {columns['label']}{figures}{f' ({trouble})' if trouble else ''}"


_LINES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "started": _started,
    "row": row_line,
    "note": lambda columns: str(columns["text"]),
    "ended": lambda columns: f"process ended: {columns['reason']}",
}
