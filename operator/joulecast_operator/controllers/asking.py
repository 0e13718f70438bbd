"""Reconcile objects that ask about a model: request an answer, write the status, and look the tag up at intervals."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from joulecast import defects
from joulecast_operator.api.conditions import Status, Waiting, Wrong
from joulecast_operator.api.estimates import EstimateSpec, seconds_of
from joulecast_operator.api.kinds import Kind
from joulecast_operator.api.objects import Key, Resource
from joulecast_operator.api.plans.spec import PlanSpec
from joulecast_operator.cluster.access import PullSecrets
from joulecast_operator.cluster.client import Cluster
from joulecast_operator.cluster.defects import id_of, sentence
from joulecast_operator.cluster.model_objects import UNWATCHED, ModelObjects, ReadObjects
from joulecast_operator.cluster.workqueue import WorkQueue
from joulecast_operator.cluster.writer import Writer
from joulecast_operator.controllers.outcome_log import UNCOUNTED, OutcomeLog
from joulecast_operator.estimates.forecasts import Forecaster
from joulecast_operator.estimates.outcomes import Failure, Outcome
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.estimates.status import inputs_hash, is_answered, same_generation
from joulecast_operator.estimates.targets import target_of
from joulecast_operator.index.index import Index
from joulecast_operator.profiles.usable import Override
from joulecast_operator.sites.costed import Pricing
from joulecast_operator.workers.fair_queue import Position, Requester

log = logging.getLogger(__name__)

_PATIENCE_SECONDS: Final = 1.0  # a request that takes longer is shown as pending; a shorter one needs one write only
_QUIET_SECONDS: Final = 10.0  # between two writes about one open request, whose stages may follow each other quickly
_LONGEST_LOOK_SECONDS: Final = 300.0  # between two looks at a position in the queue, which are a second for each job
_JITTER: Final = 0.1  # share by which the pause between two look-ups of a tag varies

Spec = EstimateSpec | PlanSpec

Costed = Callable[[Resource, Status, Pricing], Status]
"""Returns the desired status of an object with what its answer costs."""


@dataclass(slots=True, kw_only=True)
class OpenRequest:
    """A request that is being answered.

    - ``request``: the request.
    - ``began``: when it was made, on the clock of ``Asking``.
    - ``requester``: the place of the object in the queue.
    - ``task``: the task that answers it.
    - ``quiet_until``: from when the status may be written again about this request.
    - ``said``: what the status says about it; None before the first write.
    - ``position``: the position in the queue that the status shows.
    - ``is_watched``: whether the end of the task queues the object.
    """

    request: ForecastRequest
    began: float
    requester: Requester
    task: asyncio.Task[Outcome]
    quiet_until: float
    said: Waiting | None = None
    position: Position | None = None
    is_watched: bool = False


class Asking(ABC):
    """Reconciles objects of one kind that ask about a model, such as estimates. A subclass says what they ask.

    ``overrides`` returns the cluster's own accelerator profiles that are in use now. ``rate`` limits how often tags are
    looked up again, and ``patience`` how many reconcilers at a time may wait a moment for an answer; kinds share both.
    ``costed`` returns a status with its cost.
    """

    def __init__(
        self,
        *,
        index: Index,
        cluster: Cluster,
        writer: Writer,
        forecasts: Forecaster,
        queue: WorkQueue[Key],
        overrides: Callable[[], Iterable[Override]],
        rate: Rate,
        patience: asyncio.Semaphore,
        costed: Costed = lambda _, desired, __: desired,
        outcome_log: OutcomeLog = UNCOUNTED,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index = index
        self._outcome_log = outcome_log
        self._secrets = PullSecrets(cluster)
        self._objects = ModelObjects(cluster)
        self._writer = writer
        self._forecasts = forecasts
        self._queue = queue
        self._overrides = overrides
        self._rate = rate
        self._patience = patience
        self._costed = costed
        self._now = now
        self._open_requests: dict[Key, OpenRequest] = {}
        self._due: dict[Key, float] = {}

    # -- what objects of the kind ask

    kind: ClassVar[Kind]
    answer: ClassVar[str]
    """What the kind asks for, in a sentence."""
    under_way: ClassVar[Waiting]
    """What the status says while the answer is made."""
    pricing: ClassVar[Pricing]
    """How the answer is priced."""

    @abstractmethod
    def _spec(self, resource: Resource) -> Spec | Wrong:
        """Return the validated spec."""

    @abstractmethod
    def _asked(
        self, resource: Resource, spec: Any, found: ReadObjects, target: Resource | None
    ) -> ForecastRequest | Waiting | Wrong:
        """Return the request, or the reason why none can be made.

        ``found``: objects that the spec names. ``target``: the workload that its targetRef names.
        """

    @abstractmethod
    def _keeps(self, resource: Resource, request: ForecastRequest | None) -> bool:
        """Tell whether the status has an answer for the present spec and image, though maybe by an older profile."""

    @abstractmethod
    def _desired(self, resource: Resource, result: Any, request: ForecastRequest | None) -> Status:
        """Return the complete status for ``result``."""

    @abstractmethod
    def _logged(self, resource: Resource, result: Any, *, written: bool, seconds: float | None = None) -> None:
        """Log and count an outcome."""

    # -- reconciling

    async def reconcile(self, key: Key) -> bool:
        """Bring the status of ``key`` to what it should be; tells whether it was written."""
        resource = self._index.resource(key)
        if resource is None:
            self._forget(key)
            return False
        if (resource.get("metadata") or {}).get("deletionTimestamp"):
            self._cancel_request(key)
            return False
        spec = self._spec(resource)
        if isinstance(spec, Wrong):
            return await self._unasked(key, resource, spec)
        request = await self._request(resource, spec)
        if not isinstance(request, ForecastRequest):
            return await self._unasked(key, resource, request)
        if spec.suspend:
            return await self._suspended(key, resource, request)
        if is_answered(resource, inputs_hash(request)) and not self._is_due(key, spec):
            return await self._put(resource, same_generation(resource))
        return await self._ask(key, resource, spec, request)

    # -- the request

    async def _request(self, resource: Resource, spec: Spec) -> ForecastRequest | Waiting | Wrong:
        namespace, target = resource["metadata"]["namespace"], target_of(resource, spec, self._index)
        if isinstance(target, Wrong):
            return target
        named = [reference.name for reference in spec.image_pull_secrets]
        pull = await self._secrets.credentials(namespace, named, target)
        if isinstance(pull, Wrong):
            return pull
        found = await self._objects.read(namespace, spec.model, pull)
        if isinstance(found, Wrong):
            return found
        return self._asked(resource, spec, found, target)

    async def _ask(self, key: Key, resource: Resource, spec: Spec, request: ForecastRequest) -> bool:
        open_request = self._open_request(key, resource, request)
        await self._wait_a_moment(open_request)
        if not open_request.task.done():
            return await self._unanswered(key, resource, open_request)
        self._open_requests.pop(key, None)
        outcome = open_request.task.result()
        written = await self._write(self._latest(key, resource), outcome, request)
        self._logged(resource, outcome, written=written, seconds=self._now() - open_request.began)
        self._schedule(key, spec, outcome)  # after the write, which is tried again with increasing pauses if it fails
        return written

    async def _wait_a_moment(self, open_request: OpenRequest) -> None:
        """Wait a moment for the answer, unless so many reconcilers wait that other objects would be delayed."""
        remaining = open_request.quiet_until - self._now()
        if open_request.said is None and remaining > 0 and not self._patience.locked():
            async with self._patience:
                await asyncio.wait({open_request.task}, timeout=remaining)

    async def _unanswered(self, key: Key, resource: Resource, open_request: OpenRequest) -> bool:
        """Write that the request is open, once it has been so for a moment; its answer queues ``key`` again."""
        if not open_request.is_watched:
            open_request.is_watched = True
            open_request.task.add_done_callback(lambda _: self._queue.add(key))
        if self._keeps(resource, open_request.request):
            return False  # the present results are kept until there are new ones
        remaining = open_request.quiet_until - self._now()
        if remaining > 0:
            self._queue.add_later(key, remaining)
            return False
        waiting = self._awaited(key, open_request)
        if waiting != open_request.said:
            open_request.said, open_request.quiet_until = waiting, self._now() + _QUIET_SECONDS
        return await self._write(self._latest(key, resource), waiting, open_request.request)

    def _awaited(self, key: Key, open_request: OpenRequest) -> Waiting:
        """Return what a request waits for. To save writes, its position is shown again only when it has halved."""
        position = open_request.requester.position()
        if position is None:
            open_request.position = None
            return self.under_way
        if open_request.position is None or 2 * position.total <= open_request.position.total:
            open_request.position = position
        self._queue.add_later(key, min(max(_QUIET_SECONDS, position.total), _LONGEST_LOOK_SECONDS))
        return Waiting(reason="Queued", message=_before(open_request.position))

    def _queue_changed(self, key: Key) -> None:
        """Reconcile ``key`` after a moment, because its job now waits for a turn or has one. No short wait is shown."""
        open_request = self._open_requests.get(key)
        remaining = open_request.quiet_until - self._now() if open_request else 0
        self._queue.add_later(key, max(_PATIENCE_SECONDS, remaining))

    def _open_request(self, key: Key, resource: Resource, request: ForecastRequest) -> OpenRequest:
        """Return the open request of ``key``: the present one, or a new one if ``request`` differs from it."""
        known = self._open_requests.get(key)
        if known is not None and known.request == request:
            return known
        if known is not None:
            known.task.cancel()
        status = resource.get("status") or {}
        changed = status.get("inputsHash") != inputs_hash(request)
        requester = Requester(namespace=key.namespace, on_change=lambda: self._queue_changed(key))
        task = asyncio.create_task(self._answer(request, requester, again=not changed))
        now = self._now()
        open_request = OpenRequest(
            request=request, began=now, requester=requester, task=task, quiet_until=now + _PATIENCE_SECONDS
        )
        self._open_requests[key] = open_request
        return open_request

    async def _answer(self, request: ForecastRequest, requester: Requester, *, again: bool) -> Outcome:
        """Request the answer. ``again``: the inputs are unchanged, so the look-up is subject to the rate limit."""
        if again:
            await self._rate.wait()
        try:
            return await self._forecasts.forecast(request, fresh=bool(request.refresh), requester=requester)
        except Exception as error:  # else a new resource would have no status, and an old one would still say Ready
            log.error("a forecast failed", exc_info=error, extra=id_of(error))
            return Failure(stage="profile", reason=defects.REASON, message=sentence(error), transient=True)

    # -- time

    def _is_due(self, key: Key, spec: Spec) -> bool:
        """Tell whether to look the tag up again; after a restart these times are spread over one interval."""
        interval = seconds_of(spec.resolve_interval)
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

    def _schedule(self, key: Key, spec: Spec, outcome: Outcome) -> None:
        interval = seconds_of(spec.resolve_interval)
        pause = interval * random.uniform(1 - _JITTER, 1)  # noqa: S311  # spreads load, guards nothing
        if isinstance(outcome, Failure) and _may_heal(outcome):
            pause = min(pause, self._queue.pause_seconds(key))
        else:
            self._queue.forget(key)
        self._due[key] = self._now() + pause
        self._queue.add_later(key, pause)

    # -- the answer

    async def _unasked(self, key: Key, resource: Resource, result: Waiting | Wrong) -> bool:
        self._cancel_request(key)
        written = await self._write(resource, result, None)
        self._logged(resource, result, written=written)
        if result.reason in UNWATCHED:
            self._queue.add_later(key, self._queue.pause_seconds(key))
        else:
            self._queue.forget(key)
        return written

    async def _suspended(self, key: Key, resource: Resource, request: ForecastRequest) -> bool:
        self._cancel_request(key)
        if is_answered(resource, inputs_hash(request)):
            written = await self._put(resource, same_generation(resource))
        else:
            waiting = Waiting(
                reason="Suspended", message=f"spec.suspend is true: set it to false to get a {self.answer}"
            )
            written = await self._write(resource, waiting, request)
        self._queue.forget(key)
        return written

    async def _write(self, resource: Resource, result: object, request: ForecastRequest | None) -> bool:
        return await self._put(resource, self._desired(resource, result, request))

    async def _put(self, resource: Resource, desired: Status) -> bool:
        """Write the status, with what the answer costs, on which no answer depends."""
        return await self._writer.status(self.kind, resource, self._costed(resource, desired, self.pricing))

    def _latest(self, key: Key, resource: Resource) -> Resource:
        """Return ``resource`` as it was when the request was made, because the answer is for that generation, with its
        present status."""
        latest = self._index.resource(key) or resource
        return {**resource, "status": latest.get("status") or {}}

    def _cancel_request(self, key: Key) -> None:
        """Cancel the open request of ``key``, whose answer is no longer needed."""
        open_request = self._open_requests.pop(key, None)
        if open_request is not None:
            open_request.task.cancel()

    def _forget(self, key: Key) -> None:
        self._cancel_request(key)
        self._due.pop(key, None)
        self._queue.forget(key)


class Rate:
    """A limit of calls per second, evenly spaced."""

    def __init__(self, per_second: float, now: Callable[[], float] = time.monotonic) -> None:
        self._pause_seconds = 1 / per_second
        self._now = now
        self._next = 0.0

    async def wait(self) -> None:
        """Return when it is this caller's turn."""
        turn = max(self._next, self._now())
        self._next = turn + self._pause_seconds
        await asyncio.sleep(turn - self._now())


def _before(position: Position) -> str:
    if not position.total:
        return "it is next in the queue: its turn comes when a job under way ends"
    jobs = "job" if position.own == 1 else "jobs"
    return f"at most {position.own} {jobs} of this namespace and {position.others} of others are before it in the queue"


def _may_heal(failure: Failure) -> bool:
    """Tell whether to try again soon. A registry may become available; a malformed reference stays malformed.

    An image beyond the budget is not read again before its tag is looked up again.
    """
    lasting = failure.reason in ("InvalidModelReference", "FetchBudgetExceeded", "SourceDisabled")
    return failure.transient or (failure.stage == "resolve" and not lasting)
