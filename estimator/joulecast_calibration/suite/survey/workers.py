"""Run processes that trace architectures.

A process that crashes or hangs costs the architecture that it was tracing, and no other.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from joulecast.readers.named.entry import Entry

COMMAND = (sys.executable, "-m", "joulecast_calibration.suite.survey.worker")
ORDER_OF_SETS = {"PYTHONHASHSEED": "0"}
"""Environment of a process that traces: some networks go through a set of names while they are built (gemma-3), and
with another order of its rows a graph has another digest."""

LONGEST_SECONDS = 3600.0
"""Time limit of one architecture whose process waits for something; what computes has a limit of processor time."""

_TAIL_BYTES = 4000  # of a worker's standard error: its last line tells why it ended


def surveyed(
    entries: Sequence[Entry],
    *,
    workers: int,
    command: Sequence[str] = COMMAND,
    longest_seconds: float = LONGEST_SECONDS,
) -> Generator[dict[str, Any], None, None]:
    """Yield what a worker found of each of ``entries``, or a skip with its reason, as the results come.

    Wherever the iterator ends, the workers have ended.
    """
    wanted: queue.SimpleQueue[Entry] = queue.SimpleQueue()
    for entry in entries:
        wanted.put(entry)
    found: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    surveyors = [_Worker(command=command, longest_seconds=longest_seconds) for _ in range(workers)]
    threads = [threading.Thread(target=worker.work, args=(wanted, found), daemon=True) for worker in surveyors]
    for thread in threads:
        thread.start()
    try:
        for _ in entries:
            yield found.get()
    finally:
        for worker in surveyors:
            worker.dismiss()
        for thread in threads:
            thread.join()


@dataclass(kw_only=True)
class _Worker:
    command: Sequence[str]
    longest_seconds: float
    process: subprocess.Popen[str] | None = None
    dismissed: bool = False
    errors: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    changing: threading.Lock = field(default_factory=threading.Lock)
    """Held where a process is started, and where it is decided that none is."""

    def work(self, wanted: queue.SimpleQueue[Entry], found: queue.SimpleQueue[dict[str, Any]]) -> None:
        """Survey until nothing is wanted, or until dismissed; the process has ended then."""
        while True:
            try:
                entry = wanted.get_nowait()
            except queue.Empty:
                break
            with self.changing:
                if self.dismissed:
                    break
                self.process = self.process or self._started()
            found.put(self._survey(entry, self.process))
        self._end()

    def dismiss(self) -> None:
        """End the thread of ``work`` from another thread."""
        with self.changing:
            self.dismissed = True
            if self.process:
                self.process.kill()

    def _survey(self, entry: Entry, process: subprocess.Popen[str]) -> dict[str, Any]:
        late = threading.Timer(self.longest_seconds, process.kill)
        late.start()
        answer = _asked(process, entry.recorded)
        in_time = not late.finished.is_set()
        late.cancel()
        late.join()
        if answer:
            return json.loads(answer)  # type: ignore[no-any-return]
        reason = self._why(process) if in_time else f"took longer than {self.longest_seconds:g} s"
        self._end()
        return {"name": entry.recorded, "task": entry.task, "family": entry.family, "reason": reason}

    def _started(self) -> subprocess.Popen[str]:
        self.errors.seek(0)
        self.errors.truncate()
        return subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=os.environ | ORDER_OF_SETS,
        )

    def _why(self, process: subprocess.Popen[str]) -> str:
        code = process.wait()
        self.errors.seek(0, 2)
        self.errors.seek(max(0, self.errors.tell() - _TAIL_BYTES))
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        return f"the tracing process ended {how}" + (f": {lines[-1].strip()}" if lines else "")

    def _end(self) -> None:
        with self.changing:
            process, self.process = self.process, None
        if process:
            process.kill()
            process.communicate()


def _asked(process: subprocess.Popen[str], name: str) -> str:
    """Return the line that answers ``name``; empty if the process ended before the line was complete."""
    if process.stdin is None or process.stdout is None:
        return ""
    try:
        process.stdin.write(name + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except (OSError, ValueError):
        return ""
    return answer if answer.endswith("\n") else ""
