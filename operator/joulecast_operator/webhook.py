"""The admission webhook: kopf's server around one pure decision, and a guard that allows whatever happens.

The server is kopf's; what answers a request is ours. kopf's own admission engine turns an exception of a handler into
a denial, keeps a record of every workload it ever saw and copies each object twice, so no review passes through it.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import kopf

from joulecast_operator.health import Health, served
from joulecast_operator.index import Index
from joulecast_operator.kinds import ESTIMATES
from joulecast_operator.kube import Cluster
from joulecast_operator.metrics import AdmissionMetrics, registry_with
from joulecast_operator.settings import Settings
from joulecast_operator.watches import STALE_SECONDS, Watches
from joulecast_operator.webhook_decision import ALLOW_UNPATCHED, Decision, decide

log = logging.getLogger(__name__)

API_VERSION: Final = "admission.k8s.io/v1"

Review = Mapping[str, Any]
Decide = Callable[[Mapping[str, Any]], Decision]


class AdmissionObserver(Protocol):
    """What is told of every answer: the outcome, and how long it took."""

    def observe(self, outcome: str, seconds: float) -> None: ...


class Admission:
    """Answers AdmissionReviews. ``decide`` may fail in any way: the answer is then to allow, unpatched."""

    def __init__(self, decide_request: Decide, observer: AdmissionObserver) -> None:
        self._decide = decide_request
        self._observer = observer

    async def review(self, review: Review, **_: Any) -> dict[str, Any]:
        """The AdmissionReview with its response; keyword arguments are what kopf's server knows of the connection."""
        started = time.perf_counter()
        decision = self._guarded(review)
        self._observer.observe(decision.outcome, time.perf_counter() - started)
        return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": _response(review, decision)}

    def _guarded(self, review: Review) -> Decision:
        try:
            return self._decide(review["request"])
        except Exception:
            log.exception("admission failed; the workload is allowed without annotations")
            return ALLOW_UNPATCHED


class AdmissionServer:
    """kopf's webhook server (TLS, certificate files read again when they change) that answers with ``Admission``."""

    def __init__(self, admission: Admission, *, host: str, port: int, certfile: str, keyfile: str) -> None:
        self._admission = admission
        self.server = kopf.WebhookServer(addr=host, port=port, certfile=certfile, pkeyfile=keyfile)
        self.listening = False

    async def __call__(self, _: Any) -> AsyncIterator[Any]:
        try:
            async for client_config in self.server(self._admission.review):  # type: ignore[arg-type]
                if not self.listening:  # else a collection walks the whole index while reviews wait
                    gc.collect()
                    gc.freeze()
                self.listening = True
                yield client_config
        finally:
            gc.unfreeze()  # what is still frozen when Python ends is never freed, and extension modules report leaks


def run(settings: Settings) -> None:
    """Serve admission until told to stop. Ends the program with a sentence where a certificate file is missing."""
    for flag, path in (("certfile", settings.webhook_certfile), ("keyfile", settings.webhook_keyfile)):
        if not Path(path).is_file():
            sys.exit(f"--webhook-{flag} {path}: there is no such file; name the one that holds the webhook's {flag}")
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    index, registry = Index(), registry_with()
    server = AdmissionServer(
        Admission(lambda request: decide(request, index), AdmissionMetrics(registry)),
        host=settings.webhook_host,  # empty: every address
        port=settings.webhook_port,
        certfile=settings.webhook_certfile,
        keyfile=settings.webhook_keyfile,
    )
    watches = Watches(index=index, cluster=Cluster(), kinds=(ESTIMATES,))
    watches.settings.admission.server = server  # kopf opens it after the index is filled
    async with served(settings.metrics_port, registry, health_of(index, server)):
        await kopf.operator(registry=watches.registry, settings=watches.settings, clusterwide=True)


def health_of(index: Index, server: AdmissionServer) -> Health:
    """Sick while the watch is stale; ready once the index is filled and the port open."""

    def sick() -> str | None:
        behind = index.behind_seconds()
        return f"the index has been behind the API server for {behind:.0f} s" if behind > STALE_SECONDS else None

    def unready() -> str | None:
        if not index.ready:
            return "the index is being filled"
        return None if server.listening else "the port is not open yet"

    return Health(sick=sick, unready=unready)


def _response(review: object, decision: Decision) -> dict[str, Any]:
    request = review.get("request") if isinstance(review, Mapping) else None
    uid = request.get("uid") if isinstance(request, Mapping) else None
    response: dict[str, Any] = {"uid": str(uid or ""), "allowed": True}
    if decision.warnings:
        response["warnings"] = list(decision.warnings)
    if decision.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(decision.patch).encode()).decode("ascii")
    return response
