"""Run jobs inside a worker process: import what jobs need once, then fork a child process for each job.

Only the child reads the job, so that credentials and untrusted bytes are gone with it. It has limits on memory, CPU
time and wall time, ends with its parent, and returns one frame. If it fails, only that job fails.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from joulecast import defects
from joulecast.errors import JoulecastError
from joulecast_operator import logs
from joulecast_operator.workers import frames, seccomp

log = logging.getLogger(__name__)

GO: Final = b"J"
"""Sent before each job. The end of the input means that there are no more jobs."""

NAMESPACE: Final = "namespace"
SECCOMP: Final = "seccomp"
AUDIT_HOOK: Final = "audit-hook"
BARRIERS: Final = (NAMESPACE, SECCOMP, AUDIT_HOOK)
"""The barriers between a job and the network, the strongest first: an empty network namespace, a filter of system
calls, and an audit hook of Python."""

JobFunction = Callable[[frames.Header, bytes], tuple[frames.Header, bytes]]
"""Does one job: takes header and body of its frame, and returns those of the answer."""

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_CLONE_NEWUSER: Final = 0x10000000  # linux/sched.h
_CLONE_NEWNET: Final = 0x40000000
_STATM_VIRTUAL: Final = 0

_WHERE: Final = "please report it with the traceback that the controller's log has under {id}"

# audit events that a process that only computes never causes (docs.python.org/3/library/audit_events.html)
_FORBIDDEN: Final = (
    "socket.",
    "subprocess.",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "os.startfile",
    "ctypes.dlopen",
    "http.client.",
    "urllib.",
    "ftplib.",
    "smtplib.",
    "pty.spawn",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLimits:
    """What one job may use.

    - ``seconds``: CPU time and wall time.
    - ``memory_bytes``: address space in addition to what the process has when the job begins.
    """

    seconds: float
    memory_bytes: int


def serve(work: JobFunction, limits: WorkerLimits, *, isolated: bool, warm: Sequence[str]) -> None:
    """Answer jobs from standard input on standard output until the input ends.

    ``isolated``: whether jobs are separated from the network. ``warm``: modules that jobs need, imported once for all.
    """
    output = os.dup(1)
    os.dup2(2, 1)  # prints go to the log and not between the frames
    logs.configure("warning")
    _die_with_parent(os.getppid())
    for name in warm:
        importlib.import_module(name)
    if isolated:
        isolate()
    while os.read(0, 1) == GO:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _child(work, limits, writer, isolated=isolated)
        os.close(writer)
        answer = _everything(reader)
        os.close(reader)
        _, status = os.waitpid(child, 0)
        frames.write(output, answer if _whole(answer) else frames.pack({"killed": _cause(status)}))


def isolate() -> list[str]:
    """Set up every barrier between this process and the network that the kernel provides, and return their names.

    The last one, an audit hook, stops Python code only. Each job sets it up for itself.
    """
    namespace = without_network()  # before the filter, which refuses the system call for this
    filtered = seccomp.refuse({**seccomp.NETWORK, **seccomp.PROCESSES, **seccomp.KERNEL})
    standing = {NAMESPACE: namespace, SECCOMP: filtered, AUDIT_HOOK: True}
    return [name for name, stands in standing.items() if stands]


def without_network() -> bool:
    """Move this process into an empty network namespace for good; tells whether the kernel allowed it.

    The process must have only one thread.
    """
    try:
        return bool(ctypes.CDLL(None).unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0)
    except (AttributeError, OSError):
        return False


def forbid() -> None:
    """Forbid this process, by an audit hook, to open sockets, start programs or write files."""
    sys.addaudithook(_refuse)


def failure(error: BaseException) -> frames.Header:
    """Convert an exception into a header: its reason, its message, whether a later try may help."""
    return {"killed": "memory"} if isinstance(error, MemoryError) else {"error": error_fields(error)}


def error_fields(error: BaseException) -> frames.Header:
    """Return an error as JSON: reason, message and whether to try again.

    The traceback of a defect is logged under the id that its message names.
    """
    if isinstance(error, JoulecastError) and not defects.is_defect(error):
        return {"reason": error.reason, "message": str(error), "transient": error.transient}
    log.error("a job failed by a defect of joulecast", exc_info=error, extra={"defect": defects.defect_id(error)})
    return {"reason": defects.REASON, "message": defects.sentence(error, where=_WHERE), "transient": False}


def _child(work: JobFunction, limits: WorkerLimits, writer: int, *, isolated: bool) -> NoReturn:
    try:
        _die_with_parent(os.getppid())
        _limit(limits)
        header, body = frames.read(0)
        if isolated:
            forbid()
        answer = frames.pack(*_guarded(work, header, body))
        frames.write(writer, answer)
    finally:
        os._exit(0)


def _guarded(work: JobFunction, header: frames.Header, body: bytes) -> tuple[frames.Header, bytes]:
    try:
        return work(header, body)
    except BaseException as error:
        return failure(error), b""


def _limit(limits: WorkerLimits) -> None:
    seconds = int(limits.seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, limits.seconds)  # the default action of its signal ends the process
    if sys.platform == "linux":  # macOS enforces no RLIMIT_AS
        total = _virtual_bytes() + limits.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (total, total))


def _virtual_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[_STATM_VIRTUAL]
    return int(pages) * resource.getpagesize()


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends for any reason."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN) or (event == "open" and _writes(arguments)):
        raise PermissionError(f"the process that reads a model may not do this: {event}")


def _writes(arguments: tuple[Any, ...]) -> bool:
    mode, flags = arguments[1], arguments[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


def _everything(descriptor: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    while part := os.read(descriptor, 2**20):
        total += len(part)
        if total <= frames.MAXIMUM_BYTES:
            parts.append(part)
    return b"".join(parts)


def _whole(answer: bytes) -> bool:
    try:
        frames.unpack(answer)
    except frames.FrameError:
        return False
    return True


def _cause(status: int) -> str:
    """Return why a child gave no answer: ``time`` or ``cpu`` for our limits, else how it ended."""
    if not os.WIFSIGNALED(status):
        return f"exit code {os.waitstatus_to_exitcode(status)}"
    number = os.WTERMSIG(status)
    known = {signal.SIGALRM: "time", signal.SIGXCPU: "cpu"}
    return known.get(signal.Signals(number), signal.Signals(number).name)
