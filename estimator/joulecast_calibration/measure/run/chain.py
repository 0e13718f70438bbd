"""Measure a budget in a chain of processes.

Each process starts afresh and measures what is left; a process that dies costs one row at most.
"""

from __future__ import annotations

import json
import math
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.plan.configuration import PARENT
from joulecast_calibration.measure.plan.history import MOST_CRASHES
from joulecast_calibration.measure.run.journal import JournalWriter
from joulecast_calibration.measure.run.process import ProcessJob
from joulecast_calibration.measure.run.progress import Reporter
from joulecast_calibration.measure.run.refusals import check_folder, check_rows, lock
from joulecast_calibration.measure.run.request import MeasurementRequest
from joulecast_calibration.rows.journals import read_rows
from joulecast_calibration.rows.typed import FailureRow
from joulecast_calibration.suite.survey.workers import ORDER_OF_SETS

_SILENCE_SECONDS = 300.0  # the longest row is a compilation; a process that tells nothing for longer hangs
_SMALLEST_REST_SECONDS = 60.0  # imports and context alone take 15 to 30 s
_MOST_IDLE_DEATHS = 3  # processes in a row that die without having begun a row
LOG = "process.log"
"""File in the folder of the rows with the standard error of measuring processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a command ended.

    - ``reason``: ``complete``, ``budget``, ``process`` (the one process asked for has ended) or ``foreign process``.
    - ``rows``: number of rows written by this command.
    - ``skipped``: number of rows left out, by what is missing for them.
    - ``processes``: run id and number of each process that measured.
    """

    reason: str
    rows: int
    seconds: float
    skipped: Mapping[str, int]
    processes: frozenset[tuple[str, int]] = frozenset()


@dataclass(slots=True)
class _Watched:
    """What a parent knows of its child.

    - ``begun``: the event of the row that is being measured; None between rows.
    """

    started: Mapping[str, Any] | None = None
    begun: Mapping[str, Any] | None = None
    ended: str = ""
    lost: str = ""
    refused: Mapping[str, Any] | None = None
    at_seconds: float = 0.0
    hung: bool = False


def perform(request: MeasurementRequest, reporter: Reporter) -> Ending:
    """Measure what ``check_request`` has accepted.

    Raises MeasurementError where the measurement is refused or cannot continue; the rows measured so far are kept.
    """
    check_folder(request.folder)
    held = lock(request.folder)
    try:
        check_rows(read_rows(request.folder).lines, request.folder)
        ending = Chain(request, reporter=reporter, lock=held).run()
    except MeasurementError as error:
        raise _with_way_out(error) from None
    finally:
        os.close(held)
    if ending.reason == "foreign process":
        raise MeasurementError(
            f"another process stays on the GPU: {ending.rows} rows are kept in {request.folder}; end it, or take a card"
            f" of your own, and give --resume {request.folder} again",
            reason="ForeignProcessOnDevice",
        )
    return ending


def _with_way_out(error: MeasurementError) -> MeasurementError:
    """Add that the runner can be tried without a GPU to an error about a missing GPU."""
    if error.reason != "NoDevice":
        return error
    return MeasurementError(f"{error}, or give --simulate to try the runner without a GPU", reason=error.reason)


