"""Reconcile workloads: write their annotations, and create estimates for those that name a model."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Collection, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from joulecast_operator.api.annotations import (
    FAILED,
    READY,
    REASON,
    REST_UNTIL,
    RESTING_UNTIL,
    Changes,
    Outputs,
    annotations_of,
)
from joulecast_operator.api.conditions import EventToPost
from joulecast_operator.api.kinds import ANNOTATED, DEPLOYMENTS, ESTIMATES, MANAGED_BY_LABEL, MANAGER, TARGETS, Kind
from joulecast_operator.api.objects import Key, Resource, mapping
from joulecast_operator.cluster.writer import Writer
from joulecast_operator.controllers.contested import Contested, undone_event
from joulecast_operator.controllers.outcome_log import UNCOUNTED, OutcomeLog
from joulecast_operator.estimates.fleet import asked_of, figures
from joulecast_operator.index.index import Index
from joulecast_operator.index.slim import model_of
from joulecast_operator.metrics.fleet.workloads import ServedWorkload
from joulecast_operator.workloads import choice, discovery
from joulecast_operator.workloads.outputs import merge
from joulecast_operator.workloads.verdict import Verdict, verdict_on

_NAME_CHARACTERS: Final = 200  # of the workload's name in its estimate's name, which may have 253
_ESTIMATED: Final = "Estimated"  # the reason of the condition Ready when it is True
_POLL_SECONDS: Final = 0.05  # between looks whether the writes under way have landed


@dataclass(frozen=True, slots=True, kw_only=True)
class AffectedWorkloads:
    """The workloads whose annotations may depend on an estimate.

    - ``model``: the image or address of the estimate's model; "" if it names none.
    - ``of_model``: workloads that may run this model.
    - ``named``: workloads that name the estimate, and the one that it names.
    """

    model: str
    of_model: Set[Key]
    named: Set[Key]


class Workloads:
    """Reconciles workloads of the kinds that are annotated.

    ``own``: joulecast's own Deployment; no annotation is written while its annotation rest-until asks for that.
    ``namespaces``: those whose workloads are reconciled; all when empty. ``status_only``: whether annotations are
    neither written nor removed; else the label of each namespace decides.
    """

    def __init__(
        self,
        *,
        index: Index,
        writer: Writer,
        own: Key | None,
        outcome_log: OutcomeLog = UNCOUNTED,
        namespaces: Collection[str] = (),
        status_only: bool = False,
    ) -> None:
        self._namespaces = namespaces
        self._status_only = status_only
        self._outcome_log = outcome_log
        self._index = index
        self._writer = writer
        self._own = own
        self._asking: Resource | None = None  # the controller's own Deployment as it was seen last
        self._writing: set[Key] = set()
        self._told: dict[Key, tuple[str, str]] = {}
        self.contested = Contested()
        self._fleet: dict[Key, ServedWorkload] = {}

    def fleet(self) -> list[ServedWorkload]:
        """Return the figures of every workload that has a forecast; one that a controller owns has none of its own."""
        return list(self._fleet.values())

    def remember_reasons(self) -> None:
        """Remember the reasons that workloads have already, so that a restart does not repeat their events.

        A workload that is not annotated has the reason that its estimate gives.
        """
        for key in (key for kind in ANNOTATED.values() for key in self._index.keys(kind)):
            workload = self._index.resource(key) or {}
            reason = annotations_of(workload).get(REASON)
            if not self._annotates(key.namespace):
                verdict = self._verdict(key, workload)
                reason = verdict.reason if verdict else None
            if reason:
                self._told[key] = workload["metadata"]["uid"], reason

    async def reconcile(self, key: Key) -> None:
        """Create or delete the estimate of the workload ``key``, and write its annotations."""
        workload = self._index.resource(key)
        if workload is None:
            self._told.pop(key, None)
            self._fleet.pop(key, None)
            self.contested.forget(key)
            await self._remove_made(key)
            return
        if self._namespaces and key.namespace not in self._namespaces:
            await self._rest(key, workload)  # one of joulecast's own, which is in the index for that
            return
        await self._make(key, workload)
        if self._stopped():
            await self._rest(key, workload)
            return
        estimate = choice.estimate_for(workload, self._index)
        verdict = verdict_on(workload, estimate, key.namespace)
        self._count(key, workload, estimate, verdict)
        await self._annotate(key, workload, verdict)
        await self._tell(key, workload, verdict)

    def _verdict(self, key: Key, workload: Resource) -> Verdict | None:
        # the webhook calls these same two functions, so that both processes always agree
        return verdict_on(workload, choice.estimate_for(workload, self._index), key.namespace)

    def count(self, key: Key) -> None:
        """Keep the figures of a workload of a custom kind, on which nothing is written; forget those of one that went.

        One that a controller owns has none: it is counted as its owner.
        """
        workload = self._index.resource(key)
        estimate = None if workload is None else choice.estimate_targeting(workload, self._index)
        if workload is None or estimate is None:
            self._fleet.pop(key, None)
            return
        self._count(key, workload, estimate, verdict_on(workload, estimate, key.namespace))

    def _count(self, key: Key, workload: Resource, estimate: Resource | None, verdict: Verdict | None) -> None:
        """Keep the figures of the workload by the result that speaks for it."""
        row = verdict.row if verdict else None
        found = figures(asked_of(estimate or {}), row, workload) if row is not None else None
        if found is None:
            self._fleet.pop(key, None)
            return
        labels = (key.namespace, key.kind, key.name, sys.intern(found.accelerator))
        self._fleet[key] = ServedWorkload(labels=labels, per=found.per, values=(found.pods, found.joules, found.watts))

    def _annotates(self, namespace: str) -> bool | None:
        """Tell whether workloads of the namespace are annotated; None if nothing is to be written there, either
        because annotations are off altogether, or before the namespace's label is known."""
        return None if self._status_only else self._index.may_annotate(namespace)

    async def _annotate(self, key: Key, workload: Resource, verdict: Verdict | None) -> None:
        """Write the annotations, or remove them in a namespace whose label says so.

        Nothing is written before the label is known. The event that brings it queues the workload again.
        """
        allowed = self._annotates(key.namespace)
        if allowed is None:
            return
        desired = verdict.outputs if verdict and allowed else {}
        changes = merge(annotations_of(workload), desired)
        if not changes:
            self.contested.stands(key)
        elif self.contested.must_wait(key, workload, desired):
            await self._tell_undone(key, workload)
        else:
            await self._write(key, workload, desired, changes)

    async def _tell(self, key: Key, workload: Resource, verdict: Verdict | None) -> None:
        """Post an event if the reason differs from that of the last event, or if a forecast follows a failure."""
        told, uid = self._told.get(key), workload["metadata"]["uid"]
        if verdict is None or verdict.state == READY:
            self._told.pop(key, None)
        if verdict is None:
            return
        if verdict.reason is not None and told != (uid, verdict.reason):
            kind: Literal["Normal", "Warning"] = "Warning" if verdict.state == FAILED else "Normal"
            event = EventToPost(kind=kind, reason=verdict.reason, message=verdict.sentence)
            await self._writer.event(ANNOTATED[key.kind], workload, event)
            self._told[key] = uid, verdict.reason
        elif verdict.state == READY and told is not None:
            event = EventToPost(kind="Normal", reason=_ESTIMATED, message=verdict.sentence)
            await self._writer.event(ANNOTATED[key.kind], workload, event)

    def affected_by(self, estimate: Resource) -> AffectedWorkloads:
        """Return the workloads whose annotations may depend on ``estimate``, without reading any other."""
        metadata = estimate["metadata"]
        namespace, model = metadata["namespace"], model_of(estimate)
        named = self._index.workloads_of(namespace, estimate=metadata["name"])
        target = _target(estimate)
        if target is not None and self._index.resource(target) is not None:
            named.add(target)
        return AffectedWorkloads(model=model, of_model=self._index.workloads_of(namespace, model=model), named=named)

    def owner(self, estimate: Resource) -> Key | None:
        """Return the workload for which joulecast created ``estimate``; None for any other estimate."""
        return _target(estimate) if discovery.is_made(estimate) else None

    def targeting(self, key: Key) -> list[Key]:
        """Return the estimates that take their model from the workload ``key``."""
        return self._index.targeting(key.namespace, key.kind, key.name)

    async def _make(self, key: Key, workload: Resource) -> None:
        if not discovery.wants_estimate(workload):
            await self._remove_made(key)
            return
        wanted = made_for(ANNOTATED[key.kind], workload)
        kept = False
        for estimate in self._made(key):
            if _answers(estimate, wanted):
                kept = True
            else:
                await self._writer.delete_estimate(estimate)
        if not kept:
            await self._writer.create_estimate(wanted)

    async def _remove_made(self, key: Key) -> None:
        for estimate in self._made(key):
            await self._writer.delete_estimate(estimate)

    def _made(self, key: Key) -> list[Resource]:
        made = self._index.made_for(key.namespace, key.kind, key.name)
        return [estimate for each in made if (estimate := self._index.resource(each)) is not None]

    async def _write(self, key: Key, workload: Resource, desired: Outputs, changes: Changes) -> None:
        self._writing.add(key)
        try:
            stored = await self._writer.annotations(ANNOTATED[key.kind], workload, desired, changes)
        finally:
            self._writing.discard(key)
        if stored is not None:
            self._outcome_log.annotated(ANNOTATED[key.kind], workload, changes)
            self.contested.wrote(key, workload, desired, stored=not merge(stored, desired))

    async def _tell_undone(self, key: Key, workload: Resource) -> None:
        """Post an event once that somebody undoes the annotations, and who that may be."""
        if self.contested.untold(key):
            event = undone_event(key.kind, await self._writer.last_other_writer(ANNOTATED[key.kind], workload))
            await self._writer.event(ANNOTATED[key.kind], workload, event)

    async def _rest(self, key: Key, workload: Resource) -> None:
        """Confirm on joulecast's own Deployment that no write of annotations is under way any more."""
        notes = annotations_of(workload)
        if key != self._own or not self._stopped() or notes.get(RESTING_UNTIL) == notes[REST_UNTIL]:
            return
        while self._writing:
            await asyncio.sleep(_POLL_SECONDS)
        await self._writer.acknowledge_rest(workload, notes[REST_UNTIL])

    def _stopped(self) -> bool:
        """Tell whether to write nothing; an uninstall deletes the controller's Deployment before its pod ends."""
        self._asking = (self._index.resource(self._own) if self._own else None) or self._asking
        return self._asking is not None and discovery.resting(self._asking, datetime.now(UTC))


