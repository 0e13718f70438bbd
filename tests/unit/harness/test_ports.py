"""Ports are free and given once."""

import socket

from tests.harness import ports


def test_a_port_is_free_and_given_once() -> None:
    given = [ports.free_port() for _ in range(50)]
    assert len(set(given)) == 50
    with socket.create_server(("127.0.0.1", given[0])) as server:
        assert server.getsockname()[1] == given[0]


def test_a_port_that_is_listened_on_is_passed_over() -> None:
    port = ports.free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert not ports._is_free(port)
