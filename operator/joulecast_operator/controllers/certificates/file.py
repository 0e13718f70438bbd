"""Warn before a certificate of the webhook expires that somebody else makes: the controller reads it from a file."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from joulecast_operator.certificates import der
from joulecast_operator.controllers.certificates.events import CertificateEvents

log = logging.getLogger(__name__)


class CertificateFile:
    """Watches the file ``path``, which holds no key, and reports to ``events``. ``now`` counts seconds since 1970."""

    def __init__(self, path: str, *, events: CertificateEvents, now: Callable[[], float] = time.time) -> None:
        self._path = Path(path)
        self._events = events
        self._now = now

    async def watch(self, seconds: float) -> None:
        """Look at intervals, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(seconds)

    async def look(self) -> None:
        """Warn if the certificate expires soon; a file that is missing or damaged is the webhook's to report."""
        try:
            expires = der.not_after_of_pem(self._path.read_text()).timestamp()
        except (OSError, ValueError) as error:
            log.debug("%s holds no certificate: %s", self._path, error)
        else:
            self._events.near(expires, self._now(), "renew it where it is issued")
        await self._events.post()