def made_for(kind: Kind, workload: Resource) -> dict[str, Any]:
    """Return the estimate to create for a workload of ``kind``, which owns it; the name is the same at every call."""
    metadata = workload["metadata"]
    owner = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": False,
        "blockOwnerDeletion": False,  # true would require a right on finalizers
    }
    target = {"apiVersion": kind.api_version, "kind": kind.kind, "name": metadata["name"]}
    spec = choice.asked_spec(workload) | {"targetRef": target}
    return {
        "apiVersion": ESTIMATES.api_version,
        "kind": ESTIMATES.kind,
        "metadata": {
            "name": f"{metadata['name'][:_NAME_CHARACTERS].rstrip('.-')}-{_suffix(metadata['uid'])}",
            "namespace": metadata["namespace"],
            "labels": {MANAGED_BY_LABEL: MANAGER},
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def _suffix(uid: str) -> str:
    """Return the end of the estimate's name. A new workload of an old one's name gets another estimate by it."""
    return hashlib.sha256(uid.encode()).hexdigest()[:8]


def _answers(estimate: Resource, wanted: Resource) -> bool:
    named = estimate["metadata"]["name"] == wanted["metadata"]["name"]
    return named and choice.same_request(estimate.get("spec") or {}, wanted["spec"])


def _target(estimate: Resource) -> Key | None:
    """Return the key of the workload that an estimate targets, if it is of a kind that is covered; else None."""
    target = mapping(mapping(estimate.get("spec")).get("targetRef"))
    kind, name = target.get("kind") or DEPLOYMENTS.kind, target.get("name")
    if kind not in TARGETS or not isinstance(name, str) or not name:
        return None
    return Key(kind=kind, namespace=estimate["metadata"]["namespace"], name=name)
