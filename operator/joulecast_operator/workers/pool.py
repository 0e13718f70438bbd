"""Run jobs in a pool of worker processes that can be killed. This process neither reads models nor calls registries."""

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

GRACE_SECONDS: Final = 5.0  # a job ends by itself at its time limit; one that runs this much longer is killed

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
"""Environment variables that a worker inherits. None holds settings or credentials of the controller."""


class WorkerError(JoulecastError):
    """A job reached a limit, or its process died."""

    default_reason = "WorkerFailed"
    default_transient = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProgram:
    """How a worker is started, and what a job may use.

    - ``name``: name in messages, "fetcher" or "profiler".
    - ``module``: the Python module that the worker runs.
    - ``seconds``: most time of a job.
    - ``memory_bytes``: most address space that a job may add.
    - ``environment``: further environment variables.
    - ``waits_for_others``: whether a job's time depends on a registry, so that a later try may be faster.
    """

    name: str
    module: str
    seconds: float
    memory_bytes: int
    environment: Mapping[str, str] = field(default_factory=dict)
    waits_for_others: bool = False

    @property
    def command(self) -> list[str]:
        """Return the command line of a worker."""
        return [sys.executable, "-m", self.module, str(self.seconds), str(self.memory_bytes)]


class Pool:
    """Runs jobs, each in a worker process of ``program``. ``turns.py`` decides how many run and which is next."""

    def __init__(self, program: WorkerProgram) -> None:
        self._program = program
        self._idle: list[asyncio.subprocess.Process] = []
        self._busy: set[asyncio.subprocess.Process] = set()

    async def start(self) -> None:
        """Start one worker, so that the first job does not wait for its imports."""
        self._idle.append(await self._spawned())

    async def close(self) -> None:
        """Kill every worker, also busy ones."""
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
            log.warning("a %s process died", self._program.name, extra={"error": repr(error)})
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
        """Return an idle worker, None if there is none; workers that died while idle are dropped."""
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
    """Kill a worker and the child that runs its job, which form a process group."""
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
            f"the {program.name} was stopped after {program.seconds:g} s: give spec.model.path or a smaller model, or"
            " ask the administrator to raise the limit",
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
    return WorkerError(f"the {program.name} was killed by something else ({cause})", reason=f"{prefix}Killed")
