"""Test the two ports of a process."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from joulecast_operator.serving import ports as serving
from joulecast_operator.serving.health import Health
from joulecast_operator.serving.metrics_access import Refusal
from joulecast_operator.settings import Settings
from tests.harness import http
from tests.harness.certificates import CertificateAuthority
from tests.harness.ports import free_port

HEALTH = Health(sick=lambda: None, unready=lambda: None)


class Access:
    """Allows requests that have the right word in their header."""

    def __init__(self, _: object) -> None:
        pass

    async def refusal(self, authorization: str, address: str | None) -> Refusal | None:
        assert address == "127.0.0.1"
        return None if authorization == "Bearer word" else Refusal(status=401, text="say the word")


def answers(settings: Settings, tls: ssl.SSLContext | bool, *, word: bool = True) -> dict[str, tuple[int, str]]:
    """Return the answer of each page of each port."""
    ports = {"health": settings.health_port, "metrics": settings.metrics_port}
    headers = {"Authorization": "Bearer word"} if word else {}

    async def ask() -> dict[str, tuple[int, str]]:
        registry = CollectorRegistry()
        Gauge("answer", "An answer.", registry=registry).set(42)
        found = {}
        async with serving.opened(settings, registry, HEALTH), aiohttp.ClientSession(headers=headers) as session:
            for name, port in ports.items():
                scheme = "http" if name == "health" or settings.metrics_insecure else "https"
                for path in ("/metrics", "/readyz"):
                    async with session.get(f"{scheme}://127.0.0.1:{port}{path}", ssl=tls) as response:
                        found[name + path] = response.status, await response.text()
        return found

    return asyncio.run(ask())


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(serving, "MetricsAccess", Access)
    return Settings(health_port=free_port(), metrics_port=free_port())


def test_metrics_are_for_those_who_may_read_them_and_health_for_everybody(settings: Settings) -> None:
    found = answers(settings, tls=False)
    assert found["health/readyz"] == (200, "ok\n")
    assert found["health/metrics"][0] == 404
    assert (found["metrics/metrics"][0], "answer 42.0" in found["metrics/metrics"][1]) == (200, True)
    assert found["metrics/readyz"][0] == 404
    refused = answers(settings, tls=False, word=False)
    assert refused["metrics/metrics"] == (401, "say the word\n")
    assert refused["metrics/readyz"][0] == 401, "a page that is not there is not told either"
    assert refused["health/readyz"] == (200, "ok\n")


def test_a_certificate_of_ones_own_is_served(settings: Settings, tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path, "ca")
    pair = authority.server("metrics")
    files = {"metrics_certfile": str(pair.certificate), "metrics_keyfile": str(pair.key)}
    found = answers(settings.model_copy(update=files), http.client_context(authority.bundle))
    assert found["metrics/metrics"][0] == 200


def test_files_that_hold_no_certificate_are_one_sentence(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("garbage")
    files = {"metrics_certfile": str(tmp_path / "tls"), "metrics_keyfile": str(tmp_path / "tls")}
    with pytest.raises(SystemExit, match=r"cannot be served: .*; give a certificate"):
        answers(settings.model_copy(update=files), tls=False)


def test_plain_metrics_are_a_choice(settings: Settings) -> None:
    found = answers(settings.model_copy(update={"metrics_insecure": True}), tls=False, word=False)
    assert {page: status for page, (status, _) in found.items()} == {
        "health/readyz": 200,
        "health/metrics": 404,
        "metrics/metrics": 200,
        "metrics/readyz": 200,
    }
