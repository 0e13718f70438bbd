"""Test which certificate the webhook uses while its files change, and what it reports."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from prometheus_client import CollectorRegistry

from joulecast_operator.metrics.webhook import CERTIFICATE_EXPIRY, show_expiry
from joulecast_operator.serving.certificate import Certificate, CertificateError
from tests.harness.certificates import VALIDITY, CertificateAuthority, KeyPair


class World:
    """A certificate whose files and time a test sets."""

    def __init__(self, folder: Path) -> None:
        self.authority = CertificateAuthority(folder / "ca", "ca")
        self.first = self.authority.server("first")
        self.crt, self.key = folder / "tls.crt", folder / "tls.key"
        self.now = datetime.now(UTC).timestamp()
        self.put(self.first)
        self.certificate = Certificate(str(self.crt), str(self.key), now=lambda: self.now)
        self.certificate.load()

    def put(self, pair: KeyPair) -> None:
        shutil.copy(pair.certificate, self.crt)
        shutil.copy(pair.key, self.key)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def end_of(pair: KeyPair) -> float:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()).not_valid_after_utc.timestamp()


def test_the_end_of_a_certificate_is_read(world: World) -> None:
    assert world.certificate.expires == end_of(world.first)
    registry = CollectorRegistry()
    show_expiry(registry, lambda: world.certificate.expires)
    assert registry.get_sample_value(CERTIFICATE_EXPIRY.name) == end_of(world.first)


@pytest.mark.parametrize("damage", ["garbage", "", "half", "missing", "another key"])
def test_a_damaged_file_keeps_the_old_one_and_says_so_once(
    world: World, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    if damage == "missing":
        world.crt.unlink()
    elif damage == "another key":
        shutil.copy(world.authority.server("other").key, world.key)
    else:
        text = world.crt.read_text()
        world.crt.write_text(text[: len(text) // 2] if damage == "half" else damage)
    before = world.certificate.expires
    for _ in range(3):
        world.certificate.look()
    assert world.certificate.expires == before
    assert "cannot be served" in str(world.certificate.refused)
    assert len(world.certificate.notes()) == 2
    assert caplog.text.count("stays in use") == 1
    world.put(world.authority.server("second"))
    world.certificate.look()
    assert world.certificate.refused is None
    assert len(world.certificate.notes()) == 1


def test_one_that_has_ended_takes_no_place_of_one_that_has_not(world: World) -> None:
    late = world.authority.server("late")
    world.now = end_of(late) + 1
    world.certificate.expires = world.now + VALIDITY.total_seconds()
    world.put(late)
    with pytest.raises(CertificateError, match=r"expired at .*: renew it"):
        world.certificate.load()


def test_an_end_that_is_near_is_warned_of_once_and_one_that_is_past_is_said(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.certificate.look()
    assert "renew" not in caplog.text
    world.now = world.certificate.expires - 86400
    for _ in range(3):
        world.certificate.look()
    assert caplog.text.count("only: renew it") == 1
    assert world.certificate.unusable() is None
    world.now = world.certificate.expires
    assert "expired at" in str(world.certificate.unusable())


def test_files_that_do_not_exist_yet_are_waited_for_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pair = CertificateAuthority(tmp_path / "ca", "ca").server("own")
    awaited = Certificate(str(tmp_path / "tls.crt"), str(tmp_path / "tls.key"))
    assert "there is no certificate yet" in str(awaited.unusable())

    async def run() -> None:
        waiting = asyncio.create_task(awaited.arrival(0.001))
        while awaited.refused is None:
            await asyncio.sleep(0.001)
        assert "tls.crt" in str(awaited.unusable())
        shutil.copy(pair.certificate, tmp_path / "tls.crt")
        await asyncio.sleep(0.01)
        assert not waiting.done(), "the key is still missing"
        shutil.copy(pair.key, tmp_path / "tls.key")
        await waiting

    asyncio.run(run())
    assert awaited.unusable() is None
    assert awaited.notes() == [f"the webhook's certificate is valid until {awaited.notes()[0].split()[-1]}"]
    assert caplog.text.count("No such file or directory: '" + str(tmp_path / "tls.crt")) == 1
