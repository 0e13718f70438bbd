"""Registries behind an HTTP proxy: which requests go through it, and what holds of them then."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from joulecast.errors import ModelFetchError, ModelReferenceError
from joulecast.sources import RegistryAccess, fetch
from joulecast.sources.registries.proxies import VARIABLES, Proxies
from tests.harness.certificates import CertificateAuthority
from tests.harness.ports import free_port
from tests.harness.proxy import TunnelProxy, tunnelling
from tests.images import build
from tests.unit.sources.models import gemm_model
from tests.unit.sources.serving import QuietServer, Served, handler_of

NAME = "registry.example"
IMAGE = build([{"models/m.onnx": gemm_model(width=60, count=2)}])
PUBLIC = "203.0.113.7"  # RFC 5737: nobody's


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[Served, Path]]:
    """A registry with a certificate for ``NAME``, and its authority."""
    authority = CertificateAuthority(tmp_path, "registry-ca")
    pair = authority.server("registry", (NAME,))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    served = Served()
    server: ThreadingHTTPServer = QuietServer(("127.0.0.1", 0), handler_of(served))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    served.host = f"127.0.0.1:{server.server_address[1]}"
    yield served, authority.bundle
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Addresses of names as this machine has them; no other name is ever looked up."""
    known: dict[str, str] = {}
    own = socket.getaddrinfo

    def looked_up(host: Any, *arguments: Any, **options: Any) -> Any:
        if str(host) in known or str(host)[0].isdigit():
            return own(known.get(str(host), host), *arguments, **options)
        raise socket.gaierror(socket.EAI_NONAME, "not known here")

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    return known


def through(proxy: TunnelProxy, bundle: Path | None = None, **more: Any) -> RegistryAccess:
    user = f"http://proxy-user:{proxy.password}@{proxy.host}" if proxy.password else proxy.url
    authority = str(bundle) if bundle else None
    return RegistryAccess(proxies=Proxies(https=user, http=user), certificate_authority=authority, **more)


def test_a_model_is_read_through_a_tunnel_that_ends_at_the_registry(secured: tuple[Served, Path]) -> None:
    served, bundle = secured
    served.add(IMAGE)
    with tunnelling({f"{NAME}:443": served.host}) as proxy:
        model = fetch(f"{NAME}/team/model:1", access=through(proxy, bundle))
    assert model.digest == IMAGE.digest
    assert set(proxy.seen) == {f"CONNECT {NAME}:443"}
    assert not any("proxy-authorization" in request.headers for request in served.requests)


def test_the_registrys_certificate_is_verified_through_the_tunnel(secured: tuple[Served, Path]) -> None:
    served, bundle = secured
    served.add(IMAGE)
    with tunnelling({f"{NAME}:443": served.host, "other.example:443": served.host}) as proxy:
        for reference, trusted in ((f"{NAME}/team/model:1", None), ("other.example/team/model:1", bundle)):
            with pytest.raises(ModelFetchError) as caught:
                fetch(reference, access=through(proxy, trusted))
            assert caught.value.reason == "UntrustedCertificate"
    assert served.requests == []


@pytest.mark.slow
def test_a_proxy_that_wants_a_password_gets_it_and_the_registry_does_not(secured: tuple[Served, Path]) -> None:
    served, bundle = secured
    served.add(IMAGE)
    with tunnelling({f"{NAME}:443": served.host}, password="s3cret") as proxy:
        access = through(proxy, bundle)
        assert fetch(f"{NAME}/team/model:1", access=access).digest == IMAGE.digest
        with pytest.raises(ModelFetchError) as caught:
            fetch(f"{NAME}/team/model:1", access=replace(access, proxies=Proxies(https=proxy.url)))
    assert "through the proxy" in str(caught.value)
    assert not any("s3cret" in str(request) for request in served.requests)
    assert "s3cret" not in repr(access)


def test_a_proxy_that_is_away_is_told_apart_from_a_registry_that_is() -> None:
    away = Proxies(https=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ModelFetchError, match="through the proxy") as caught:
        fetch(f"{NAME}/team/model:1", access=RegistryAccess(proxies=away))
    assert (caught.value.reason, caught.value.transient) == ("RegistryUnavailable", True)


