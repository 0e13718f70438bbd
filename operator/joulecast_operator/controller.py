"""The controller: kopf's events become keys in a queue, and each key's object is brought to what it should be."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final

import kopf

from joulecast_operator import discovery, isolation
from joulecast_operator.annotations import REST_UNTIL, annotations_of, outputs
from joulecast_operator.calibration_line import waits
from joulecast_operator.calibration_status import holds
from joulecast_operator.controller_calibrations import Calibrations
from joulecast_operator.controller_estimates import Estimates
from joulecast_operator.controller_profiles import Profiles
from joulecast_operator.controller_workloads import Workloads
from joulecast_operator.discovery import is_made
from joulecast_operator.forecasts import Forecasts
from joulecast_operator.health import Health, served
from joulecast_operator.index import Index, Key, Resource
from joulecast_operator.kinds import CALIBRATIONS, DEPLOYMENTS, ESTIMATES, NODES, PROFILES
from joulecast_operator.kube import ApiError, Cluster
from joulecast_operator.metrics import EstimateCollector, refused_writes, registry_with, show_isolation, shown
from joulecast_operator.questions import product_of
from joulecast_operator.settings import Settings
from joulecast_operator.watches import STALE_SECONDS, Watches
from joulecast_operator.workqueue import WorkQueue
from joulecast_operator.writer import Writer

_OF_IMAGE: Final = "DeploymentsOfImage"
"""Kind of a key that stands for all Deployments of an image, so that thousands of estimates queue them together."""

_FEW: Final = 16  # Deployments that are queued one by one, at once
_SETTLE_SECONDS: Final = 1.0  # in which changes of more than a few gather

KINDS: Final = (PROFILES, NODES, DEPLOYMENTS, ESTIMATES)
"""In the order in which they are listed: an estimate needs the others. Calibrations follow where they are worked on."""

_SWEEP_JITTER: Final = 0.1


class Controller:
    """All parts of the controller, wired."""

    def __init__(self, settings: Settings) -> None:
        own = Key(kind=DEPLOYMENTS.kind, namespace=settings.namespace, name=settings.deployment)
        self._settings = settings
        self._own = own if settings.deployment else None
        self.index = Index(shown=partial(shown, all_results=settings.metrics_all_results))
        self.cluster = Cluster(concurrency=settings.api_requests)
        self.forecasts = Forecasts(settings)
        self.queue: WorkQueue[Key] = WorkQueue(first_pause_seconds=settings.retry_seconds, lasting=is_lasting)
        self.refused = refused_writes()
        writer = Writer(self.cluster, self.index, count=lambda kind: self.refused.labels(kind).inc())
        self.profiles = Profiles(
            index=self.index,
            cluster=self.cluster,
            writer=writer,
            forecasts=self.forecasts,
            namespace=settings.namespace,
            on_change=self._profiles_changed,
        )
        self.estimates = Estimates(
            index=self.index,
            cluster=self.cluster,
            writer=writer,
            forecasts=self.forecasts,
            queue=self.queue,
            overrides=self.profiles.overrides,
            resolves_per_second=settings.resolves_per_second,
        )
        self.workloads = Workloads(index=self.index, writer=writer, own=self._own)
        self.calibrations = Calibrations(
            index=self.index,
            cluster=self.cluster,
            writer=writer,
            forecasts=self.forecasts,
            queue=self.queue,
            profiles=self.profiles,
            settings=settings,
        )
        kinds = (*KINDS, CALIBRATIONS) if settings.calibration else KINDS
        self.watches = Watches(index=self.index, cluster=self.cluster, kinds=kinds, on_change=self.changed)
        self.watches.then(self.work)

    # -- work

    async def work(self) -> None:
        """Everything the index holds once, then whatever changes, then everything again every sweep."""
        for key in self.index.keys(PROFILES):
            await self._guarded(self.profiles.reconcile, key)  # before estimates, which would be priced twice
        self.queue_all()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.queue.work(self.reconcile, workers=self._settings.reconcilers))
            group.create_task(self._sweep())

    async def reconcile(self, key: Key) -> None:
        """Bring the object of ``key`` to what it should be. Estimates say themselves when they went well."""
        if key.kind == ESTIMATES.kind:
            await self._reconcile_estimate(key)
            return
        if key.kind == DEPLOYMENTS.kind:
            await self.workloads.reconcile(key)
        elif key.kind == _OF_IMAGE:
            self._queue_each(self.index.deployments_of(key.namespace, image=key.name))
        elif key.kind == PROFILES.kind:
            await self.profiles.reconcile(key)
        elif key.kind == CALIBRATIONS.kind:
            await self.calibrations.reconcile(key)
        self.queue.forget(key)

    async def _reconcile_estimate(self, key: Key) -> None:
        if await self.estimates.reconcile(key):
            self._tell_workloads(self.index.resource(key))

    async def _guarded(self, reconcile: Callable[[Key], Coroutine[Any, Any, None]], key: Key) -> None:
        try:
            await reconcile(key)
        except Exception:  # the queue logs it and tries again
            self.queue.add(key)

    # -- what an event means

    def changed(self, key: Key, before: Resource | None, after: Resource | None) -> None:
        """Queue whatever depends on the object of ``key``."""
        if key.kind == NODES.kind:
            if _product(before) != _product(after) or _labels(before) != _labels(after):
                self._ask_all()
            if _labels(before) != _labels(after) or _devices(before) != _devices(after):
                self.calibrations.queue_all()
        elif key.kind == DEPLOYMENTS.kind:
            self._deployment_changed(key, before, after)
        else:
            self.queue.add(key)
            if key.kind == ESTIMATES.kind:
                self._estimate_changed(before, after)
            if (
                key.kind == CALIBRATIONS.kind
                and after is None
                and before is not None
                and (holds(before) or waits(before))
            ):
                self.calibrations.queue_all()  # whoever waits for its turn

    def _deployment_changed(self, key: Key, before: Resource | None, after: Resource | None) -> None:
        if key == self._own and _rest(before) != _rest(after):
            self.queue.add(key)  # before all others: somebody may wait for the answer
            self.queue_all()
        if _inputs(before) != _inputs(after):
            for estimate in self.workloads.targeting(key):
                self.queue.add(estimate)
        if _inputs(before) != _inputs(after) or _outputs(before) != _outputs(after):
            self.queue.add(key)

    def _estimate_changed(self, before: Resource | None, after: Resource | None) -> None:
        for estimate in (before, after):
            self._tell_workloads(estimate)

    def _tell_workloads(self, estimate: Resource | None) -> None:
        if estimate is None:
            return
        concerned = self.workloads.concerned(estimate)
        if len(concerned.of_image) <= _FEW:
            self._queue_each(concerned.of_image)
        else:
            key = Key(kind=_OF_IMAGE, namespace=estimate["metadata"]["namespace"], name=concerned.image)
            self.queue.add_within(key, _SETTLE_SECONDS)
        self._queue_each(concerned.named)

    def _queue_each(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.queue.add(key)

    def _profiles_changed(self) -> None:
        self._ask_all()
        self.calibrations.queue_all()

    def _ask_all(self) -> None:
        for key in self.index.keys(ESTIMATES):
            self.queue.add(key)

    # -- sweep

    def queue_all(self) -> None:
        """Queue every object, and Deployments that are gone but left an estimate made for them."""
        for kind in (PROFILES, DEPLOYMENTS, ESTIMATES, CALIBRATIONS):
            for key in self.index.keys(kind):
                self.queue.add(key)
        for estimate in self.index.estimates():
            if is_made(estimate):
                metadata = estimate["metadata"]
                name = estimate["spec"]["targetRef"]["name"]
                self.queue.add(Key(kind=DEPLOYMENTS.kind, namespace=metadata["namespace"], name=name))

    async def _sweep(self) -> None:
        while True:
            jitter = random.uniform(1 - _SWEEP_JITTER, 1 + _SWEEP_JITTER)  # noqa: S311  # spreads load, guards nothing
            await asyncio.sleep(self._settings.sweep_seconds * jitter)
            self.queue_all()

    def health(self) -> Health:
        def sick() -> str | None:
            behind = self.index.behind_seconds()
            return f"the index has been behind the API server for {behind:.0f} s" if behind > STALE_SECONDS else None

        return Health(sick=sick, unready=lambda: None if self.index.ready else "the index is being filled")


def run(settings: Settings) -> None:
    """Run until told to stop."""
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    controller = Controller(settings)
    registry = registry_with(EstimateCollector(controller.index), controller.refused)
    show_isolation(registry, isolated=await isolation.checked())
    async with served(settings.metrics_port, registry, controller.health()):
        await controller.forecasts.start()
        try:
            await kopf.operator(
                registry=controller.watches.registry, settings=controller.watches.settings, clusterwide=True
            )
        finally:
            await controller.forecasts.close()


def is_lasting(error: Exception) -> bool:
    """Whether the API server would refuse the same again."""
    return isinstance(error, ApiError) and error.lasting


def _product(node: Resource | None) -> str | None:
    return product_of(node, {}) if node else None


def _labels(node: Resource | None) -> Any:
    return ((node or {}).get("metadata") or {}).get("labels")


def _devices(node: Resource | None) -> Any:
    return ((node or {}).get("status") or {}).get("allocatable")


def _inputs(deployment: Resource | None) -> tuple[str, str, Any] | None:
    if deployment is None:
        return None
    owners = deployment["metadata"].get("ownerReferences")
    return discovery.inputs_hash(deployment), deployment["metadata"]["uid"], owners


def _rest(deployment: Resource | None) -> str | None:
    return annotations_of(deployment or {}).get(REST_UNTIL)


def _outputs(deployment: Resource | None) -> Any:
    return outputs(annotations_of(deployment)) if deployment else None
