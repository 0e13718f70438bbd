"""The end of a certificate's validity in its DER form."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from joulecast_operator.certificates import der


@pytest.mark.parametrize("year", [2031, 2051])  # UTCTime until 2049, GeneralizedTime from 2050
def test_both_forms_of_a_time_are_read(year: int) -> None:
    key, end = ec.generate_private_key(ec.SECP256R1()), datetime(year, 2, 3, 4, 5, 6, tzinfo=UTC)
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own")])
    builder = x509.CertificateBuilder().subject_name(named).issuer_name(named).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(end)
    assert der.not_after(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)) == end


@pytest.mark.parametrize("content", [b"", b"\x30", b"\x30\x00", b"\x30\x03\x02\x01\x05", b"\xff" * 40])
def test_what_is_no_certificate_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="no readable expiry date"):
        der.not_after(content)
