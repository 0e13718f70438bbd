"""The certificate that /metrics is served with where none is given."""

from __future__ import annotations

import asyncio
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from joulecast_operator.serving import self_signed


def made(name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(self_signed.make(name))


def test_key_and_certificate_belong_together_and_can_be_served(tmp_path: Path) -> None:
    path = tmp_path / "both.pem"
    path.write_bytes(self_signed.make("pod-1"))
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(path)
    key = load_pem_private_key(path.read_bytes(), password=None)
    assert key.public_key() == x509.load_pem_x509_certificate(path.read_bytes()).public_key()


def test_it_names_the_pod_and_localhost_and_is_valid_for_clocks_that_are_late() -> None:
    found = made("pod-1")
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pod-1", "localhost"]
    assert (datetime.now(UTC) - found.not_valid_before_utc).total_seconds() >= 3600
    assert found.not_valid_after_utc.year > found.not_valid_before_utc.year + 8


def test_a_long_host_name_is_cut_in_the_subject_alone() -> None:
    found = made("n" * 63 + ".example")
    assert len(found.subject.rfc4514_string().removeprefix("CN=")) == 64
    assert "n" * 63 + ".example" in str(found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def test_a_process_that_makes_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(OSError, match=r"no certificate could be made for /metrics \(exit code 1\)"):
        asyncio.run(self_signed.context())
