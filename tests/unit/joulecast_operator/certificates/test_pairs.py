"""Test certificates as they are made and read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from joulecast_operator.certificates import pairs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_pair_is_read_as_it_was_written() -> None:
    made = pairs.new_authority(NOW, DAY)
    read = pairs.read_pair(made.certificate_pem, made.key_pem)
    assert read is not None
    assert (read.certificate, read.key_pem) == (made.certificate, made.key_pem)


def test_a_key_of_another_kind_or_with_a_password_is_none() -> None:
    made, other = pairs.new_authority(NOW, DAY), rsa.generate_private_key(65537, 2048)
    text = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert pairs.read_pair(made.certificate_pem, text) is None
    assert pairs.read_pair("", made.key_pem) is None
    assert pairs.read_pair(made.certificate_pem, pairs.new_authority(NOW, DAY).key_pem) is None


def test_it_is_valid_an_hour_early_and_due_after_two_thirds() -> None:
    certificate = pairs.new_authority(NOW, 3 * DAY).certificate
    assert pairs.is_valid(certificate, NOW - timedelta(hours=1))
    assert not pairs.is_valid(certificate, NOW - timedelta(hours=1, seconds=1))
    assert pairs.due_at(certificate) == NOW + 2 * DAY
    assert not pairs.is_valid(certificate, NOW + 3 * DAY)


def test_only_its_own_authority_has_signed_it() -> None:
    authority, other = pairs.new_authority(NOW, DAY), pairs.new_authority(NOW, DAY)
    server = pairs.new_server(authority, ["a.b.svc", "a.b.svc.cluster.local"], NOW, DAY).certificate
    assert pairs.is_signed_by(server, [other.certificate, authority.certificate])
    assert not pairs.is_signed_by(server, [other.certificate])
    assert pairs.names_of(server) == {"a.b.svc", "a.b.svc.cluster.local"}
    assert pairs.names_of(authority.certificate) == set()


def test_two_authorities_have_different_names() -> None:
    """Else a client that trusts both tries one that did not sign."""
    first, second = (pairs.new_authority(NOW, DAY).certificate for _ in range(2))
    assert first.subject != second.subject


@pytest.mark.parametrize("length", [10, 200])
def test_a_long_name_is_cut_in_the_subject_alone(length: int) -> None:
    name = "n" * 10 + ".e" * ((length - 10) // 2)
    server = pairs.new_server(pairs.new_authority(NOW, DAY), [name], NOW, DAY).certificate
    (subject,) = server.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert len(subject.value) <= 64
    assert pairs.names_of(server) == {name}