class Chain:
    """Starts and watches measuring processes.

    - ``lock``: a descriptor that the children keep open.
    """

    def __init__(self, request: MeasurementRequest, *, reporter: Reporter, lock: int) -> None:
        self._request, self._reporter, self._lock = request, reporter, lock
        self._virtual = request.device.startswith("simulated:")
        self._began, self._virtual_seconds = time.monotonic(), 0.0
        self._rows, self._idle_deaths = 0, 0
        self._skipped: Mapping[str, int] = {}
        self._processes: set[tuple[str, int]] = set()

    def run(self) -> Ending:
        """Start processes until the budget or the plan is finished.

        Raises MeasurementError with what a process refused, or where processes die without measuring anything.
        """
        reason = "budget"
        while (left := self._request.budget_seconds - self._elapsed()) >= _SMALLEST_REST_SECONDS:
            watched = self._process(left)
            if watched.ended in ("complete", "budget", "foreign process"):
                reason = watched.ended
                break
            if self._request.single and watched.ended:
                reason = watched.ended
                break
        return Ending(
            reason=reason,
            rows=self._rows,
            seconds=self._elapsed(),
            skipped=self._skipped,
            processes=frozenset(self._processes),
        )

    def _process(self, left: float) -> _Watched:
        """Run one child to its end, with equal shares of the time, so that no process is too short to be worth its
        start."""
        longest, single = self._request.process_seconds, self._request.single
        count = math.ceil(left / longest)
        seconds = min(left, longest) if single else left / count
        watched = self._watch(
            ProcessJob(request=self._request, seconds=seconds, last=count == 1 or single, spawned_at=time.monotonic())
        )
        if self._virtual:
            self._virtual_seconds += watched.at_seconds
        self._judge(watched)
        return watched

    def _watch(self, job: ProcessJob) -> _Watched:
        watched = _Watched()
        with (job.request.folder / LOG).open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "joulecast_calibration.measure", "--job", job.to_json()],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, pass_fds=[self._lock],
                env=os.environ | ORDER_OF_SETS | {PARENT: str(os.getpid())},
            )  # fmt: skip
            try:
                for event in _events(child, watched):
                    self._take_event(event, watched)
                child.wait()
            finally:
                child.kill()
                child.wait()
        return watched

    def _take_event(self, event: dict[str, Any], watched: _Watched) -> None:
        """Note what an event says of the process, and pass it on to the reporter."""
        name = event.pop("event")
        watched.at_seconds = max(watched.at_seconds, event["at_seconds"])
        if name == "started":
            watched.started, self._skipped = event, event["skipped"]
            self._processes.add((event["run_id"], event["process"]))
        elif name == "begin":
            watched.begun = event
        elif name == "row":
            watched.begun, self._rows, self._idle_deaths = None, self._rows + 1, 0
        elif name == "ended":
            watched.ended = event["reason"]
        elif name == "lost":
            watched.lost = event["message"]
        elif name == "refused":
            watched.refused = event
        elapsed = self._virtual_seconds + event["at_seconds"] if self._virtual else self._elapsed()
        self._reporter.event(name, event, elapsed)

    def _judge(self, watched: _Watched) -> None:
        """Decide whether the chain may continue after this process. Raises MeasurementError if not."""
        if watched.refused:
            raise MeasurementError(watched.refused["message"], reason=watched.refused["reason"])
        if watched.ended:
            return
        if watched.started and watched.begun:
            self._record_crash(watched, watched.started, watched.begun)
            return
        self._idle_deaths += 1
        if not watched.started or self._idle_deaths >= _MOST_IDLE_DEATHS:
            raise MeasurementError(
                f"a measuring process ended before it measured anything; see its last output: {self._last_output()}"
            )

    def _record_crash(self, watched: _Watched, started: Mapping[str, Any], begun: Mapping[str, Any]) -> None:
        """Write the row of a configuration that ended its process."""
        key, label, path = begun["key"], begun["label"], Path(started["path"])
        message = watched.lost or ("it hung and was ended" if watched.hung else self._last_output())
        crashes = 1 + _crashes(path.parent, key)
        with JournalWriter(
            path, run_id=started["run_id"], process=started["process"],
            simulated=started["simulated"], seconds=lambda: watched.at_seconds,
        ) as journal:  # fmt: skip
            journal.record(
                "failure",
                {"key": key, "name": label, "slice": begun["slice"], "reason": "Crash",
                 "message": message, "crashes": crashes, "given_up": crashes >= MOST_CRASHES},
            )  # fmt: skip
        text = f"{label} ended its process ({message})"
        text += ": given up" if crashes >= MOST_CRASHES else ": tried once more"
        self._reporter.event("note", {"text": text}, self._elapsed())
        if key.startswith("constants") and crashes >= MOST_CRASHES:
            raise MeasurementError(f"the device's constants cannot be measured: {message}")

    def _last_output(self) -> str:
        """Return the end of what the children wrote to standard error."""
        log = self._request.folder / LOG
        lines = log.read_bytes()[-4096:].decode("utf-8", errors="replace").strip().splitlines()
        return f"{lines[-1][:300]} (see {log})" if lines else "it did not print anything"

    def _elapsed(self) -> float:
        return self._virtual_seconds if self._virtual else time.monotonic() - self._began


def _events(child: subprocess.Popen[bytes], watched: _Watched) -> Iterator[dict[str, Any]]:
    """Yield the events of a child until it closes its output; end a child that is silent for too long."""
    assert child.stdout is not None  # noqa: S101 (a pipe was asked for)
    pending = b""
    while True:
        ready, _, _ = select.select([child.stdout], [], [], _SILENCE_SECONDS)
        if not ready:
            watched.hung = True
            child.kill()
            return
        chunk = os.read(child.stdout.fileno(), 1 << 16)
        if not chunk:
            return
        *lines, pending = (pending + chunk).split(b"\n")
        yield from (json.loads(line) for line in lines)


def _crashes(folder: Path, key: str) -> int:
    rows = read_rows(folder).rows
    return sum(isinstance(row, FailureRow) and row.reason == "Crash" and row.key == key for row in rows)
