"""The admission webhook: kopf's server around one pure decision, and a guard that allows whatever happens.

The server is kopf's; what answers a request is ours. kopf's own admission engine turns an exception of a handler into
a denial, keeps a record of every workload it ever saw and copies each object twice, so no review passes through it.
"""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Protocol

import kopf

from joulecast_operator.webhook_decision import ALLOW_UNPATCHED, Decision

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
        self._server = kopf.WebhookServer(addr=host, port=port, certfile=certfile, pkeyfile=keyfile)

    async def __call__(self, _: Any) -> AsyncIterator[Any]:
        async for client_config in self._server(self._admission.review):  # type: ignore[arg-type]
            yield client_config


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
