"""Whoever names a registry learns nothing of what listens at private addresses, where that is asked for."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from joulecast.errors import ModelFetchError
from joulecast.sources import RegistryAccess, fetch
from tests.harness.certificates import CertificateAuthority

DISCREET = RegistryAccess(denied_networks=(), denied_hosts=(), hides_private_addresses=True)
"""Loopback stands for an address of ours that is not denied."""


@contextmanager
def listening(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """HOST:PORT of a server that does ``answer`` with each connection and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        answer(connection)
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def told(host: str, access: RegistryAccess = DISCREET) -> tuple[str, bool, str]:
    with pytest.raises(ModelFetchError) as caught:
        fetch(f"{host}/team/model:1", access=access)
    return caught.value.reason, caught.value.transient, str(caught.value).replace(host, "HOST")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Everything that may be at an address."""
    pair = CertificateAuthority(tmp_path, "unknown").server("private")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    with ExitStack() as stack:
        yield {
            "nothing": "127.0.0.1:1",
            "not resolved": "registry.invalid:443",
            "hangs up": stack.enter_context(listening(lambda connection: None)),
            "no TLS": stack.enter_context(listening(lambda connection: connection.sendall(b"SSH-2.0-server\r\n"))),
            "TLS of another authority": stack.enter_context(
                listening(lambda connection: tls.wrap_socket(connection, server_side=True).close())
            ),
        }


def test_all_that_may_be_at_a_private_address_is_told_alike(hosts: dict[str, str]) -> None:
    found = {what: told(host) for what, host in hosts.items()}
    found["denied address"] = told(hosts["no TLS"], RegistryAccess(hides_private_addresses=True))
    found["denied name"] = told("web.shop.svc:443", RegistryAccess(hides_private_addresses=True))
    assert len(set(found.values())) == 1, found
    assert found["nothing"][:2] == ("RegistryUnavailable", True)


def test_a_person_at_a_terminal_is_told_what_it_was(hosts: dict[str, str]) -> None:
    open_access = RegistryAccess(denied_networks=())
    assert told(hosts["TLS of another authority"], open_access)[0] == "UntrustedCertificate"
    assert "cannot be connected to" in told(hosts["nothing"], open_access)[2]
    assert told(hosts["no TLS"], RegistryAccess())[0] == "ForbiddenAddress"


def test_a_denied_address_is_never_connected_to() -> None:
    connections: list[object] = []
    with listening(connections.append) as host:
        told(host, RegistryAccess(hides_private_addresses=True))
    assert connections == []


def test_a_private_address_is_tried_once() -> None:
    connections: list[object] = []
    with listening(connections.append) as host:
        told(host)
    assert len(connections) == 1


@pytest.mark.parametrize(
    ("host", "port", "address", "may"),
    [
        ("registry.example", 443, "8.8.8.8", True),
        ("registry.example", 443, "2606:4700::1111", True),
        ("registry.example", 443, "10.0.0.5", False),
        ("registry.example", 443, "192.168.1.1", False),
        ("registry.example", 443, "100.64.0.1", False),
        ("registry.example", 443, "fd12::1", False),
        ("registry.example", 443, "::ffff:10.0.0.5", False),
        ("registry.example", 443, "64:ff9b::a00:5", False),
        ("registry.example", 443, "203.0.114.7", False),  # a node's public address
        ("registry.svc", 5000, "10.96.0.7", True),
        ("registry.svc", 22, "10.96.0.7", False),
        ("company.internal", 22, "10.0.0.7", False),  # permitted at every port, of which most are no registry
    ],
)
def test_of_which_addresses_a_tenant_may_be_told(host: str, port: int, address: str, may: bool) -> None:
    access = RegistryAccess(
        permitted_hosts=("registry.svc:5000", "company.internal"), denied_networks=("203.0.114.0/24",)
    )
    assert access.address_policy.may_tell_of(host, port, address) is may
