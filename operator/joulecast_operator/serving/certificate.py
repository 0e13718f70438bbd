"""Load a server's certificate, and load it again when its files change; if they cannot be used, keep the old one."""

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

from joulecast_operator.certificates import der

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 60.0
"""Time between two looks at the files. The kubelet updates a mounted Secret as often, without any event."""

ARRIVAL_SECONDS: Final = 1.0
"""Time between two looks for files that do not exist yet."""

_WARNED_SECONDS: Final = 7 * 86400.0  # before the expiry; issuers renew weeks ahead, and a week is enough to act


class CertificateError(Exception):
    """The files do not hold a usable certificate; the message says which file and why."""


class Certificate:
    """A certificate with its key, which ``context`` serves.

    ``server``: the name of the certificate in messages. ``client_authority``: PEM file of the authorities that verify
    clients' certificates; a client without a certificate is accepted too, so the caller must check it. ``now`` counts
    seconds since 1970.
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
        """Why the present content of the files is not used; None if it is."""

    @property
    def context(self) -> ssl.SSLContext:
        """Return the TLS context to listen with. Every new connection uses the certificate that is current then.

        Raises CertificateError.
        """
        if self._current is None:
            self.load()
        listening = self._bare()
        listening.sni_callback = self._switch  # also called for clients that name no server
        return listening

    def load(self) -> None:
        """Load the files. Raises CertificateError if they cannot be used; the old certificate then stays in use."""
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

    async def arrival(self, seconds: float = ARRIVAL_SECONDS) -> None:
        """Return when the files can be used; until then, look at intervals and log once what is missing."""
        told = ""
        while self._current is None:
            try:
                self.load()
            except CertificateError as error:
                if str(error) != told:
                    told = str(error)
                    log.info("waiting for %s: %s", self._server, told)
                self.refused = told
                await asyncio.sleep(seconds)
        self.refused = None

    async def watch(self, seconds: float = CHECK_SECONDS) -> None:
        """Call ``look`` at intervals, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            self.look()

    def look(self) -> None:
        """Load the files if they changed, or log why they cannot be used; warn once before the certificate expires."""
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

    def unusable(self) -> str | None:
        """Return a message if there is no certificate yet or if the one in use has expired: no client accepts it."""
        if self._current is None:
            return f"there is no certificate yet: {self.refused or self._certfile}"
        over = self.expires <= self._now()
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
        """Return a TLS context without a certificate. It asks for clients' certificates if their authority is known."""
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if self._client_authority is not None:
            made.load_verify_locations(self._client_authority)
            made.verify_mode = ssl.CERT_OPTIONAL
        return made

    def _read(self) -> tuple[ssl.SSLContext, float]:
        fresh = self._bare()
        fresh.load_cert_chain(self._certfile, self._keyfile, password="")  # without it OpenSSL asks at the terminal
        return fresh, der.not_after_of_pem(self._certfile.read_text()).timestamp()

    def _read_digest(self) -> str:
        """Return a digest of all files, which is kept instead of the key."""
        paths = [self._certfile, self._keyfile, *([self._client_authority] if self._client_authority else [])]
        return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
