"""Run the jobs of tests in a worker.

Usage: `python -m tests.unit.joulecast_operator.workers.jobs SECONDS MEMORY_BYTES`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from joulecast.errors import ModelFormatError
from joulecast_operator.workers import sandbox, seccomp
from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.sandbox import WorkerLimits, serve

MACHINE = platform.machine()
LIBC = ctypes.CDLL(None, use_errno=True)  # as native code has it: no hook of Python is asked


def echo(_: bytes) -> Header:
    return {"pid": os.getpid(), "environment": sorted(os.environ)}


def sleep(_: bytes) -> Header:
    time.sleep(600)
    return {}


def spin(_: bytes) -> Header:
    while True:
        pass


def eat(_: bytes) -> Header:
    return {"eaten": len(bytearray(2**32))}


def die(_: bytes) -> Header:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def kill_worker(_: bytes) -> Header:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)
    return {}


def fail(_: bytes) -> Header:
    raise ModelFormatError("there is no model here: give one")


def stumble(_: bytes) -> Header:
    raise ZeroDivisionError("a bug")


def chat(_: bytes) -> Header:
    print("something printed must not land between the frames")
    return {"said": True}


def connect(_: bytes) -> Header:
    socket.create_connection(("127.0.0.1", 9))
    return {}


def _native(call: str, *arguments: int) -> str:
    return errno.errorcode[ctypes.get_errno()] if getattr(LIBC, call)(*arguments) == -1 else "done"


def native_calls(_: bytes) -> Header:
    """Return how the kernel answers system calls that are not made by Python."""
    return {
        "socket": _native("socket", socket.AF_INET, socket.SOCK_STREAM, 0),
        "socket of the machine": _native("socket", socket.AF_UNIX, socket.SOCK_STREAM, 0),
        "io_uring": _native("syscall", getattr(seccomp.NETWORK["io_uring_setup"], MACHINE), 1, 0),
        "program": _native("execv", 0, 0),
        "memory of the parent": _native("process_vm_readv", os.getppid(), 0, 0, 0, 0, 0),
        "file of the parent": _native("syscall", getattr(seccomp.PROCESSES["pidfd_open"], MACHINE), os.getppid(), 0),
        "number of tomorrow": _native("syscall", 500, 0),
        "own number": _native("getpid"),
    }


def start_program(_: bytes) -> Header:
    subprocess.run(["true"], check=True)
    return {}


def write_file(_: bytes) -> Header:
    Path(os.devnull).write_text("x")
    return {}


JOBS: dict[str, Callable[[bytes], Header]] = {
    job.__name__: job
    for job in (
        echo,
        sleep,
        spin,
        eat,
        die,
        kill_worker,
        fail,
        stumble,
        chat,
        connect,
        native_calls,
        start_program,
        write_file,
    )
}


def work(header: Header, body: bytes) -> tuple[Header, bytes]:
    return JOBS[header["job"]](body), body[::-1]


def main(arguments: list[str]) -> None:
    seconds, memory_bytes = arguments
    if "WITHOUT_NAMESPACES" in os.environ:  # as RuntimeDefault does
        assert seccomp.refuse({"unshare": seccomp.KERNEL["unshare"]})
        assert not sandbox.without_network()
    serve(
        work,
        WorkerLimits(seconds=float(seconds), memory_bytes=int(memory_bytes)),
        isolated="ISOLATED" in os.environ,
        warm=(),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
