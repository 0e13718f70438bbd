"""Decide who may read /metrics by asking the API server: TokenReview and SubjectAccessReview.

The page names the models and forecasts of all namespaces. As with the metrics of Kubernetes' own components, only
accounts that may get the URL /metrics (by a rule with nonResourceURLs) may read it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from joulecast_operator.cluster.client import ApiError, Cluster
from joulecast_operator.serving.rates import AddressRates

log = logging.getLogger(__name__)

ALLOWED_SECONDS: Final = 60.0  # how long a token counts as allowed, as in controller-runtime
REFUSED_SECONDS: Final = 10.0  # how long a token counts as refused; a new right counts after that
_REVIEW_SECONDS: Final = 5.0  # of the 10 s that a scrape may take by default
_REMEMBERED: Final = 1024  # tokens, by digest; some 200 bytes each

# Prometheus sends a new token every hour; guessed tokens must not load the API server
_NEW_TOKENS_PER_SECOND: Final = 5.0
_NEW_TOKENS_AT_ONCE: Final = 20.0

_AUTHENTICATION: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_AUTHORIZATION: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request for /metrics is refused.

    - ``status``: HTTP status of the answer.
    - ``text``: text of the answer.
    """

    status: int
    text: str


_NOBODY: Final = Refusal(
    status=401,
    text="no bearer token: send `Authorization: Bearer TOKEN` with the token of an account that may get /metrics, such"
    " as one that is bound to the chart's ClusterRole for it (its name ends in -metrics-reader)",
)


class MetricsAccess:
    """Decides which requests may read /metrics; asks the API server about each token at intervals. ``now`` counts
    seconds."""

    def __init__(self, cluster: Cluster, now: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._now = now
        self._known: OrderedDict[bytes, tuple[float, Refusal | None]] = OrderedDict()
        self._rates = AddressRates(per_second=_NEW_TOKENS_PER_SECOND, burst=_NEW_TOKENS_AT_ONCE, now=now)

    async def refusal(self, authorization: str, address: str | None) -> Refusal | None:
        """Return why a request with this Authorization header from this address is refused; None if it is allowed."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return _NOBODY
        digest = hashlib.sha256(token.encode()).digest()
        until, known = self._known.get(digest, (0.0, None))
        if self._now() < until:
            return known
        if not self._rates.admits(address):
            return Refusal(status=429, text="too many new tokens from this address: wait a moment")
        return await self._asked(digest, token)

    async def _asked(self, digest: bytes, token: str) -> Refusal | None:
        try:
            found = await self._review(token)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            log.warning("cannot ask the API server who may read /metrics: %s", error)
            return Refusal(
                status=503, text="the API server cannot be asked whether this token may get /metrics: try again"
            )
        self._known[digest] = self._now() + (ALLOWED_SECONDS if found is None else REFUSED_SECONDS), found
        self._known.move_to_end(digest)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _review(self, token: str) -> Refusal | None:
        status = await self._status(_AUTHENTICATION, "authentication", "TokenReview", {"token": token})
        user = status.get("user") or {}
        if not status.get("authenticated") or not user.get("username"):
            return Refusal(
                status=401, text="the API server does not know this token, or it has expired: send a new one"
            )
        asked = {key: user[key] for key in ("groups", "uid", "extra") if user.get(key)}
        attributes = {"path": "/metrics", "verb": "get"}
        spec = {"user": user["username"], "nonResourceAttributes": attributes} | asked
        status = await self._status(_AUTHORIZATION, "authorization", "SubjectAccessReview", spec)
        if not status.get("allowed"):
            name = user["username"]
            text = f"{name} may not get /metrics: bind it to the chart's ClusterRole whose name ends in -metrics-reader"
            return Refusal(status=403, text=text)
        return None

    async def _status(self, path: str, group: str, kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        body = {"apiVersion": f"{group}.k8s.io/v1", "kind": kind, "spec": spec}
        answer = await asyncio.wait_for(self._cluster.create(path, body), _REVIEW_SECONDS)
        return answer.get("status") or {}
