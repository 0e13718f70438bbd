"""Free TCP ports on loopback, so that a kept demo and several test runs stand side by side."""

from __future__ import annotations

import fcntl
import functools
import random
import socket
from typing import IO

from tests.harness.cache import cache_directory

# Below the ranges from which Linux (32768) and macOS (49152) take the ports of outgoing connections: a port found free
# here is not taken by one of those before it is listened on.
RANGE = range(20_000, 32_000)
ATTEMPTS = 200

_given: set[int] = set()


def free_port() -> int:
    """A port that nothing listens on and that no process of this user's, this one included, has been given and lives.

    A program is often started long after its port was chosen, and while it is restarted nothing listens on it.
    """
    for port in random.sample(RANGE, ATTEMPTS):
        if port not in _given and _reserve(port) and _is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free port on 127.0.0.1 in {ATTEMPTS} tries between {RANGE.start} and {RANGE.stop}")


def _reserve(port: int) -> bool:
    """Have the kernel hold ``port``'s byte of a file for this process until it ends; False if another one has it."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@functools.cache
def _reservations() -> IO[bytes]:
    """Open to the end: a process loses its record locks with the first handle of the file that it closes."""
    return (cache_directory() / "ports.lock").open("ab")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what is in TIME_WAIT may be listened on
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
