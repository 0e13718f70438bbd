"""The controller process: it watches objects, queues the keys of those that an event concerns, and reconciles them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from typing import Any, Final

import kopf

from joulecast_operator.api.kinds import (
    ANNOTATED,
    CALIBRATIONS,
    CUSTOM,
    DEPLOYMENTS,
    ESTIMATES,
    NAMESPACES,
    NODES,
    OFFERS,
    PLANS,
    PROFILES,
    SITES,
    TARGETS,
)
from joulecast_operator.api.objects import Key, Resource, Scope
from joulecast_operator.calibrations.queue import waits_in_queue
from joulecast_operator.calibrations.status import holds_accelerator
from joulecast_operator.cluster import defects
from joulecast_operator.cluster.client import ApiError, Cluster
from joulecast_operator.cluster.networks import ClusterNetworks
from joulecast_operator.cluster.scopes import own_deployments, watched
from joulecast_operator.cluster.served_kinds import ServedKinds
from joulecast_operator.cluster.watches import STALE_SECONDS, Watches
from joulecast_operator.cluster.workqueue import WorkQueue
from joulecast_operator.cluster.writer import Writer
from joulecast_operator.controllers import changes
from joulecast_operator.controllers.asking import Rate
from joulecast_operator.controllers.calibrations import Calibrations
from joulecast_operator.controllers.certificates.events import CertificateEvents
from joulecast_operator.controllers.certificates.file import CertificateFile
from joulecast_operator.controllers.certificates.webhook_certificate import WebhookCertificate
from joulecast_operator.controllers.defects import say_defect
from joulecast_operator.controllers.estimates import Estimates
from joulecast_operator.controllers.outcome_log import OutcomeLog
from joulecast_operator.controllers.plans import Plans
from joulecast_operator.controllers.profiles import Profiles
from joulecast_operator.controllers.sites import Sites
from joulecast_operator.controllers.workloads import Workloads
from joulecast_operator.estimates.forecasts import Forecaster
from joulecast_operator.index.index import Index
from joulecast_operator.metrics.certificates import show_certificate
from joulecast_operator.metrics.collector import EstimateCollector
from joulecast_operator.metrics.estimates import shown
from joulecast_operator.metrics.fleet.workloads import WorkloadCollector
from joulecast_operator.metrics.reconciles import Reconciles, refused_writes, show_contested, show_index, show_queue
from joulecast_operator.metrics.registry import registry_with
from joulecast_operator.metrics.work import show_isolation
from joulecast_operator.serving.health import Health
from joulecast_operator.serving.ports import opened
from joulecast_operator.settings import Settings
from joulecast_operator.workers import isolation

_OF_MODEL: Final = "WorkloadsOfModel"
"""Kind of a key that stands for all workloads of a model, so that thousands of estimates queue them only once."""

_FEW: Final = 16  # workloads that are queued at once, each by its own key
_SETTLE_SECONDS: Final = 1.0  # delay of a key for more workloads than that, in which further changes are joined

KINDS: Final = (PROFILES, SITES, NODES, NAMESPACES, *ANNOTATED.values(), ESTIMATES, PLANS)
"""The kinds in the order in which they are listed: what asks about models comes last, because it needs the others."""

_SWEEP_JITTER: Final = 0.1  # share by which the time between two sweeps varies
_PATIENT_SHARE: Final = 2  # at most one reconciler in this many waits a moment for a forecast

log = logging.getLogger(__name__)


class Controller:
    """Holds all parts of the controller process, and decides which objects an event concerns."""

    def __init__(self, settings: Settings) -> None:
        own = Key(kind=DEPLOYMENTS.kind, namespace=settings.namespace, name=settings.deployment)
        self._settings = settings
        self._own = own if settings.deployment and not settings.status_only else None
        self.index = Index(shown=partial(shown, all_results=settings.metrics_all_results))
        self.cluster = Cluster(concurrency=settings.api_requests)
        self.networks = ClusterNetworks(self.cluster, self.index.nodes)
        self.forecasts = Forecaster(settings, denied_networks=self.networks.denied)
        self.queue: WorkQueue[Key] = WorkQueue(first_pause_seconds=settings.retry_seconds, lasting=is_lasting)
        self.refused = refused_writes()
        self.registry = registry_with(EstimateCollector(self.index), self.refused, *self.forecasts.collectors)
        self.reconciles = Reconciles(self.registry)
        show_queue(self.registry, self.queue.__len__, self.queue.age_seconds)
        show_index(self.registry, self.index.behind_seconds)
        outcome_log = OutcomeLog(self.reconciles.failed)
        self._writer = writer = Writer(
            self.cluster,
            self.index,
            count=lambda kind: self.refused.labels(kind).inc(),
            unreported=() if settings.profile_status else (PROFILES, SITES),
            posts_cluster_events=not settings.namespaces,
        )
        common: dict[str, Any] = {
            "index": self.index,
            "cluster": self.cluster,
            "writer": writer,
            "outcome_log": outcome_log,
        }
        self.profiles = Profiles(
            **common,
            forecasts=self.forecasts,
            namespace=settings.namespace,
            on_change=self._profiles_changed,
        )
        self.sites = Sites(
            **common,
            queue=self.queue,
            namespace=settings.namespace,
            poll_seconds=settings.site_poll_seconds,
            priced={
                "estimates": lambda: (rows[0].cost.site for rows in self.index.shown() if rows[0].cost),
                "plans": self.index.sites_of_plans,
            },
            on_change=self._ask_all,
        )
        shared: dict[str, Any] = common | {
            "forecasts": self.forecasts,
            "queue": self.queue,
            "overrides": self.profiles.overrides,
            "rate": Rate(settings.resolves_per_second),
            "patience": asyncio.Semaphore(max(1, settings.reconcilers // _PATIENT_SHARE)),
            "costed": self.sites.costed,
        }
        self.estimates, self.plans = Estimates(**shared), Plans(**shared)
        self.workloads = Workloads(
            index=self.index,
            writer=writer,
            own=self._own,
            outcome_log=outcome_log,
            namespaces=settings.namespaces,
            status_only=settings.status_only,
        )
        show_contested(self.registry, self.workloads.contested.__len__)
        if settings.metrics_workloads:
            self.registry.register(WorkloadCollector(self.workloads.fleet))
        self.calibrations = Calibrations(
            **common,
            forecasts=self.forecasts,
            queue=self.queue,
            profiles=self.profiles,
            settings=settings,
        )
        self.certificate_events = CertificateEvents(
            index=self.index, writer=writer, namespace=settings.namespace, deployment=settings.webhook_deployment
        )
        self._certificate = (
            WebhookCertificate(cluster=self.cluster, settings=settings, events=self.certificate_events)
            if settings.webhook_secret
            else None
        )
        show_certificate(self.registry, self._certificate.behind_seconds if self._certificate else lambda: 0.0)
        self.watches = Watches(
            index=self.index, cluster=self.cluster, scopes=tuple(_scopes(settings)), on_change=self.changed
        )
        self.watches.then(self.work)
        self.served_kinds = ServedKinds(
            kinds=(*OFFERS.values(), *CUSTOM.values()),
            cluster=self.cluster,
            index=self.index,
            watches=self.watches,
            namespaces=settings.namespaces,
            seconds=settings.kinds_seconds,
            on_change=self._ask_all,
        )

    # -- work

    async def work(self) -> None:
        """Reconcile all objects once, then each that changes, and all again at every sweep."""
        await self.networks.look()  # before anything is fetched
        await self.served_kinds.look()  # before estimates, whose targets may be of such a kind
        for key in self.index.keys(PROFILES):
            await self._guarded(self.profiles.load, key)  # before estimates, which would else be forecast twice
        for key in self.index.keys(SITES):
            await self._guarded(self.sites.load, key)
        self.workloads.remember_reasons()
        self.queue_all()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.queue.work(self.reconcile, workers=self._settings.reconcilers))
            group.create_task(self._sweep())
            group.create_task(self.networks.watch())
            group.create_task(self.served_kinds.watch())

    async def keep_certificate(self) -> None:
        """Keep the webhook's certificate in order, or warn before one of another source expires, until cancelled."""
        settings = self._settings
        if self._certificate is not None:
            await self._certificate.watch()
        elif settings.webhook_public_certfile:
            file = CertificateFile(settings.webhook_public_certfile, events=self.certificate_events)
            await file.watch(settings.webhook_check_seconds)

    async def reconcile(self, key: Key) -> None:
        """Reconcile the object of ``key``; if joulecast itself fails, write that into the object's status."""
        try:
            with self.reconciles.timed(key.kind):
                await self._reconcile(key)
        except Exception as error:
            self.reconciles.failed(key.kind, defects.reason_of(error))
            if defects.is_defect(error):
                await say_defect(key, self.index.resource(key), error, self._writer)
            raise

    async def _reconcile(self, key: Key) -> None:
        """Reconcile the object of ``key``, and forget its failures after success; what asks about models does that
        itself."""
        if key.kind == ESTIMATES.kind:
            await self._reconcile_estimate(key)
            return
        if key.kind == PLANS.kind:
            if await self.plans.reconcile(key):
                self.sites.recount()
            return
        if key.kind in ANNOTATED:
            await self.workloads.reconcile(key)
        elif key.kind in CUSTOM:
            self.workloads.count(key)
        elif key.kind == _OF_MODEL:
            self._queue_each(self.index.workloads_of(key.namespace, model=key.name))
        elif key.kind == PROFILES.kind:
            await self.profiles.reconcile(key)
        elif key.kind == SITES.kind:
            await self.sites.reconcile(key)
        elif key.kind == CALIBRATIONS.kind:
            await self.calibrations.reconcile(key)
        self.queue.forget(key)

    async def _reconcile_estimate(self, key: Key) -> None:
        if await self.estimates.reconcile(key):
            self._tell_workloads(self.index.resource(key))
            self.sites.recount()

    async def _guarded(self, reconcile: Callable[[Key], Coroutine[Any, Any, None]], key: Key) -> None:
        try:
            await reconcile(key)
        except Exception:  # the queue tries again, and logs the error if it comes again
            self.queue.add(key)

    # -- what an event means

    def changed(self, key: Key, before: Resource | None, after: Resource | None) -> None:
        """Queue whatever depends on the object of ``key``."""
        if key.kind == NODES.kind:
            self._node_changed(before, after)
        elif key.kind == NAMESPACES.kind:
            if changes.labels(before) != changes.labels(after):
                for kind in ANNOTATED.values():
                    self._queue_each(self.index.keys(kind, key.name))
        elif key.kind in ANNOTATED:
            self._workload_changed(key, before, after)
        elif key.kind in OFFERS:
            self._offer_changed(before, after)
        elif key.kind in CUSTOM:
            self._target_changed(key, before, after)
        else:
            self.queue.add(key)
            if key.kind == ESTIMATES.kind:
                self._estimate_changed(before, after)
            if after is None and before is not None:
                self._deleted(key, before)

    def _deleted(self, key: Key, before: Resource) -> None:
        if key.kind in (ESTIMATES.kind, PLANS.kind):
            self.sites.recount()
        elif key.kind == CALIBRATIONS.kind and (holds_accelerator(before) or waits_in_queue(before)):
            self.calibrations.queue_all()  # others may have waited for it

    def _node_changed(self, before: Resource | None, after: Resource | None) -> None:
        self.networks.node_changed(before, after)
        asked = (changes.labels, changes.devices, changes.taints)
        if any(each(before) != each(after) for each in asked):
            self._ask_all()
            self.calibrations.queue_all()

    def _workload_changed(self, key: Key, before: Resource | None, after: Resource | None) -> None:
        if key == self._own and changes.rest(before) != changes.rest(after):
            self.queue.add(key)  # before all others, because an uninstall waits for the answer
            self.queue_all()
        self._target_changed(key, before, after)
        if changes.outputs(before) != changes.outputs(after):
            self.queue.add(key)

    def _offer_changed(self, before: Resource | None, after: Resource | None) -> None:
        if before != after:
            self._ask_all()

    def _target_changed(self, key: Key, before: Resource | None, after: Resource | None) -> None:
        if any(each(before) != each(after) for each in (changes.inputs, changes.pods)):
            self._queue_each((key, *self.workloads.targeting(key), *self.index.plans_of(key)))

    def _estimate_changed(self, before: Resource | None, after: Resource | None) -> None:
        for estimate in (before, after):
            self._tell_workloads(estimate)

    def _tell_workloads(self, estimate: Resource | None) -> None:
        if estimate is None:
            return
        concerned = self.workloads.affected_by(estimate)
        if len(concerned.of_model) <= _FEW:
            self._queue_each(concerned.of_model)
        else:
            key = Key(kind=_OF_MODEL, namespace=estimate["metadata"]["namespace"], name=concerned.model)
            self.queue.add_within(key, _SETTLE_SECONDS)
        self._queue_each(concerned.named)

    def _queue_each(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.queue.add(key)

    def _profiles_changed(self) -> None:
        self._queue_each(self.index.keys(PROFILES))  # another profile of the same accelerator may be in use now
        self._ask_all()
        self.calibrations.queue_all()

    def _ask_all(self) -> None:
        self._queue_each(self.index.keys(ESTIMATES))
        self._queue_each(self.index.keys(PLANS))

    # -- sweep

    def queue_all(self) -> None:
        """Queue every object, and every deleted workload for which an estimate still exists."""
        for kind in (PROFILES, SITES, *TARGETS.values(), ESTIMATES, PLANS, CALIBRATIONS):
            self._queue_each(self.index.keys(kind))
        for estimate in self.index.estimates():
            owner = self.workloads.owner(estimate)
            if owner is not None:
                self.queue.add(owner)

    async def _sweep(self) -> None:
        while True:
            jitter = random.uniform(1 - _SWEEP_JITTER, 1 + _SWEEP_JITTER)  # noqa: S311  # spreads load, guards nothing
            await asyncio.sleep(self._settings.sweep_seconds * jitter)
            self.queue_all()

    def health(self) -> Health:
        """Return what /healthz and /readyz report: whether the index is filled, and whether it is up to date."""

        def sick() -> str | None:
            behind = self.index.behind_seconds()
            return f"the index has been behind the API server for {behind:.0f} s" if behind > STALE_SECONDS else None

        unready = lambda: None if self.index.ready else "the index is being filled"  # noqa: E731
        return Health(sick=sick, unready=unready, notes=self.watches.notes)


def run(settings: Settings) -> None:
    """Run the controller until the process is asked to stop."""
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    controller = Controller(settings)
    show_isolation(controller.registry, await isolation.checked())
    async with opened(settings, controller.registry, controller.health()):
        certificate = asyncio.create_task(controller.keep_certificate())  # the webhook waits for it
        await controller.forecasts.start()
        try:
            await kopf.operator(
                registry=controller.watches.registry, settings=controller.watches.settings, clusterwide=True
            )
        finally:
            certificate.cancel()
            await controller.forecasts.close()


def _scopes(settings: Settings) -> Iterator[Scope]:
    """Yield what the controller watches."""
    kinds = [kind for kind in KINDS if kind != NAMESPACES or not settings.status_only]
    answering = "" if settings.status_only else settings.deployment  # to an uninstall
    yield from own_deployments((answering, settings.webhook_deployment), settings.namespace, settings.namespaces)
    yield from watched(kinds, settings.namespaces)
    if settings.calibration:
        runs = settings.calibration_namespaces or (settings.namespace,)
        places = dict.fromkeys((*settings.namespaces, *runs)) if settings.namespaces else ()
        yield from watched((CALIBRATIONS,), places)


def is_lasting(error: Exception) -> bool:
    """Tell whether the API server would refuse the same request again."""
    return isinstance(error, ApiError) and error.lasting
