"""Free TCP ports on loopback, so that a kept demo and several test runs stand side by side."""

import random
import socket

# Below the ranges from which Linux (32768) and macOS (49152) take the ports of outgoing connections: a port found free
# here is not taken by one of those before it is listened on.
RANGE = range(20_000, 32_000)
ATTEMPTS = 200

_given: set[int] = set()


def free_port() -> int:
    """A port that nothing listens on and that this process has not given out before."""
    for port in random.sample(RANGE, ATTEMPTS):
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free port on 127.0.0.1 in {ATTEMPTS} tries between {RANGE.start} and {RANGE.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what is in TIME_WAIT may be listened on
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
