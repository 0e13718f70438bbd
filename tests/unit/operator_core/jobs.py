"""A worker that does whatever a test asks of it: `python -m tests.unit.operator_core.jobs SECONDS MEMORY_BYTES`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from joulecast.errors import ModelFormatError
from joulecast_operator.frames import Header
from joulecast_operator.sandbox import Limits, serve


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


def start_program(_: bytes) -> Header:
    subprocess.run(["true"], check=True)
    return {}


def write_file(_: bytes) -> Header:
    Path(os.devnull).write_text("x")
    return {}


JOBS: dict[str, Callable[[bytes], Header]] = {
    job.__name__: job
    for job in (echo, sleep, spin, eat, die, kill_worker, fail, stumble, chat, connect, start_program, write_file)
}


def work(header: Header, body: bytes) -> tuple[Header, bytes]:
    return JOBS[header["job"]](body), body[::-1]


def main(arguments: list[str]) -> None:
    seconds, memory_bytes = arguments
    serve(
        work, Limits(seconds=float(seconds), memory_bytes=int(memory_bytes)), isolated="ISOLATED" in os.environ, warm=()
    )


if __name__ == "__main__":
    main(sys.argv[1:])
