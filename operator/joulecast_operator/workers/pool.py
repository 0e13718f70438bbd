"""A pool of killable worker processes; nothing here reads a model or asks a registry."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from joulecast.errors import JoulecastError
from joulecast_operator.workers import frames
from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.sandbox import GO

log = logging.getLogger(__name__)

GRACE_SECONDS: Final = 5.0  # a job ends itself at its limit; a job that still runs after this much more is killed

_PASSED: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "JOULECAST_ALLOW_SIMULATED_PROFILES",  # of tests
)
"""Variables that a worker inherits: none holds settings or credentials of the controller."""


class WorkerError(JoulecastError):
    """A job that ran into a limit or died."""

    default_reason = "WorkerFailed"
    default_transient = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProgram:
    """How a worker is started and what a job may use. ``name``: the word for messages, "fetcher" or "profiler".

    ``waits_for_others``: its time depends on a registry, so that a job that took too long may do better later.
    """

    name: str
    module: str
    seconds: float
    memory_bytes: int
    environment: Mapping[str, str] = field(default_factory=dict)
    waits_for_others: bool = False

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", self.module, str(self.seconds), str(self.memory_bytes)]


class Pool:
    """One process for each running job; turns.py decides how many there are and which job is next."""

    def __init__(self, program: WorkerProgram) -> None:
        self._program = program
        self._idle: list[asyncio.subprocess.Process] = []
        self._busy: set[asyncio.subprocess.Process] = set()

    async def start(self) -> None:
        """Have one worker ready, so that the first job finds its imports done."""
        self._idle.append(await self._spawned())

    async def close(self) -> None:
        """End every worker, busy ones too."""
        for process in (*self._idle, *self._busy):
            _kill(process)
        await asyncio.gather(*(process.wait() for process in (*self._idle, *self._busy)))
        self._idle.clear()

    async def run(self, header: Mapping[str, Any], body: bytes = b"") -> tuple[Header, bytes]:
        """Run one job and return its answer. Raises JoulecastError with the worker's reason, else WorkerError."""
        answer, rest = await self._asked(frames.pack(header, body))
        _raise_for(answer, self._program)
        return answer, rest

    async def _asked(self, job: bytes) -> tuple[Header, bytes]:
        process = self._waiting_one() or await self._spawned()
        self._busy.add(process)
        try:
            async with asyncio.timeout(self._program.seconds + GRACE_SECONDS):
                answer = await _exchange(process, job)
        except TimeoutError:
            return {"killed": "time"}, b""
        except (OSError, EOFError, frames.FrameError) as error:
            log.warning("a %s died", self._program.name, extra={"error": repr(error)})
            return {"killed": "worker"}, b""
        else:
            self._idle.append(process)
            return answer
        finally:
            self._busy.discard(process)
            if process not in self._idle:
                _kill(process)
                await process.wait()

    def _waiting_one(self) -> asyncio.subprocess.Process | None:
        """Return an idle worker; workers that were killed while idle are dropped, so that no job is lost."""
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        return None

    async def _spawned(self) -> asyncio.subprocess.Process:
        environment = {key: os.environ[key] for key in _PASSED if key in os.environ} | dict(self._program.environment)
        return await asyncio.create_subprocess_exec(
            *self._program.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )


async def _exchange(process: asyncio.subprocess.Process, job: bytes) -> tuple[Header, bytes]:
    if process.stdin is None or process.stdout is None:
        raise EOFError
    process.stdin.write(GO + job)
    await process.stdin.drain()
    prefix = await process.stdout.readexactly(frames.PREFIX.size)
    return frames.unpack(prefix + await process.stdout.readexactly(sum(frames.lengths(prefix))))


def _kill(process: asyncio.subprocess.Process) -> None:
    """End a worker and the job it runs: they form a process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _raise_for(answer: Header, program: WorkerProgram) -> None:
    if "error" in answer:
        error = answer["error"]
        raise JoulecastError(str(error["message"]), reason=str(error["reason"]), transient=bool(error["transient"]))
    if "killed" in answer:
        raise _killed(str(answer["killed"]), program)


def _killed(cause: str, program: WorkerProgram) -> WorkerError:
    prefix = program.name.capitalize()
    if cause in ("time", "cpu"):
        return WorkerError(
            f"the {program.name} was stopped after {program.seconds:g} s: give spec.model.path, a smaller model,"
            " or ask the administrator to raise the limit",
            reason=f"{prefix}Timeout",
            transient=program.waits_for_others,
        )
    if cause == "memory":
        return WorkerError(
            f"the {program.name} needed more than {program.memory_bytes / 2**20:,.0f} MiB of memory:"
            " ask the administrator to raise the limit, or give a smaller model",
            reason=f"{prefix}OutOfMemory",
            transient=False,
        )
    return WorkerError(f"the {program.name} was ended from outside ({cause})", reason=f"{prefix}Killed")
