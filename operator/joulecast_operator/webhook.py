"""The webhook process: it answers AdmissionReviews by a pure function, and allows the request if that function fails.

Neither kopf's admission engine nor its server is used: the engine turns an exception into a denial, keeps a record of
every workload it ever saw, and copies each object twice.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import kopf

from joulecast_operator.api.kinds import ESTIMATES, PLANS
from joulecast_operator.cluster.client import Cluster
from joulecast_operator.cluster.scopes import watched
from joulecast_operator.cluster.watches import STALE_SECONDS, Watches
from joulecast_operator.index import slim
from joulecast_operator.index.index import Index
from joulecast_operator.metrics.reconciles import show_index
from joulecast_operator.metrics.registry import registry_with
from joulecast_operator.metrics.webhook import AdmissionMetrics, show_expiry
from joulecast_operator.serving.admission_server import AdmissionServer
from joulecast_operator.serving.certificate import Certificate, CertificateError
from joulecast_operator.serving.health import Health
from joulecast_operator.serving.ports import opened
from joulecast_operator.settings import Settings
from joulecast_operator.workloads.admission import ALLOW_UNPATCHED, Decision, decide

log = logging.getLogger(__name__)

API_VERSION: Final = "admission.k8s.io/v1"

AdmissionReview = Mapping[str, Any]
Decide = Callable[[Mapping[str, Any]], Decision]


class AdmissionObserver(Protocol):
    """Is told the outcome of every review."""

    def observe(self, outcome: str, seconds: float) -> None:
        """Record one review: its outcome, and how many seconds it took."""


class Admission:
    """Answers AdmissionReviews. If ``decide_request`` raises any exception, the object is allowed without a change."""

    def __init__(self, decide_request: Decide, observer: AdmissionObserver) -> None:
        self._decide = decide_request
        self._observer = observer

    def review(self, review: AdmissionReview) -> dict[str, Any]:
        """Return the AdmissionReview with its response."""
        return self._answer(review, patches=True)

    def warn(self, review: AdmissionReview) -> dict[str, Any]:
        """Return the AdmissionReview with a response that warns but does not change the object."""
        return self._answer(review, patches=False)

    def _answer(self, review: AdmissionReview, *, patches: bool) -> dict[str, Any]:
        started = time.perf_counter()
        decision = self._guarded(review)
        self._observer.observe(decision.outcome, time.perf_counter() - started)
        given = decision if patches else replace(decision, patch=())
        return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": _response(review, given)}

    def _guarded(self, review: AdmissionReview) -> Decision:
        try:
            return self._decide(review["request"])
        except Exception:
            log.exception("a review failed; the object is allowed as it is")
            return ALLOW_UNPATCHED


def run(settings: Settings) -> None:
    """Run the webhook until the process is asked to stop. Ends the program with a message if a setting is wrong."""
    if settings.webhook_client_names and not settings.webhook_client_ca_file:
        sys.exit(
            "--webhook-client-names needs --webhook-client-ca-file: give the file of the authority that signs the"
            " certificates with these names"
        )
    certificate = Certificate(
        settings.webhook_certfile, settings.webhook_keyfile, client_authority=settings.webhook_client_ca_file
    )
    if not settings.webhook_await_certificate:
        _load(certificate, settings)
    asyncio.run(_serve(settings, certificate))


def _load(certificate: Certificate, settings: Settings) -> None:
    """Load the certificate, or end the program with a message."""
    for flag, path in (("certfile", settings.webhook_certfile), ("keyfile", settings.webhook_keyfile)):
        if not Path(path).is_file():
            sys.exit(f"--webhook-{flag} {path}: there is no such file; give the file of the webhook's {flag}")
    try:
        certificate.load()
    except CertificateError as error:
        sys.exit(f"{error}; give a certificate and its key in PEM form, the key without a password")


async def _serve(settings: Settings, certificate: Certificate) -> None:
    index = Index(estimate=slim.admission_estimate, plan=slim.admission_plan)
    registry = registry_with()
    show_expiry(registry, lambda: certificate.expires)
    show_index(registry, index.behind_seconds)
    metrics = AdmissionMetrics(registry)
    admission = Admission(lambda request: decide(request, index), metrics)
    server = AdmissionServer(
        admission.review,
        certificate,
        metrics,
        warn=admission.warn,
        host=settings.webhook_host,  # empty: every address
        port=settings.webhook_port,
        client_names=settings.webhook_client_names if settings.webhook_client_ca_file else None,
    )
    watches = Watches(index=index, cluster=Cluster(), scopes=tuple(watched((ESTIMATES, PLANS), settings.namespaces)))
    watches.settings.admission.server = server  # kopf opens it after the index is filled
    async with opened(settings, registry, health_of(index, server, watches)):
        await kopf.operator(registry=watches.registry, settings=watches.settings, clusterwide=True)


def health_of(index: Index, server: AdmissionServer, watches: Watches) -> Health:
    """Return what /healthz and /readyz report.

    The process is sick while its watch is stale, and ready while its index is filled, its port is open and its
    certificate is valid.
    """

    def sick() -> str | None:
        behind = index.behind_seconds()
        return f"the index has been behind the API server for {behind:.0f} s" if behind > STALE_SECONDS else None

    def unready() -> str | None:
        if not index.ready:
            return "the index is being filled"
        return server.certificate.unusable() or (None if server.listening else "the port is not open yet")

    return Health(sick=sick, unready=unready, notes=lambda: [*server.certificate.notes(), *watches.notes()])


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
