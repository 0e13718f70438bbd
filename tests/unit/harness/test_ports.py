"""Ports are free and given once."""

import socket
import subprocess
import sys

from tests.harness import ports
from tests.harness.environment import ROOT

RESERVE = "import sys; from tests.harness import ports; print(ports._reserve(int(sys.argv[1])))"


def test_a_port_is_free_and_given_once() -> None:
    given = [ports.free_port() for _ in range(50)]
    assert len(set(given)) == 50
    with socket.create_server(("127.0.0.1", given[0])) as server:
        assert server.getsockname()[1] == given[0]


def test_a_port_that_is_listened_on_is_passed_over() -> None:
    port = ports.free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert not ports._is_free(port)


def test_a_port_is_given_to_one_process() -> None:
    """Though nothing listens on it yet."""
    port = ports.free_port()
    asked = [sys.executable, "-c", RESERVE, str(port)]
    assert subprocess.check_output(asked, cwd=ROOT, text=True) == "False\n"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{RESERVE}; sys.stdout.flush(); sys.stdin.read()", str(port + 20_000)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert not ports._reserve(port + 20_000)
        holder.communicate()
    assert ports._reserve(port + 20_000), "the port of a process that ended"
