"""Keep the webhook's certificate in a Secret, renew it, and tell the API server which authority signs it.

Every look compares the Secret and the webhook's configuration with what they should hold, and writes what differs, each
write on condition that nobody else has written. So a look may be repeated, broken off anywhere, or run twice at a time.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joulecast_operator.api.kinds import SECRETS, WEBHOOK_CONFIGURATIONS
from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.certificates import worker
from joulecast_operator.certificates.worker import Answer, Question
from joulecast_operator.cluster import defects
from joulecast_operator.cluster.client import ApiError, Cluster
from joulecast_operator.controllers.certificates.events import CertificateEvents, time_text
from joulecast_operator.settings import Settings

log = logging.getLogger(__name__)

_AUTHORITIES: Final = "ca.crt"
_ROUNDS: Final = 8  # writes of one look: a certificate and its authority take three, and each conflict one more
_RETRY_SECONDS: Final = 2.0  # Helm makes the configuration some seconds after the controller starts
_TOLD_SECONDS: Final = 300.0  # an API server that restarts is back before
_DAY_SECONDS: Final = 86400.0
_CONFLICT: Final = frozenset({404, 409})  # the object was deleted, made or changed since it was read

Ask = Callable[[Question], Awaitable[Answer]]
"""Returns what the Secret should hold."""


class NotInOrderError(Exception):
    """The certificate cannot be put in order now; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the API server holds.

    - ``configuration``: the webhook's configuration; None if there is none.
    - ``secret``: the Secret; None if there is none.
    """

    configuration: Resource | None
    secret: Resource | None


class WebhookCertificate:
    """Keeps the Secret and the configuration that ``settings`` name in order.

    ``ask`` returns what the Secret should hold. ``now`` counts seconds since 1970.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        settings: Settings,
        events: CertificateEvents,
        ask: Ask = worker.ask,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._events = events
        self._ask = ask
        self._now = now
        self._secret_path = SECRETS.path(settings.namespace, settings.webhook_secret)
        self._configuration_path = WEBHOOK_CONFIGURATIONS.path(name=settings.webhook_configuration)
        self._asked: tuple[Any, Answer] | None = None
        self._published, self._published_at = "", 0.0
        self._behind_since: float | None = now()
        self.expires = 0.0

    def behind_seconds(self) -> float:
        """Return for how long the certificate has not been in order; 0.0 if it is."""
        return 0.0 if self._behind_since is None else max(0.0, self._now() - self._behind_since)

    async def watch(self) -> None:
        """Look at intervals, until cancelled."""
        while True:
            await self.look()
            in_order = self._behind_since is None
            await asyncio.sleep(self._settings.webhook_check_seconds if in_order else _RETRY_SECONDS)

    async def look(self) -> None:
        """Put everything in order, or report why that failed."""
        try:
            await self._settle()
        except Exception as error:
            self._failed(error)
        else:
            self._behind_since = None
            self._events.settled("CertificateNotInOrder")
        if self.expires:
            self._events.near(self.expires, self._now(), "the log of the controller says why it is not renewed")
        await self._events.post()

    def _failed(self, error: Exception) -> None:
        if self._behind_since is None:
            self._behind_since = self._now()
        if defects.is_defect(error) and not isinstance(error, (NotInOrderError, OSError)):
            log.exception("the webhook's certificate cannot be put in order", extra=defects.id_of(error))
        else:
            log.info("the webhook's certificate is not in order: %s", error)
        if self.behind_seconds() >= _TOLD_SECONDS:
            since = time_text(self._behind_since)
            self._events.warn("CertificateNotInOrder", f"the certificate is not in order since {since}: {error}")

    async def _settle(self) -> None:
        """Read, compare and write until nothing differs. Raises NotInOrderError, ApiError or OSError."""
        for _ in range(_ROUNDS):
            try:
                if await self._round():
                    return
            except ApiError as error:
                if error.status not in _CONFLICT:
                    raise
        raise NotInOrderError("the Secret or the configuration is changed by somebody else all the time")

    async def _round(self) -> bool:
        """Write one thing that differs; tells whether nothing did."""
        found = await self._read()
        answer = await self._answer(found)
        if answer.reason:
            await self._write(found, answer)
            return False
        self.expires = answer.expires
        bundle = answer.data[_AUTHORITIES]
        if found.configuration is None:
            raise self._no_configuration()
        differing = [each for each in _webhooks(found.configuration) if _bundle_of(each) != bundle]
        if differing:
            await self._publish(found.configuration, differing, bundle)
        return not differing

    async def _read(self) -> _Found:
        """Read the configuration and then the Secret.

        In this order, what a slower controller publishes is never older than what it replaces: if the Secret was
        changed after it was read, then so is the configuration, whose version the write names.
        """
        configuration = await self._get(self._configuration_path)
        return _Found(configuration=configuration, secret=await self._get(self._secret_path))

    async def _get(self, path: str) -> Resource | None:
        try:
            return await self._cluster.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _answer(self, found: _Found) -> Answer:
        """Return what the Secret should hold; as long as nothing changes or is due, that is known."""
        data, now = _text(found.secret), self._now()
        trusted = self._trusted(found.configuration, now)
        key = (data, trusted)
        if self._asked is not None and self._asked[0] == key and now < self._asked[1].due:
            return self._asked[1]
        settings = self._settings
        question = Question(
            data=data,
            trusted=trusted,
            names=settings.webhook_names,
            certificate_seconds=settings.webhook_certificate_days * _DAY_SECONDS,
            authority_seconds=settings.webhook_authority_days * _DAY_SECONDS,
            now=now,
        )
        answer = await self._ask(question)
        self._asked = (key, answer) if not answer.reason else None
        return answer

    def _trusted(self, configuration: Resource | None, now: float) -> str:
        """Return the bundle that every API server knows: the one that has been in the configuration for a while."""
        bundles = {_bundle_of(each) for each in _webhooks(configuration or {})}
        published = bundles.pop() if len(bundles) == 1 else ""
        if published != self._published or now < self._published_at:
            self._published, self._published_at = published, now
        return published if now - self._published_at >= self._settings.webhook_settle_seconds else ""

    async def _write(self, found: _Found, answer: Answer) -> None:
        data = {key: _encoded(value) for key, value in answer.data.items()}
        if found.secret is None:
            await self._create(found.configuration, data)
        else:
            metadata = {"resourceVersion": found.secret["metadata"]["resourceVersion"]}
            await self._cluster.merge_patch(self._secret_path, {"metadata": metadata, "data": data})
        until = f"the certificate is valid until {time_text(answer.expires)}"
        self._events.changed(answer.reason, f"{_CHANGES.get(answer.reason, answer.reason)}; {until}")

    async def _create(self, configuration: Resource | None, data: Mapping[str, str]) -> None:
        """Create the Secret with the marks by which Helm knows its own, so that an uninstall takes it away.

        Without a configuration, which an uninstall deletes first, no Secret is made.
        """
        if configuration is None:
            raise self._no_configuration()
        metadata = {
            "name": self._settings.webhook_secret,
            "namespace": self._settings.namespace,
            "labels": _marks(configuration, "labels"),
            "annotations": _marks(configuration, "annotations"),
        }
        body = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}
        await self._cluster.create(SECRETS.path(self._settings.namespace), body)

    async def _publish(self, configuration: Resource, webhooks: list[Resource], bundle: str) -> None:
        changed = [{"name": each["name"], "clientConfig": {"caBundle": _encoded(bundle)}} for each in webhooks]
        metadata = {"resourceVersion": configuration["metadata"]["resourceVersion"]}
        await self._cluster.strategic_patch(self._configuration_path, {"metadata": metadata, "webhooks": changed})
        log.info("the API server is told to trust the webhook's authority", extra={"webhooks": len(webhooks)})

    def _no_configuration(self) -> NotInOrderError:
        name = self._settings.webhook_configuration
        return NotInOrderError(f"there is no MutatingWebhookConfiguration {name}: install the chart again")


