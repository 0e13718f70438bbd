"""Report what happens to the webhook's certificate: an event on the webhook's Deployment, and a log line."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from joulecast_operator.api.conditions import EventToPost
from joulecast_operator.api.kinds import DEPLOYMENTS
from joulecast_operator.cluster.writer import Writer
from joulecast_operator.index.index import Index

log = logging.getLogger(__name__)

NEAR_SECONDS: Final = 7 * 86400.0  # before the expiry; issuers renew weeks ahead, and a week is enough to act
_WAITING: Final = 16  # events that are kept until the index knows the Deployment


class CertificateEvents:
    """Posts events on the webhook's Deployment, each change once; they wait until ``index`` knows it.

    ``deployment``: the name of that Deployment; "" for one that runs elsewhere, whose events stay in the log.
    """

    def __init__(self, *, index: Index, writer: Writer, namespace: str, deployment: str) -> None:
        self._index = index
        self._writer = writer
        self._namespace, self._deployment = namespace, deployment
        self._waiting: list[EventToPost] = []
        self._warned: dict[str, str] = {}

    def changed(self, reason: str, message: str) -> None:
        """Report that something was made or renewed."""
        log.info("%s: %s", reason, message)
        self._add(EventToPost(kind="Normal", reason=reason, message=message))

    def warn(self, reason: str, message: str) -> None:
        """Report that somebody should act, once for each message of a reason."""
        if self._warned.get(reason) != message:
            self._warned[reason] = message
            log.warning("%s: %s", reason, message)
            self._add(EventToPost(kind="Warning", reason=reason, message=message))

    def near(self, expires: float, now: float, advice: str) -> None:
        """Warn if the certificate expires soon. Times are in seconds since 1970."""
        if expires - now < NEAR_SECONDS:
            state = "expired" if expires <= now else "expires"
            self.warn("CertificateExpires", f"the webhook's certificate {state} at {time_text(expires)}: {advice}")
        else:
            self.settled("CertificateExpires")

    def settled(self, reason: str) -> None:
        """Forget a warning, so that it is given again if its cause comes back."""
        self._warned.pop(reason, None)

    async def post(self) -> None:
        """Post the events that wait, if the Deployment is known by now; those that cannot be posted are logged."""
        found = None
        if self._waiting:
            found = self._index.workload(DEPLOYMENTS.kind, self._namespace, self._deployment)
        if found is not None:
            waiting, self._waiting = self._waiting, []
            for event in waiting:
                try:
                    await self._writer.event(DEPLOYMENTS, found, event)
                except Exception:  # an event must not end what it reports
                    log.warning("the event %s could not be posted", event.reason, exc_info=True)

    def _add(self, event: EventToPost) -> None:
        if self._deployment:
            self._waiting = [*self._waiting[1 - _WAITING :], event]


def time_text(seconds: float) -> str:
    """Return a time in seconds since 1970 as RFC 3339 writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
