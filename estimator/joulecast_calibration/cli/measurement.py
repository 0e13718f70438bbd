"""Show the progress of a measurement on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from joulecast_calibration.measure.report.text import clock
from joulecast_calibration.measure.run.progress import PlainReporter, row_line


class RichReporter:
    """Shows a bar with the row that is measured and the time left, and failed rows and notes above it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, markup=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(20), MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"), console=self._console, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("starting", total=None, left="")
        self._plain = PlainReporter(self._print)
        self._done = 0
        self.kept = ""

    def event(self, name: str, columns: Mapping[str, Any], elapsed_seconds: float) -> None:
        if name == "begin":
            left = f"{clock(columns['seconds_left'])} left"
            total = self._done + columns["rows_left"]
            self._progress.update(self._task, description=columns["label"], total=total, left=left)
        elif name == "row":
            self._done += 1
            self._progress.update(self._task, completed=self._done)
            if columns.get("valid") is False or columns["kind"] == "failure":
                self._print(row_line(columns))
        else:
            self._plain.event(name, columns, elapsed_seconds)

    def _print(self, text: str) -> None:
        """Print a plain line above the progress bar."""
        self._progress.console.print(text, markup=False, highlight=False)

    def keep(self, text: str) -> None:
        """Keep a line to print after the bar is removed."""
        self.kept += text

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()
