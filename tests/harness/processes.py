"""One program as a process: log and pid file in a directory, ready when it answers, restarted by name."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness import reaper
from tests.harness.steps import tail

READY_SECONDS = 300.0  # a cold API server takes 5 s on two cores; one that ended is noticed at once
STOP_SECONDS = 60.0
POLL_SECONDS = 0.05


class ProcessError(RuntimeError):
    """A program that did not start, did not answer or ended by itself; the message holds the end of its log."""


class Process:
    """A program that runs until it is stopped.

    It leads a process group of its own and ends with this Python process, however that one ends, unless `detached`.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        is_ready: Callable[[], bool] | None = None,
        detached: bool = False,
    ) -> None:
        """`directory` gets NAME.log and NAME.pid; `is_ready` is asked until it says yes."""
        self.name = name
        self.argv = [str(part) for part in argv]
        self.directory = directory
        self.environment = dict(environment) if environment is not None else dict(os.environ)
        self.detached = detached
        self._is_ready = is_ready
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """The running program's pid. Raises `ProcessError` if it is not running."""
        if self._popen is None or self._popen.poll() is not None:
            raise ProcessError(f"{self.name} is not running")
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self, *, wait: bool = True) -> Self:
        """Start the program; with `wait`, return once it is ready. Raises `ProcessError`."""
        if self.is_running:
            raise ProcessError(f"{self.name} runs already (pid {self.pid})")
        self.directory.mkdir(parents=True, exist_ok=True)
        stop_recorded(self._pid_file)
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.argv,
                env=self.environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if not self.detached:
            reaper.watch(self._popen.pid)
        self._pid_file.write_text(f"{self._popen.pid} {reaper.start_of(self._popen.pid)}")
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return once the program answers. Raises `ProcessError` if it ends or does not answer in time."""
        deadline = time.monotonic() + seconds
        while self._is_ready is not None and not self._is_ready():
            if not self.is_running:
                code = self._popen.returncode if self._popen else None
                raise ProcessError(f"{self.name} ended (exit code {code}). The end of {self.log}:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                self.kill()
                raise ProcessError(f"{self.name} gave no answer in {seconds:.0f} s:\n{tail(self.log)}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> int | None:
        """End the program with SIGTERM, then SIGKILL; returns its exit code, None if it was never started."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int | None:
        """End the program with SIGKILL, as a crash would."""
        return self._end(signal.SIGKILL)

    def restart(self, *, wait: bool = True) -> Self:
        """Stop the program and start it again with the same arguments."""
        self.stop()
        return self.start(wait=wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def _pid_file(self) -> Path:
        return self.directory / f"{self.name}.pid"

    def _end(self, number: signal.Signals) -> int | None:
        if self._popen is None:
            return None
        pid = self._popen.pid
        if self._popen.poll() is None:
            self._popen.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout=STOP_SECONDS)
        self._kill_group(pid)
        code = self._popen.wait()
        if not self.detached:
            reaper.forget(pid)
        self._pid_file.unlink(missing_ok=True)
        return code

    @staticmethod
    def _kill_group(pid: int) -> None:
        """Children that the program left behind, and the program itself if it would not end."""
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


def stop_recorded(pid_file: Path) -> None:
    """End the process that a pid file names, if it is still that process, and remove the file."""
    try:
        pid, _, start = pid_file.read_text().partition(" ")
    except FileNotFoundError:
        return
    if pid.isdigit():
        _end_recorded(int(pid), start)
    pid_file.unlink(missing_ok=True)


def stop_directory(directory: Path) -> list[str]:
    """End everything whose pid files lie under `directory`, last started first; returns the names."""
    files = sorted(directory.rglob("*.pid"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files:
        stop_recorded(path)
    return [path.stem for path in files]


def _end_recorded(pid: int, start: str) -> None:
    reaper.kill_group(pid, start, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while start and is_alive(pid, start) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    reaper.kill_group(pid, start)


def is_alive(pid: int, start: str) -> bool:
    """Whether `pid` is still the process that started at `start`, and no zombie."""
    if reaper.start_of(pid) != start:
        return False
    try:  # a zombie whose parent has not asked for it is no running process
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self/stat").exists()