_MARKS: Final = frozenset(
    {
        *(f"app.kubernetes.io/{part}" for part in ("name", "instance", "component", "managed-by")),
        *(f"meta.helm.sh/release-{part}" for part in ("name", "namespace")),
    }
)
"""Labels and annotations of Helm's objects that stay the same as long as the release lives."""

_CHANGES: Final = {
    "CertificateMade": "a certificate was made for the webhook, as there was none that could be used",
    "CertificateRenewed": "the webhook's certificate was renewed",
    "AuthorityAnnounced": "a new authority was made, which signs as soon as the API server trusts it",
    "AuthorityReplaced": "the new authority has signed the webhook's certificate",
    "AuthorityExpired": "an authority that expired is no longer trusted",
}


def _webhooks(configuration: Resource) -> list[Resource]:
    return mappings(configuration.get("webhooks"))


def _bundle_of(webhook: Resource) -> str:
    return _decoded(mapping(webhook.get("clientConfig")).get("caBundle"))


def _marks(configuration: Resource, kind: str) -> dict[str, str]:
    held = mapping(mapping(configuration.get("metadata")).get(kind))
    return {str(key): str(value) for key, value in held.items() if key in _MARKS}


def _text(secret: Resource | None) -> dict[str, str]:
    return {str(key): _decoded(value) for key, value in mapping((secret or {}).get("data")).items()}


def _decoded(value: object) -> str:
    """Return the text of a value in base64; "" if it is none."""
    try:
        return base64.b64decode(str(value or "")).decode()
    except (binascii.Error, ValueError):
        return ""


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
