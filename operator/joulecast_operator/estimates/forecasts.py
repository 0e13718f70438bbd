"""Forecast from an image: resolve, fetch, profile and price in worker processes, once for all equal requests.

A requester gets a cached result only after its own credentials have resolved the manifest. What a registry claims about
a model is used only for requests to that registry with the same credentials.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from prometheus_client.registry import Collector

from joulecast.errors import JoulecastError
from joulecast.sources.registries.proxies import VARIABLES
from joulecast_operator.estimates import shares
from joulecast_operator.estimates.hosts import Endpoints, host_of, kind_of, queue_name_of
from joulecast_operator.estimates.outcomes import (
    NO_MODEL,
    Failure,
    Outcome,
    Stage,
    holds_no_model,
    model_in_no_image,
    planned_outcome,
    priced_outcome,
)
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.metrics.work import TurnsCollector, WorkMetrics
from joulecast_operator.profiles.usable import Override
from joulecast_operator.settings import Settings
from joulecast_operator.workers.cache import Cache, key
from joulecast_operator.workers.fair_queue import Requester, Ticket
from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.pool import Pool, WorkerProgram
from joulecast_operator.workers.shared_jobs import SharedJobs
from joulecast_operator.workers.stored_models import StoredModel, StoredModels
from joulecast_operator.workers.turns import Turns

_FRESH_SECONDS: Final = 2.0  # how long a resolved digest is used again, so that many estimates of an image ask once
_REMEMBERED: Final = 256  # forecasts kept in memory, some 5 KB each; and as many images without a model
_FETCHER_SECONDS: Final = 5.0  # in addition to the fetch's own budget, whose error message says more
_HOW_TO_NAME_ONE: Final = {
    "hub": "a token is read from the Secret that spec.model.secretRef names",
    "objects": "keys are read from the Secret that spec.model.secretRef names",
}
"""What to do where credentials are wanted and none were given, by the kind of address."""

_ONE_THREAD: Final = {"TOKIO_WORKER_THREADS": "1"}
"""Of obstore, which only signs: otherwise it starts a thread for each processor, and a job's memory is bounded."""

T = TypeVar("T")


