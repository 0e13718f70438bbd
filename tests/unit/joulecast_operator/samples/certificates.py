"""An API server in memory that holds the Secret and the configuration of the webhook, and refuses stale writes."""

from __future__ import annotations

import asyncio
import base64
import copy
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from joulecast_operator.api.conditions import EventToPost
from joulecast_operator.certificates import worker
from joulecast_operator.certificates.worker import Answer, Question
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.controllers.certificates.events import CertificateEvents
from joulecast_operator.controllers.certificates.webhook_certificate import WebhookCertificate
from joulecast_operator.settings import Settings

NAMES = ("joulecast-webhook.energy.svc",)
SETTINGS = Settings(
    namespace="energy",
    webhook_secret="joulecast-webhook-certificate",
    webhook_configuration="joulecast-webhook",
    webhook_names=NAMES,
    webhook_deployment="joulecast-webhook",
)
SECRET = "/api/v1/namespaces/energy/secrets/joulecast-webhook-certificate"
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/joulecast-webhook"
START = 1_700_000_000.0
DAY = 86400.0


class KilledError(BaseException):
    """The process ends here."""


class Server:
    """Holds objects by path. ``before`` and ``after`` are called around each write, and may raise or change objects."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 0
        self.writes: list[str] = []
        self.before: Callable[[str], None] = lambda _: None
        self.after: Callable[[str], None] = lambda _: None
        self.put(SECRET, {"metadata": {"name": SETTINGS.webhook_secret}})
        webhook = {"name": "annotate.joulecast.dev", "clientConfig": {"service": {"name": "joulecast-webhook"}}}
        self.put(CONFIGURATION, {"metadata": {"name": "joulecast-webhook"}, "webhooks": [webhook]})

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.version += 1
        made = copy.deepcopy(dict(body))
        made["metadata"] = {**made.get("metadata", {}), "resourceVersion": str(self.version)}
        self.objects[path] = made
        return made

    def data(self) -> dict[str, str]:
        held = self.objects[SECRET].get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in held.items()}

    def bundle(self) -> str:
        (webhook,) = self.objects[CONFIGURATION]["webhooks"]
        return base64.b64decode(webhook["clientConfig"].get("caBundle", "")).decode()

    async def get(self, path: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        return copy.deepcopy(self.objects[path])

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        whole = f"{path}/{body['metadata']['name']}"

        def made() -> dict[str, Any]:
            if whole in self.objects:
                raise ApiError(409, "AlreadyExists", whole)
            return self.put(whole, body)

        return await self._write(whole, made)

    async def merge_patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        def changed() -> dict[str, Any]:
            held = self._current(path, body)
            return self.put(path, {**held, "data": {**(held.get("data") or {}), **body["data"]}})

        return await self._write(path, changed)

    async def strategic_patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        def changed() -> dict[str, Any]:
            held = self._current(path, body)
            (mine,), (webhook,) = body["webhooks"], held["webhooks"]
            assert mine["name"] == webhook["name"]
            client = {**webhook["clientConfig"], **mine["clientConfig"]}
            return self.put(path, {**held, "webhooks": [{**webhook, "clientConfig": client}]})

        return await self._write(path, changed)

    def _current(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        held = self.objects[path]
        if body["metadata"]["resourceVersion"] != held["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", path)
        return held

    async def _write(self, path: str, write: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        await asyncio.sleep(0)
        self.before(path)
        made = write()
        self.writes.append(path)
        self.after(path)
        return made


class Events:
    """What was posted on the webhook's Deployment, as the writer and the index that `CertificateEvents` uses."""

    def __init__(self) -> None:
        self.posted: list[EventToPost] = []
        self.known = True

    def workload(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        return {"metadata": {"namespace": namespace, "name": name, "uid": "u"}} if self.known else None

    async def event(self, _: Any, __: Any, event: EventToPost) -> None:
        self.posted.append(event)

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.posted]


def events(posted: Events, deployment: str = SETTINGS.webhook_deployment) -> CertificateEvents:
    """Return the events of a controller that has just started."""
    return CertificateEvents(
        index=posted,  # type: ignore[arg-type]
        writer=posted,  # type: ignore[arg-type]
        namespace=SETTINGS.namespace,
        deployment=deployment,
    )


class World:
    """A server, a clock and the events; controllers are made from it."""

    def __init__(self) -> None:
        self.server = Server()
        self.events = Events()
        self.now = START
        self.asked = 0

    def controller(self) -> WebhookCertificate:
        """Return a controller that has just started."""
        return WebhookCertificate(
            cluster=self.server,  # type: ignore[arg-type]
            settings=SETTINGS,
            events=events(self.events),
            ask=self.ask,
            now=lambda: self.now,
        )

    async def ask(self, question: Question) -> Answer:
        """Answer in this process what else a process of its own answers."""
        self.asked += 1
        return Answer(**worker.answer({field.name: getattr(question, field.name) for field in fields(Question)}))