def test_a_name_is_looked_up_once_however_many_requests_there_are(
    secured: tuple[Served, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that drops questions, as in a network that knows outer names by its proxy alone, costs seconds."""
    served, bundle = secured
    served.add(IMAGE)
    asked: list[str] = []
    looked_up = socket.getaddrinfo

    def counted(host: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(str(host))
        return looked_up(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", counted)
    with tunnelling({f"{NAME}:443": served.host}) as proxy:
        fetch(f"{NAME}/team/model:1", access=through(proxy, bundle))
    assert len(served.requests) > 1
    assert asked.count(NAME) == 1


def test_plain_http_goes_through_its_proxy_and_is_counted(served: Served) -> None:
    served.add(IMAGE)
    with tunnelling({NAME: served.host}) as proxy:
        access = replace(through(proxy), insecure_registries=(NAME,))
        assert fetch(f"{NAME}/team/model:1", access=access).digest == IMAGE.digest
    assert set(proxy.seen) <= {f"GET {NAME}", f"HEAD {NAME}"}
    assert proxy.seen


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.96.0.1"])
def test_no_proxy_is_asked_for_what_is_denied(address: str, names: dict[str, str]) -> None:
    names[NAME] = address
    with tunnelling({}) as proxy:
        for host in (NAME, "169.254.169.254", "metadata.google.internal"):
            with pytest.raises(ModelFetchError) as caught:
                fetch(f"{host}/team/model:1", access=through(proxy))
            assert caught.value.reason == "ForbiddenAddress"
    assert proxy.seen == []


def test_a_name_that_is_known_here_is_asked_for_by_name(secured: tuple[Served, Path], names: dict[str, str]) -> None:
    served, bundle = secured
    served.add(IMAGE)
    names[NAME] = PUBLIC
    with tunnelling({f"{NAME}:443": served.host}) as proxy:
        assert fetch(f"{NAME}/team/model:1", access=through(proxy, bundle)).digest == IMAGE.digest


def test_exempt_hosts_and_this_machine_are_asked_directly(served: Served, names: dict[str, str]) -> None:
    names[NAME] = "127.0.0.1"
    served.add(IMAGE)
    port = served.host.rpartition(":")[2]
    with tunnelling({}) as proxy:
        for host, exempt in ((f"{NAME}:{port}", (".example",)), (served.host, ())):
            proxies = Proxies(https=proxy.url, http=proxy.url, exempt=exempt)
            access = RegistryAccess(proxies=proxies, insecure_registries=(host,))
            assert fetch(f"{host}/team/model:1", access=access).digest == IMAGE.digest
    assert proxy.seen == []


@pytest.mark.parametrize(
    ("exempt", "host", "port", "is_direct"),
    [
        ("", "registry.example", None, False),
        ("*", "registry.example", None, True),
        ("registry.example", "registry.example", None, True),
        ("Registry.Example", "registry.example", None, True),
        ("example", "registry.example", None, True),
        (".example", "registry.example", None, True),
        (".example", "example", None, False),
        ("*.example", "registry.example", None, True),
        ("ample", "registry.example", None, False),
        ("a.example, registry.example:5000", "registry.example", 5000, True),
        ("registry.example:5000", "registry.example", None, False),
        ("registry.example:443", "registry.example", None, True),
        ("10.0.0.0/8,192.168.1.5", "10.1.2.3", 5000, True),
        ("10.0.0.0/8,192.168.1.5", "192.168.1.5", None, True),
        ("10.0.0.0/8,192.168.1.5", "192.168.1.55", None, False),
        ("fd00::/8", "[fd00::1]", None, True),
        ("[fd00::1]:5000", "[fd00::1]", 5000, True),
        ("0.1", "10.0.0.1", None, False),
        ("", "localhost", None, True),
        ("", "127.0.0.1", 5000, True),
        ("", "[::1]", 5000, True),
    ],
)
def test_which_hosts_are_exempt(exempt: str, host: str, port: int | None, is_direct: bool) -> None:
    proxies = Proxies.of({"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": exempt})
    assert (proxies.proxy_for("https", host, port) is None) is is_direct
    assert proxies.proxy_for("http", host, port) is None, "HTTPS_PROXY is that of https alone"


@pytest.mark.parametrize(
    ("text", "origin", "credentials"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", None),
        ("proxy.example", "http://proxy.example:80", None),
        ("https://proxy.example", "https://proxy.example:443", None),
        ("http://me:p%40ss@proxy.example:3128", "http://proxy.example:3128", ("me", "p@ss")),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128", None),
    ],
)
def test_how_a_proxy_is_written(text: str, origin: str, credentials: tuple[str, str] | None) -> None:
    found = Proxies.of({"https_proxy": text}).proxy_for("https", NAME, None)
    assert found is not None
    assert (found.origin, found.credentials) == (origin, credentials)


@pytest.mark.parametrize("text", ["socks5://me:s3cret@proxy:1080", "http://", "http://proxy:port", "http://me:s3cret@"])
def test_a_proxy_that_cannot_be_used_is_said_without_its_password(text: str) -> None:
    with pytest.raises(ModelReferenceError, match="HTTPS_PROXY") as caught:
        fetch(f"{NAME}/m:1", access=RegistryAccess(proxies=Proxies.of({"HTTPS_PROXY": text})))
    assert caught.value.reason == "InvalidProxy"
    assert "s3cret" not in str(caught.value)


def test_a_person_at_a_terminal_has_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert RegistryAccess.of_user().proxies == Proxies(https="http://proxy.example:3128")
    assert RegistryAccess().proxies == Proxies()
    assert "HTTPS_PROXY" in os.environ