class Forecaster:
    """Answers requests for forecasts, with two pools of workers and a cache.

    ``denied_networks`` returns address ranges that fetchers may not connect to, in addition to those of the settings.
    """

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], float] = time.monotonic,
        denied_networks: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._settings = settings
        self._denied_networks = denied_networks
        self._now = now
        self._endpoints = Endpoints(hub=settings.hub_endpoint, objects=settings.objects_endpoint)
        self._fetchers = Pool(_fetcher(settings))
        self._profilers = Pool(_profiler(settings))
        self._fetching = Turns("fetch", shares.of_fetchers(settings))
        self._profiling = Turns("profile", shares.of_profilers(settings))
        self._models = StoredModels(Cache(settings.cache_dir, capacity_bytes=settings.cache_bytes))
        self._jobs = SharedJobs()
        self._resolved: dict[str, tuple[float, str]] = {}
        self._priced: OrderedDict[str, Header] = OrderedDict()
        self._without_model: OrderedDict[str, str] = OrderedDict()
        self._metrics = WorkMetrics()

    @property
    def collectors(self) -> Sequence[Collector]:
        """Return the collectors of metrics about this work."""
        return (TurnsCollector((self._fetching, self._profiling)), *self._metrics.collectors)

    async def start(self) -> None:
        """Start a worker of each pool, so that it is ready before the first request."""
        await asyncio.gather(self._fetchers.start(), self._profilers.start())

    async def close(self) -> None:
        """Cancel all jobs and end all workers."""
        self._jobs.cancel()
        await asyncio.gather(self._fetchers.close(), self._profilers.close())

    async def forecast(
        self, request: ForecastRequest, *, fresh: bool = False, requester: Requester | None = None
    ) -> Outcome:
        """Return the forecast, or the failure that prevents it.

        ``fresh``: look up the tag even if it was looked up a moment ago. ``requester``: the place in the queue; None
        for joulecast itself.
        """
        asking = requester or Requester(namespace="")
        first = await self._of(replace(request, alternatives=()), asking, fresh=fresh)
        outcome = first
        for image in request.alternatives:
            if not holds_no_model(outcome):
                break
            outcome = await self._of(replace(request, image=image, alternatives=()), asking, fresh=fresh)
        return model_in_no_image(first, request.alternatives) if holds_no_model(outcome) else outcome

    async def _of(self, request: ForecastRequest, requester: Requester, *, fresh: bool) -> Outcome:
        """Return the forecast for the request's first image, or the failure that prevents it."""
        digest: str | None = None
        stage: Stage = "resolve"
        try:
            if request.configuration is not None:
                model = self._models.configuration(request.configuration)
                digest = model.content
            else:
                digest = await self._digest(request, requester, fresh=fresh)
                model = await self._model(request, requester, digest)
            stage = "profile"
            priced = await self._price(request, requester, model)
        except JoulecastError as error:
            return _failure(error, request, stage, digest)
        outcome = priced_outcome if request.question is None else planned_outcome
        return outcome(request.image, digest, model, priced)

    async def validate(self, override: Override) -> Header:
        """Return the facts of an accelerator profile. Raises JoulecastError if the profile is invalid."""
        header = {"operation": "validate", **_plain(override)}
        ticket = Ticket()
        with ticket.held_by(Requester(namespace="")):
            async with self._profiling.turn(ticket):
                return (await self._profilers.run(header))[0]["profile"]  # type: ignore[no-any-return]

    # -- stages

    async def _digest(self, request: ForecastRequest, requester: Requester, *, fresh: bool) -> str:
        name = key("digest", request.image, request.credentials, *_path_to_resolve(request))
        known = self._resolved.get(name)
        if known is not None and not fresh and self._now() - known[0] < _FRESH_SECONDS:
            return known[1]
        # a look-up that began before this request may have found an older image, so a fresh one is not shared
        digest = await self._jobs.once(
            key(name, requester.arrival) if fresh else name,
            lambda ticket: self._resolve(request, ticket),
            requester=requester,
            registry=self._queue_name(request),
        )
        self._resolved = {
            each: found for each, found in self._resolved.items() if self._now() - found[0] < _FRESH_SECONDS
        }
        self._resolved[name] = (self._now(), digest)
        return digest

    async def _resolve(self, request: ForecastRequest, ticket: Ticket) -> str:
        asked = {"operation": "resolve", "path": next(iter(_path_to_resolve(request)), None)}
        answer, _ = await self._fetch_job(request, asked, ticket)
        return str(answer["digest"])

    async def _model(self, request: ForecastRequest, requester: Requester, digest: str) -> StoredModel:
        """Return the model that the request's registry serves under ``digest``, from the cache if it is there."""
        host = host_of(request.image, self._endpoints)
        claim = self._models.claim(host, request.credentials, digest, request.path, request.format, *_named(request))
        kept = self._models.find(claim)
        if kept is not None and self._can_price(request, kept):
            self._metrics.looked_up("claim", hits=1)
            return kept
        self._metrics.looked_up("claim", misses=1)
        own = key(claim, request.image)  # with the image, because a message names it as the requester does
        if own in self._without_model:
            raise JoulecastError(self._without_model[own], reason=NO_MODEL)
        try:
            return await self._jobs.once(
                own,
                lambda ticket: self._fetch(request, digest, claim, ticket),
                requester=requester,
                registry=self._queue_name(request),
            )
        except JoulecastError as error:
            if error.reason == NO_MODEL:
                _remember(self._without_model, own, str(error))
            raise

    def _can_price(self, request: ForecastRequest, model: StoredModel) -> bool:
        """Tell whether the cache still holds what the forecast needs."""
        if _price_key(request, model) in self._priced:
            return True
        return self._models.can_profile(model, request.workload, request.batch_sizes)

    async def _fetch(self, request: ForecastRequest, digest: str, claim: str, ticket: Ticket) -> StoredModel:
        header = {
            "operation": "fetch",
            "path": request.path,
            "format": request.format,
            "digest": digest,
        }
        answer, skeleton = await self._fetch_job(request, header, ticket)
        self._metrics.received(answer["model"]["bytes_fetched"])
        return await self._models.keep(claim, answer["model"], skeleton)

    async def _price(self, request: ForecastRequest, requester: Requester, model: StoredModel) -> Header:
        """Return the worker's answer, which all requests for the same content share, with messages about this image."""
        name = _price_key(request, model)
        known = name in self._priced
        self._metrics.looked_up("price", hits=known, misses=not known)
        try:
            if not known:
                work = lambda ticket: self._forecast(request, model, ticket)  # noqa: E731
                _remember(self._priced, name, await self._jobs.once(name, work, requester=requester))
        except JoulecastError as error:
            message = str(error).replace(model.content, request.image)
            raise JoulecastError(message, reason=error.reason, transient=error.transient) from error
        self._priced.move_to_end(name)
        return _in_words_of(request, model, self._priced[name])

    async def _forecast(self, request: ForecastRequest, model: StoredModel, ticket: Ticket) -> Header:
        async with self._profiling.turn(ticket):
            return await self._profiled(request, model)

    async def _profiled(self, request: ForecastRequest, model: StoredModel) -> Header:
        kept = self._models.profiles(model, request.workload, request.batch_sizes)
        missing = len(set(request.batch_sizes)) - len(kept)
        self._metrics.looked_up("profile", hits=len(kept), misses=missing)
        skeleton = self._skeleton(model) if missing else b""
        header = {
            "operation": "forecast" if request.question is None else "plan",
            "question": request.question,
            "model": model.nameless,
            "skeleton_bytes": len(skeleton),
            "ready": {size: len(text) for size, text in kept.items()},
            "batch_sizes": list(request.batch_sizes),
            "input_shapes": dict(request.input_shapes),
            "input_values": dict(request.input_values),
            "phase": request.phase,
            "generation": dict(request.generation),
            "architecture": request.architecture,
            "precision": request.precision,
            "cache_precision": request.cache_precision,
            "power_limit_watts": request.power_limit_watts,
            "clock_mhz": request.clock_mhz,
            "runtime": request.runtime,
            "accelerators": list(request.accelerators),
            "dearest_first": request.dearest_first,
            "overrides": [_plain(override) for override in request.overrides],
        }
        answer, made = await self._profilers.run(header, b"".join([skeleton, *kept.values()]))
        self._models.keep_profiles(model, request.workload, answer.pop("made"), made)
        return answer

    def _skeleton(self, model: StoredModel) -> bytes:
        kept = self._models.skeleton(model)
        if kept is None:
            raise JoulecastError(
                "the model's skeleton is not in the cache folder: give the controller a writable cache folder with"
                " enough free space",
                reason="CacheFailed",
                transient=True,
            )
        return kept

    async def _fetch_job(self, request: ForecastRequest, header: Header, ticket: Ticket) -> tuple[Header, bytes]:
        async with self._fetching.turn(ticket):
            began = self._now()
            try:
                return await self._fetchers.run(self._fetch_header(request) | header)
            finally:
                self._metrics.fetched(header["operation"], self._now() - began)

    def _fetch_header(self, request: ForecastRequest) -> Header:
        return {
            "image": request.image,
            "platform": self._settings.platform,
            "access": self._access(request),
            "fetched_bytes": self._settings.fetch_bytes,
            "wall_seconds": self._settings.fetch_seconds,
        }

    def _access(self, request: ForecastRequest) -> Header:
        settings = self._settings
        return {
            "docker_config": json.loads(request.docker_config or "{}"),
            "certificate_authority": settings.registry_ca_file or None,
            "insecure_registries": list(settings.insecure_registries),
            "allowed_registries": list(settings.allowed_registries),
            "denied_registries": list(settings.denied_registries),
            "permitted_hosts": list(settings.permitted_hosts),
            "denied_networks": [*settings.denied_networks, *self._denied_networks()],
            "hub_endpoint": settings.hub_endpoint,
            "hub_token": request.token,
            "objects": {
                "endpoint": settings.objects_endpoint.rstrip("/"),
                "region": settings.objects_region,
                **json.loads(request.object_keys or "{}"),
            },
        }

    def _queue_name(self, request: ForecastRequest) -> str:
        return queue_name_of(request.image, self._endpoints)


