"""Long commands, run with one line of progress, their output in a log file."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.harness import reaper

REPORT_EVERY_SECONDS = 30.0  # without a terminal: often enough to show life, rare enough for a CI log
REFRESH_SECONDS = 0.5
TAIL_LINES = 20

Report = Callable[[str], None]


class StepError(RuntimeError):
    """A step that failed or cannot start; the message says what to do."""


class Progress:
    """One line about what goes on: rewritten on a terminal, said again now and then elsewhere."""

    def __init__(self, report: Report | None = None) -> None:
        self._report = report or (lambda line: print(line, flush=True))
        self._rewrites = report is None and sys.stdout.isatty()
        self._last_seconds = float("-inf")

    def update(self, line: str) -> None:
        if self._rewrites:
            print(f"\r\x1b[K{line}", end="", flush=True)
        elif time.monotonic() - self._last_seconds >= REPORT_EVERY_SECONDS:
            self._last_seconds = time.monotonic()
            self._report(line)

    def end(self, line: str) -> None:
        if self._rewrites:
            print("\r\x1b[K", end="")
        self._report(line)


def run_step(
    title: str,
    argv: Sequence[str | Path],
    log: Path,
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    report: Report | None = None,
) -> None:
    """Run `argv` to its end with progress on one line. Raises `StepError` with the log's tail if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    progress, started_seconds = Progress(report), time.monotonic()
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
            _wait(process, lambda: progress.update(f"{title}: {elapsed(started_seconds)}, log {log}"))
        finally:
            _end(process)
    if process.returncode != 0:
        progress.end(f"{title}: failed after {elapsed(started_seconds)}")
        raise StepError(f"{title} failed (exit code {process.returncode}). The end of {log}:\n{tail(log)}")
    progress.end(f"{title}: done in {elapsed(started_seconds)}")


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


def elapsed(started_seconds: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - started_seconds), 60)
    return f"{minutes}:{seconds:02d}"


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
