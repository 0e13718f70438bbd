"""Make a self-signed certificate: `python -m joulecast_operator.serving.self_signed` prints key and certificate as PEM.

It runs in a separate process, because `cryptography` takes 10 MB of memory in each process that imports it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from typing import Final

_VALIDITY: Final = timedelta(days=3650)  # it is used as long as the process runs, and clients do not verify it
_BACKDATE: Final = timedelta(hours=1)  # for clocks that differ, as in client-go


async def context() -> ssl.SSLContext:
    """Return a TLS context with a new certificate. Raises OSError if none can be made."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "joulecast_operator.serving.self_signed", stdout=asyncio.subprocess.PIPE
    )
    pem, _ = await process.communicate()
    if process.returncode != 0:
        raise OSError(f"no certificate could be made for /metrics (exit code {process.returncode})")
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile(prefix="joulecast-", suffix=".pem") as file:  # readable by its owner alone
        file.write(pem)
        file.flush()
        made.load_cert_chain(file.name)
    return made


def make(name: str) -> bytes:
    """Return a new key and a certificate for ``name`` in PEM form."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])  # RFC 5280, ub-common-name
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - _BACKDATE).not_valid_after(now + _VALIDITY)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName("localhost")])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


if __name__ == "__main__":
    sys.stdout.buffer.write(make(socket.gethostname() or "joulecast"))
