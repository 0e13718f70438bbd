"""Long commands, run with a report of how far they are, their output in a log file."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness import reaper

REPORT_EVERY_SECONDS = 30.0  # without a terminal: often enough to show life, rare enough for a CI log
REFRESH_SECONDS = 0.5
TAIL_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a step is: `done` of `total` `parts` (a `total` of 0 is unknown), and its `outcome` once it has ended."""

    title: str
    log: Path
    elapsed_seconds: float
    done: int = 0
    total: int = 0
    parts: str = "parts"
    outcome: str = ""

    def __str__(self) -> str:
        if self.outcome:
            return f"{self.title}: {self.outcome} {self.elapsed}"
        return f"{self.title}: {f'{self.counted}, ' if self.total else ''}{self.elapsed}, log {self.log}"

    @property
    def counted(self) -> str:
        return f"{self.done:,} of {self.total:,} {self.parts}"

    @property
    def elapsed(self) -> str:
        minutes, seconds = divmod(int(self.elapsed_seconds), 60)
        return f"{minutes}:{seconds:02d}"


Report = Callable[[Standing], None]


class StepError(RuntimeError):
    """A step that failed or cannot start; the message says what to do."""


class Printer:
    """A `Report` that prints one line: rewritten on a terminal, said again now and then elsewhere."""

    def __init__(self) -> None:
        self._rewrites = sys.stdout.isatty()
        self._last_seconds = float("-inf")

    def __call__(self, standing: Standing) -> None:
        if standing.outcome:
            print(f"{self._blank}{standing}", flush=True)
        elif self._rewrites:
            print(f"{self._blank}{standing}", end="", flush=True)
        elif time.monotonic() - self._last_seconds >= REPORT_EVERY_SECONDS:
            self._last_seconds = time.monotonic()
            print(standing, flush=True)

    @property
    def _blank(self) -> str:
        return "\r\x1b[K" if self._rewrites else ""


def run_step(
    title: str,
    argv: Sequence[str | Path],
    log: Path,
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    report: Report | None = None,
    total: int = 0,
    parts: str = "parts",
) -> None:
    """Run `argv` to its end and report how far it is. Raises `StepError` with the log's tail if it fails.

    With a `total`, each line that the command writes stands for one of its `parts`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    tell, started_seconds = report or Printer(), time.monotonic()

    def standing(outcome: str = "") -> Standing:
        elapsed_seconds = time.monotonic() - started_seconds
        done = min(_lines(log), total) if total else 0
        return Standing(
            title=title, log=log, elapsed_seconds=elapsed_seconds, done=done, total=total, parts=parts, outcome=outcome
        )

    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in argv],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        reaper.watch(process.pid)
        try:
            _wait(process, lambda: tell(standing()))
        finally:
            _end(process)
    tell(standing("failed after" if process.returncode else "done in"))
    if process.returncode != 0:
        raise StepError(f"{title} failed (exit code {process.returncode}). The end of {log}:\n{tail(log)}")


def _lines(log: Path) -> int:
    return log.read_bytes().count(b"\n")


def _wait(process: "subprocess.Popen[bytes]", each: Callable[[], None]) -> None:
    while True:
        each()
        try:
            process.wait(timeout=REFRESH_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Whatever still runs of the command, such as the compilers of an interrupted build."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    reaper.forget(process.pid)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
