"""Test which requests the webhook reads and how much of them, and that refused ones cost little."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from joulecast_operator.serving import admission_server
from joulecast_operator.serving.admission_server import (
    REVIEW_BYTES,
    AdmissionServer,
    RequestGuard,
    application,
    common_name,
)
from joulecast_operator.serving.certificate import Certificate
from joulecast_operator.serving.health import listening
from joulecast_operator.serving.rates import AddressRates
from tests.harness import http
from tests.harness.certificates import CertificateAuthority
from tests.harness.ports import free_port

CLOSED = AddressRates(per_second=0, burst=0)


class Reviews:
    """Answers reviews, and keeps the reasons of refused requests."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.refusals: Counter[str] = Counter()

    def review(self, asked: Any) -> dict[str, Any]:
        self.seen.append(asked)
        return {"answered": True}

    def warn(self, _: Any) -> dict[str, Any]:
        return {"warned": True}

    def refused(self, reason: str) -> None:
        self.refusals[reason] += 1


def served(reviews: Reviews, work: Callable[[str], Awaitable[Any]], rates: AddressRates | None = None) -> Any:
    """Return the result of ``work``, called with the URL of a server without TLS."""

    async def run() -> Any:
        app = application(reviews.review, RequestGuard(None, rates), reviews, warn=reviews.warn)
        async with listening(app, 0, host="127.0.0.1", linger_seconds=0.1) as port:
            return await work(f"http://127.0.0.1:{port}/admit")

    return asyncio.run(run())


async def post(url: str, data: Any, *, address: str = "127.0.0.1") -> tuple[int, str]:
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with aiohttp.ClientSession(connector=connector) as session, session.post(url, data=data) as response:
        return response.status, await response.text()


def test_a_review_is_answered_as_json() -> None:
    reviews = Reviews()
    status, text = served(reviews, lambda url: post(url, b'{"request": {}}'))
    assert (status, json.loads(text)) == (200, {"answered": True})
    assert reviews.seen == [{"request": {}}]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_refused_in_a_sentence(body: bytes) -> None:
    reviews = Reviews()
    assert served(reviews, lambda url: post(url, body)) == (400, "the body is not an AdmissionReview in JSON\n")
    assert reviews.refusals == {"malformed": 1}


@pytest.mark.parametrize("declared", [True, False])
def test_a_large_body_is_refused_whether_or_not_it_says_so(declared: bool) -> None:
    async def pieces() -> Any:
        for _ in range(REVIEW_BYTES // 2**16 + 1):
            yield b" " * 2**16

    async def send(url: str) -> int:
        try:
            return (await post(url, b" " * (REVIEW_BYTES + 1) if declared else pieces()))[0]
        except aiohttp.ClientError:  # it was told while it still sent
            return 413

    reviews = Reviews()
    assert served(reviews, send) == 413
    assert reviews.refusals == {"size": 1}


def test_an_address_over_its_rate_is_refused_unread_and_another_is_heard() -> None:
    clock = iter([0.0] * 1000)
    rates = AddressRates(per_second=1, burst=3, now=lambda: next(clock))
    reviews = Reviews()

    async def flood(url: str) -> tuple[list[int], int]:
        mine = [(await post(url, b"{}"))[0] for _ in range(10)]
        return mine, (await post(url, b"{}", address="127.0.0.2"))[0]

    assert served(reviews, flood, rates) == ([200] * 3 + [429] * 7, 200)
    assert len(reviews.seen) == 4
    assert reviews.refusals == {"rate": 7}


def test_senders_that_never_end_keep_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """This also holds if there are more of them than may be read at a time. Each is refused when its time is over."""
    monkeypatch.setattr(admission_server, "_BODY_SECONDS", 3600.0)
    reviews = Reviews()

    async def hold(url: str, address: str) -> asyncio.StreamWriter:
        port = int(url.rpartition(":")[2].partition("/")[0])
        _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        writer.write(f"POST /admit HTTP/1.1\r\nHost: x\r\nContent-Length: {REVIEW_BYTES}\r\n\r\n ".encode())
        return writer

    async def work(url: str) -> int:
        held = [await hold(url, f"127.0.0.{3 + number % 4}") for number in range(80)]
        status, _ = await post(url, b"{}")
        for writer in held:
            writer.close()
        return status

    assert served(reviews, work) == 200


def test_one_that_is_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission_server, "_BODY_SECONDS", 0.05)
    reviews = Reviews()

    async def slow() -> Any:
        yield b"{"
        while not reviews.refusals:
            await asyncio.sleep(0.01)
        yield b"}"

    status, text = served(reviews, lambda url: post(url, slow()))
    assert (status, "must arrive within" in text) == (408, True)
    assert reviews.refusals == {"slow": 1}


@pytest.mark.parametrize(
    ("names", "certificate", "refusal"),
    [
        ((), {"subject": ((("commonName", "kube-apiserver"),),)}, None),
        ((), None, "certificate"),
        ((), {}, "certificate"),
        (("kube-apiserver",), {"subject": ((("organizationName", "x"),), (("commonName", "kube-apiserver"),))}, None),
        (("kube-apiserver",), {"subject": ((("commonName", "kubelet"),),)}, "certificate"),
        (("kube-apiserver",), {"subject": ()}, "certificate"),
        (None, None, "rate"),
    ],
)
def test_who_is_heard(names: tuple[str, ...] | None, certificate: Any, refusal: str | None) -> None:
    assert RequestGuard(names, CLOSED).refusal(certificate, "10.0.0.1") == refusal


def test_the_common_name_of_a_certificate() -> None:
    assert common_name({}) is None
    assert common_name({"subject": ((("commonName", "a"),),)}) == "a"


def test_only_the_holder_of_a_client_certificate_is_heard(tmp_path: Path) -> None:
    own, clients, others = (CertificateAuthority(tmp_path / name, name) for name in ("own", "clients", "others"))
    pair = own.server("webhook")
    api, kubelet = (clients.client(name, user=name) for name in ("kube-apiserver", "kubelet"))
    stranger = others.client("stranger", user="kube-apiserver")
    reviews, port = Reviews(), free_port()
    certificate = Certificate(str(pair.certificate), str(pair.key), client_authority=str(clients.bundle))
    server = AdmissionServer(
        reviews.review,
        certificate,
        reviews,
        warn=reviews.warn,
        host="127.0.0.1",
        port=port,
        client_names=("kube-apiserver",),
    )

    async def status(client: Any) -> int | str:
        tls = http.client_context(own.bundle, *((client.certificate, client.key) if client else ()))
        async with aiohttp.ClientSession() as session:
            try:
                async with session.post(f"https://127.0.0.1:{port}/admit", data=b"{}", ssl=tls) as response:
                    return response.status
            except (aiohttp.ClientError, ssl.SSLError):
                return "no connection"

    async def run() -> list[int | str]:
        async for _ in server(None):
            return [await status(client) for client in (api, api, None, kubelet, stranger)]
        raise AssertionError("it yields once it listens")

    assert asyncio.run(run()) == [200, 200, 403, 403, "no connection"]
    assert len(reviews.seen) == 2
    assert reviews.refusals == {"certificate": 2}


def test_the_path_says_whether_the_object_may_be_changed() -> None:
    async def ask(url: str) -> list[str]:
        return [(await post(url + path, b"{}"))[1] for path in ("", "/warn", "/warning")]

    assert served(Reviews(), ask) == ['{"answered": true}', '{"warned": true}', '{"answered": true}']
