"""Test the warning before a certificate expires that somebody else issues."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography import x509

from joulecast_operator.controllers.certificates.file import CertificateFile
from tests.harness.certificates import CertificateAuthority
from tests.unit.joulecast_operator.samples.certificates import DAY, Events, events


def watched(path: Path, posted: Events, now: float) -> CertificateFile:
    return CertificateFile(str(path), events=events(posted), now=lambda: now)


def test_an_event_comes_a_week_before_the_end(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path, "ca")
    path, posted = authority.server("own").certificate, Events()
    path.write_text(path.read_text() + authority.bundle.read_text())
    end = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()
    asyncio.run(watched(path, posted, end - 7 * DAY).look())
    assert posted.posted == []
    asyncio.run(watched(path, posted, end - 7 * DAY + 1).look())
    (event,) = posted.posted
    assert (event.kind, event.reason) == ("Warning", "CertificateExpires")
    assert event.message.endswith(": renew it where it is issued")


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"\xff\xfe"])
def test_a_file_without_a_certificate_is_the_webhooks_to_report(tmp_path: Path, content: bytes | None) -> None:
    path, posted = tmp_path / "tls.crt", Events()
    if content is not None:
        path.write_bytes(content)
    asyncio.run(watched(path, posted, 0).look())
    assert posted.posted == []
