"""The real programs that the demo runs: found, or built in the background with a progress bar."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from rich.progress import BarColumn, Progress, TextColumn

from examples.demo.terminal import console
from tests.harness import binaries
from tests.harness.steps import Printer, Standing

POLL_SECONDS = 0.5


class Programs:
    """Builds those of `names` that this machine has not yet, in this order, while something else is shown."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._error: Exception | None = None
        self._latest: Standing | None = None
        self._thread = threading.Thread(target=self._build, name="programs", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Show how far the build is, and return once all are there. Raises what the build raised."""
        if console.is_terminal:
            self._wait_with_bar()
        else:
            self._wait_with_lines()
        if self._error is not None:
            raise self._error

    def _build(self) -> None:
        try:
            binaries.ensure(self._names, report=self._note)
        except Exception as error:
            self._error = error

    def _note(self, standing: Standing) -> None:
        self._latest = standing

    def _building(self) -> bool:
        self._thread.join(timeout=POLL_SECONDS)
        return self._thread.is_alive()

    def _wait_with_lines(self) -> None:
        printer = Printer()
        while self._building():
            if self._latest is not None:
                printer(self._latest)

    def _wait_with_bar(self) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[counted]}")
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("looking for the programs", total=None, counted="")
            log = None
            while self._building():
                if self._latest is not None and self._latest.log != log:
                    log = self._latest.log
                    bar.console.print(f"{self._latest.title}; log {log}", markup=False, soft_wrap=True)
                if self._latest is not None:
                    bar.update(task, **shown(self._latest))


def shown(standing: Standing) -> dict[str, object]:
    """What the bar shows; it moves to and fro where nobody knows how much there is to do."""
    counted = f"{standing.counted}, {standing.elapsed}" if standing.total else standing.elapsed
    verb, _, _ = standing.title.partition(" ")
    return {"description": verb, "completed": standing.done, "total": standing.total or None, "counted": counted}