def _path_to_resolve(request: ForecastRequest) -> tuple[str, ...]:
    """Return the path on which a digest depends: in an object store that of the model, whose facts are read for it."""
    return (request.path,) if request.path and kind_of(request.image) == "objects" else ()


def _named(request: ForecastRequest) -> tuple[str, ...]:
    """Return what identifies a model beside its digest: at a hub the repository, because equal commits are unlikely but
    not impossible, and a path may stand in the address, as it may in that of a bucket."""
    return () if kind_of(request.image) == "image" else (request.image,)


def _remember(memory: OrderedDict[str, T], name: str, found: T) -> None:
    memory[name] = found
    while len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _failure(error: JoulecastError, request: ForecastRequest, stage: Stage, digest: str | None) -> Failure:
    message, kind = str(error), kind_of(request.image)
    if error.reason == "Unauthorized":
        named = [_HOW_TO_NAME_ONE[kind]] if kind in _HOW_TO_NAME_ONE and not request.credentials else []
        message = "; ".join([message, *named, *request.missing_secrets])
    elif error.reason == "SourceDisabled" and kind != "image":
        message += f"; joulecast's administrator sets it by the chart's value {kind}.endpoint"
    return Failure(
        stage=stage,
        reason=error.reason,
        message=message,
        transient=error.transient,
        digest=digest,
        image=request.image,
    )


