"""A server's certificate: read again when its files change, and kept where what they hold cannot be served."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from joulecast_operator.serving import der

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 60.0
"""Between two looks at the files: a change of a mounted Secret causes no event, and the kubelet updates it as often."""

_WARNED_SECONDS: Final = 7 * 86400.0  # before the end: issuers renew weeks ahead, and a week is time to see to it


class CertificateError(Exception):
    """The files hold nothing that can be served; the message says which file and why."""


class Certificate:
    """One certificate with its key, served through ``context``. ``now`` counts seconds since 1970, for tests.

    ``server``: how messages call it. ``client_authority``: PEM file of the authorities that clients' certificates are
    checked by; a client without one is still heard, and whoever answers must look at what it showed.
    """

    def __init__(
        self,
        certfile: str,
        keyfile: str,
        *,
        server: str = "the webhook's certificate",
        client_authority: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._certfile, self._keyfile = Path(certfile), Path(keyfile)
        self._server = server
        self._client_authority = Path(client_authority) if client_authority else None
        self._now = now
        self._current: ssl.SSLContext | None = None
        self._digest = ""
        self._warned = False
        self.expires = 0.0
        self.refused: str | None = None
        """Why the files as they are now are not served; None where they are."""

    @property
    def context(self) -> ssl.SSLContext:
        """Return the context to listen with: every new connection gets the certificate of that moment. Raises
        CertificateError."""
        if self._current is None:
            self.load()
        listening = self._bare()
        listening.sni_callback = self._switch  # called for clients that name no server too
        return listening

    def load(self) -> None:
        """Serve what the files hold. Raises CertificateError, and goes on with what was served before."""
        try:
            digest = self._read_digest()
            if digest == self._digest:
                return
            fresh, expires = self._read()
        except (OSError, ValueError) as error:
            beside = f", with clients' authority {self._client_authority}," if self._client_authority else ""
            raise CertificateError(f"{self._certfile} and {self._keyfile}{beside} cannot be served: {error}") from error
        if expires <= self._now() < self.expires:
            raise CertificateError(f"{self._certfile} expired at {_time(expires)}: renew it")
        self._current, self._digest, self.expires, self._warned = fresh, digest, expires, False
        log.info("%s is valid until %s", self._server, _time(expires))

    async def watch(self, seconds: float = CHECK_SECONDS) -> None:
        """Look at the files for ever."""
        while True:
            await asyncio.sleep(seconds)
            self.look()

    def look(self) -> None:
        """Take up what changed, or say in the log why not; warn once of an end that is near."""
        try:
            self.load()
            refused = None
        except CertificateError as error:
            refused = str(error)
            if refused != self.refused:
                log.error("%s; the one that is valid until %s stays in use", refused, _time(self.expires))
        self.refused = refused
        if not self._warned and self.expires - self._now() < _WARNED_SECONDS:
            self._warned = True
            log.warning("%s is valid until %s only: renew it", self._server, _time(self.expires))

    def expired(self) -> str | None:
        """Return a sentence if the certificate in use has expired, so that no API server accepts it."""
        over = self._current is not None and self.expires <= self._now()
        return f"{self._server} expired at {_time(self.expires)}: renew it" if over else None

    def notes(self) -> list[str]:
        """Return the lines that /readyz shows."""
        if self._current is None:
            return []
        known = f"{self._server} is valid until {_time(self.expires)}"
        return [known, self.refused] if self.refused else [known]

    def _switch(self, connection: ssl.SSLSocket | ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        if self._current is not None:
            connection.context = self._current

    def _bare(self) -> ssl.SSLContext:
        """Return a TLS context without a certificate, that asks for clients' where their authority is known."""
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if self._client_authority is not None:
            made.load_verify_locations(self._client_authority)
            made.verify_mode = ssl.CERT_OPTIONAL
        return made

    def _read(self) -> tuple[ssl.SSLContext, float]:
        fresh = self._bare()
        fresh.load_cert_chain(self._certfile, self._keyfile, password="")  # else OpenSSL asks a terminal
        pem = self._certfile.read_text()
        begin = pem.index(ssl.PEM_HEADER)  # the first is the server's own, those of its issuers follow
        own = pem[begin : pem.index(ssl.PEM_FOOTER, begin) + len(ssl.PEM_FOOTER)]
        return fresh, der.not_after(ssl.PEM_cert_to_DER_cert(own)).timestamp()

    def _read_digest(self) -> str:
        """Return a digest of all files; the key itself is not kept."""
        paths = [self._certfile, self._keyfile, *([self._client_authority] if self._client_authority else [])]
        return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
