"""Estimates: ask their question, write the answer's status, and look tags up again now and then."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from joulecast import defects
from joulecast_operator import questions, reconcile, trouble
from joulecast_operator.forecasts import Forecasts, Override, Request
from joulecast_operator.index import Index, Key, Resource
from joulecast_operator.journal import UNCOUNTED, Journal
from joulecast_operator.kinds import ESTIMATES
from joulecast_operator.kube import Cluster
from joulecast_operator.outcomes import Failure, Outcome
from joulecast_operator.pull_secrets import PullSecrets
from joulecast_operator.reconcile import Result, Status, Waiting, Wrong
from joulecast_operator.resources import EstimateSpec
from joulecast_operator.workqueue import WorkQueue
from joulecast_operator.writer import Writer

log = logging.getLogger(__name__)

_PATIENCE_SECONDS: Final = 1.0  # what takes longer is shown as pending; what takes less needs no second write
_JITTER: Final = 0.1  # share by which the pause between two look-ups of a tag varies


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A question that is being answered. ``began``: when it was asked, on the clock of ``Estimates``."""

    request: Request
    began: float
    task: asyncio.Task[Outcome]


class Estimates:
    """Reconciles estimates. ``overrides`` gives the cluster's own accelerator profiles as they are now."""

    def __init__(
        self,
        *,
        index: Index,
        cluster: Cluster,
        writer: Writer,
        forecasts: Forecasts,
        queue: WorkQueue[Key],
        overrides: Callable[[], Iterable[Override]],
        resolves_per_second: float,
        journal: Journal = UNCOUNTED,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index = index
        self._journal = journal
        self._secrets = PullSecrets(cluster)
        self._writer = writer
        self._forecasts = forecasts
        self._queue = queue
        self._overrides = overrides
        self._rate = Rate(resolves_per_second, now)
        self._now = now
        self._jobs: dict[Key, Job] = {}
        self._due: dict[Key, float] = {}

    async def reconcile(self, key: Key) -> bool:
        """Bring the status of ``key`` to what it should be; says whether it was written."""
        estimate = self._index.resource(key)
        if estimate is None:
            self._forget(key)
            return False
        if (estimate.get("metadata") or {}).get("deletionTimestamp"):
            return False
        spec = questions.spec_of(estimate)
        if isinstance(spec, Wrong):
            return await self._unasked(key, estimate, spec)
        request = await self._request(estimate, spec)
        if not isinstance(request, Request):
            return await self._unasked(key, estimate, request)
        if spec.suspend:
            return await self._suspended(key, estimate, request)
        if reconcile.settled(estimate, reconcile.inputs_hash(request)) and not self._is_due(key, spec):
            return await self._put(estimate, reconcile.same_generation(estimate))
        return await self._ask(key, estimate, spec, request)

    # -- the question

    async def _request(self, estimate: Resource, spec: EstimateSpec) -> Request | Waiting | Wrong:
        namespace, target = estimate["metadata"]["namespace"], spec.target_ref
        workload = self._index.deployment(namespace, target.name) if target else None
        named = [reference.name for reference in spec.image_pull_secrets]
        found = await self._secrets.credentials(namespace, named, workload)
        if isinstance(found, Wrong):
            return found
        return questions.request_of(estimate, spec, self._index, self._overrides(), found)

    async def _ask(self, key: Key, estimate: Resource, spec: EstimateSpec, request: Request) -> bool:
        job = self._job(key, estimate, request)
        done, _ = await asyncio.wait({job.task}, timeout=_PATIENCE_SECONDS)
        if not done:
            job.task.add_done_callback(lambda _: self._queue.add(key))
            if reconcile.stands(estimate, request):
                return False  # the numbers of before stay until there are new ones
            waiting = Waiting(reason="Estimating", message="the model is being fetched and profiled")
            return await self._write(self._latest(key, estimate), waiting, request)
        self._jobs.pop(key, None)
        outcome = job.task.result()
        written = await self._write(self._latest(key, estimate), outcome, request)
        self._journal.estimate(estimate, outcome, written=written, seconds=self._now() - job.began)
        self._schedule(key, spec, outcome)  # only now: a write that fails is tried again with growing pauses
        return written

    def _job(self, key: Key, estimate: Resource, request: Request) -> Job:
        """The job that answers ``request`` for ``key``: the one under way, or a new one in place of an outdated one."""
        known = self._jobs.get(key)
        if known is not None and known.request == request:
            return known
        if known is not None:
            known.task.cancel()
        status = estimate.get("status") or {}
        changed = status.get("inputsHash") != reconcile.inputs_hash(request)
        task = asyncio.create_task(self._answer(request, again=not changed))
        job = Job(request=request, began=self._now(), task=task)
        self._jobs[key] = job
        return job

    async def _answer(self, request: Request, *, again: bool) -> Outcome:
        """``again``: nothing but time has passed, so that this look-up counts against the rate of all."""
        if again:
            await self._rate.wait()
        try:
            return await self._forecasts.forecast(request, fresh=bool(request.refresh))
        except Exception as error:  # a new estimate would have no status, and an old one would say that all is well
            log.error("a forecast failed", exc_info=error, extra=trouble.id_of(error))
            return Failure(stage="profile", reason=defects.REASON, message=trouble.sentence(error), transient=True)

    # -- time

    def _is_due(self, key: Key, spec: EstimateSpec) -> bool:
        """Whether the tag is to be looked up again; what was settled before a restart is spread over an interval."""
        interval = questions.seconds_of(spec.resolve_interval)
        due = self._due.get(key)
        if due is None:
            due = self._now() + random.uniform(0, interval)  # noqa: S311  # spreads load, guards nothing
            self._due[key] = due
        remaining = due - self._now()
        if remaining > interval:
            remaining = interval
            self._due[key] = self._now() + interval
        if remaining <= 0:
            return True
        self._queue.add_later(key, remaining)
        return False

    def _schedule(self, key: Key, spec: EstimateSpec, outcome: Outcome) -> None:
        interval = questions.seconds_of(spec.resolve_interval)
        pause = interval * random.uniform(1 - _JITTER, 1)  # noqa: S311  # spreads load, guards nothing
        if isinstance(outcome, Failure) and _may_heal(outcome):
            pause = min(pause, self._queue.pause_seconds(key))
        else:
            self._queue.forget(key)
        self._due[key] = self._now() + pause
        self._queue.add_later(key, pause)

    # -- the answer

    async def _unasked(self, key: Key, estimate: Resource, result: Waiting | Wrong) -> bool:
        written = await self._write(estimate, result, None)
        self._journal.estimate(estimate, result, written=written)
        if result.reason in ("PullSecretForbidden", "PullSecretNotFound"):
            self._queue.add_later(key, self._queue.pause_seconds(key))  # Secrets are not watched
        else:
            self._queue.forget(key)
        return written

    async def _suspended(self, key: Key, estimate: Resource, request: Request) -> bool:
        if reconcile.settled(estimate, reconcile.inputs_hash(request)):
            written = await self._put(estimate, reconcile.same_generation(estimate))
        else:
            waiting = Waiting(reason="Suspended", message="spec.suspend is true: set it to false to have a forecast")
            written = await self._write(estimate, waiting, request)
        self._queue.forget(key)
        return written

    async def _write(self, estimate: Resource, result: Result, request: Request | None) -> bool:
        return await self._put(
            estimate, reconcile.desired_status(estimate, result, request=request, now=datetime.now(UTC))
        )

    async def _put(self, estimate: Resource, desired: Status) -> bool:
        return await self._writer.status(ESTIMATES, estimate, desired)

    def _latest(self, key: Key, estimate: Resource) -> Resource:
        """``estimate`` as it was asked about, with the status of now: its generation is what the answer observed."""
        latest = self._index.resource(key) or estimate
        return {**estimate, "status": latest.get("status") or {}}

    def _forget(self, key: Key) -> None:
        job = self._jobs.pop(key, None)
        if job is not None:
            job.task.cancel()
        self._due.pop(key, None)
        self._queue.forget(key)


class Rate:
    """At most so many per second, evenly spaced."""

    def __init__(self, per_second: float, now: Callable[[], float] = time.monotonic) -> None:
        self._pause_seconds = 1 / per_second
        self._now = now
        self._next = 0.0

    async def wait(self) -> None:
        """Return when it is this caller's turn."""
        turn = max(self._next, self._now())
        self._next = turn + self._pause_seconds
        await asyncio.sleep(turn - self._now())


def _may_heal(failure: Failure) -> bool:
    """A registry comes back and a missing tag is pushed; a malformed reference stays one until the spec changes.

    An image beyond the budget is not read over and over either.
    """
    lasting = failure.reason in ("InvalidModelReference", "FetchBudgetExceeded")
    return failure.transient or (failure.stage == "resolve" and not lasting)