def _price_key(request: ForecastRequest, model: StoredModel) -> str:
    return key("price", model.content, model.format, request.workload, request.pricing)


def _in_words_of(request: ForecastRequest, model: StoredModel, priced: Header) -> Header:
    """Return a shared answer with the requester's own image in its messages instead of the content's digest."""
    if request.question is not None:
        return {name: _replaced(each, model.content, request.image) for name, each in priced.items()}
    unavailable = {
        product: entry | {"message": entry["message"].replace(model.content, request.image)}
        for product, entry in priced["unavailable"].items()
    }
    return priced | {"unavailable": unavailable}


def _replaced(value: Any, old: str, new: str) -> Any:
    """Return a JSON value with ``new`` in place of ``old`` in all of its texts."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {name: _replaced(each, old, new) for name, each in value.items()}
    return [_replaced(each, old, new) for each in value] if isinstance(value, list) else value


def _plain(override: Override) -> Header:
    return {"product": override.product, "runtime": override.runtime, "document": override.document}


def _fetcher(settings: Settings) -> WorkerProgram:
    return WorkerProgram(
        name="fetcher",
        module="joulecast_operator.workers.fetcher",
        seconds=settings.fetch_seconds + _FETCHER_SECONDS,
        memory_bytes=settings.fetch_memory_bytes,
        environment={name: os.environ[name] for name in VARIABLES if name in os.environ} | _ONE_THREAD,
        waits_for_others=True,
    )


def _profiler(settings: Settings) -> WorkerProgram:
    return WorkerProgram(
        name="profiler",
        module="joulecast_operator.workers.profiler",
        seconds=settings.profile_seconds,
        memory_bytes=settings.profile_memory_bytes,
        environment={"OPENBLAS_NUM_THREADS": "1"},
    )
