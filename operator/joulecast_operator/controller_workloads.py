"""Deployments: their annotations, and the estimates made for those that name a model."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from joulecast_operator import discovery
from joulecast_operator.annotations import (
    REST_UNTIL,
    RESTING_UNTIL,
    Changes,
    Outputs,
    annotations_of,
    merge,
)
from joulecast_operator.discovery import is_made
from joulecast_operator.index import Index, Key, Resource
from joulecast_operator.journal import UNCOUNTED, Journal
from joulecast_operator.kinds import DEPLOYMENTS, ESTIMATES
from joulecast_operator.webhook_decision import desired_outputs
from joulecast_operator.writer import Writer

_NAME_CHARACTERS: Final = 200  # of the Deployment's name in its estimate's; a whole one may have 253
_POLL_SECONDS: Final = 0.05  # between looks whether the writes under way have landed


class Workloads:
    """Reconciles Deployments. ``own``: joulecast's Deployment; nothing is annotated while it asks for rest."""

    def __init__(self, *, index: Index, writer: Writer, own: Key | None, journal: Journal = UNCOUNTED) -> None:
        self._journal = journal
        self._index = index
        self._writer = writer
        self._own = own
        self._writing: set[Key] = set()

    async def reconcile(self, key: Key) -> None:
        """Make or remove the estimate of ``key`` and write its annotations."""
        deployment = self._index.resource(key)
        if deployment is None:
            await self._remove_made(key)
            return
        await self._make(key, deployment)
        if self._stopped():
            await self._rest(key, deployment)
            return
        # the webhook asks these same two functions, so that both always agree
        desired = desired_outputs(deployment, discovery.estimate_for(deployment, self._index))
        if not discovery.annotatable(deployment):
            desired = {}
        changes = merge(annotations_of(deployment), desired)
        if changes:
            await self._write(key, deployment, desired, changes)

    def concerned(self, estimate: Resource) -> list[Key]:
        """Deployments whose annotations may depend on ``estimate``."""
        metadata, spec = estimate["metadata"], estimate.get("spec") or {}
        image = (spec.get("model") or {}).get("image")
        target = (spec.get("targetRef") or {}).get("name")
        found = []
        for key in self._index.keys(DEPLOYMENTS, metadata["namespace"]):
            deployment = self._index.resource(key)
            if deployment is None:
                continue
            named = annotations_of(deployment).get("joulecast.dev/estimate", "").strip() == metadata["name"]
            if named or key.name == target or (image and image in _images(deployment)):
                found.append(key)
        return found

    def owner(self, estimate: Resource) -> Key | None:
        """The Deployment that ``estimate`` was made for; None of any other estimate."""
        spec = estimate.get("spec")
        target = spec.get("targetRef") if isinstance(spec, Mapping) else None
        name = target.get("name") if isinstance(target, Mapping) else None
        if not is_made(estimate) or not isinstance(name, str):
            return None
        return Key(kind=DEPLOYMENTS.kind, namespace=estimate["metadata"]["namespace"], name=name)

    def targeting(self, key: Key) -> list[Key]:
        """Estimates that take their model from the Deployment of ``key``."""
        found = self._index.by_target(key.namespace, DEPLOYMENTS.kind, key.name)
        return [
            Key(kind=ESTIMATES.kind, namespace=key.namespace, name=estimate["metadata"]["name"]) for estimate in found
        ]

    async def _make(self, key: Key, deployment: Resource) -> None:
        if not discovery.wants_estimate(deployment):
            await self._remove_made(key)
            return
        wanted = made_for(deployment)
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
        found = self._index.by_target(key.namespace, DEPLOYMENTS.kind, key.name)
        return [estimate for estimate in found if is_made(estimate)]

    async def _write(self, key: Key, deployment: Resource, desired: Outputs, changes: Changes) -> None:
        self._writing.add(key)
        try:
            await self._writer.annotations(deployment, desired, changes)
            self._journal.annotated(deployment, changes)
        finally:
            self._writing.discard(key)

    async def _rest(self, key: Key, deployment: Resource) -> None:
        """Tell who asked for rest that no write is under way any more; none begins while it lasts."""
        notes = annotations_of(deployment)
        if key != self._own or notes.get(RESTING_UNTIL) == notes[REST_UNTIL]:
            return
        while self._writing:
            await asyncio.sleep(_POLL_SECONDS)
        await self._writer.acknowledge_rest(deployment, notes[REST_UNTIL])

    def _stopped(self) -> bool:
        own = self._index.resource(self._own) if self._own else None
        return own is not None and discovery.resting(own, datetime.now(UTC))


def made_for(deployment: Resource) -> dict[str, Any]:
    """The estimate of a Deployment that names a model: same name every time, gone with its owner."""
    metadata = deployment["metadata"]
    owner = {
        "apiVersion": DEPLOYMENTS.api_version,
        "kind": DEPLOYMENTS.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": False,
        "blockOwnerDeletion": False,  # setting it would need a right on finalizers
    }
    spec: dict[str, Any] = {"targetRef": {"kind": DEPLOYMENTS.kind, "name": metadata["name"]}}
    batch_size = discovery.asked_batch_size(deployment)
    if batch_size is not None:
        spec["workload"] = {"batchSizes": [batch_size]}
    return {
        "apiVersion": ESTIMATES.api_version,
        "kind": ESTIMATES.kind,
        "metadata": {
            "name": f"{metadata['name'][:_NAME_CHARACTERS].rstrip('.-')}-{_suffix(metadata['uid'])}",
            "namespace": metadata["namespace"],
            "labels": {discovery.MANAGED_BY_LABEL: discovery.MANAGER},
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def _suffix(uid: str) -> str:
    """Another Deployment of the same name gets another estimate, while the old one may still be going."""
    return hashlib.sha256(uid.encode()).hexdigest()[:8]


def _answers(estimate: Resource, wanted: Resource) -> bool:
    named = estimate["metadata"]["name"] == wanted["metadata"]["name"]
    batch_sizes = (wanted["spec"].get("workload") or {}).get("batchSizes", [1])
    asked = ((estimate.get("spec") or {}).get("workload") or {}).get("batchSizes", [1])
    return bool(named and asked == batch_sizes)


def _images(deployment: Resource) -> set[str]:
    return {model.reference for model in discovery.models(deployment)}
