"""Deployments: their annotations, and the estimates made for those that name a model."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Set
from dataclasses import dataclass
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
from joulecast_operator.index import Index, Key, Resource
from joulecast_operator.kinds import DEPLOYMENTS, ESTIMATES
from joulecast_operator.webhook_decision import desired_outputs
from joulecast_operator.writer import Writer

_NAME_CHARACTERS: Final = 200  # of the Deployment's name in its estimate's; a whole one may have 253
_POLL_SECONDS: Final = 0.05  # between looks whether the writes under way have landed


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """Deployments that run the estimate's ``image``, and those that name the estimate or are named by it."""

    image: str
    of_image: Set[Key]
    named: Set[Key]


class Workloads:
    """Reconciles Deployments. ``own``: joulecast's Deployment; nothing is annotated while it asks for rest."""

    def __init__(self, *, index: Index, writer: Writer, own: Key | None) -> None:
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

    def concerned(self, estimate: Resource) -> Concerned:
        """Deployments whose annotations may depend on ``estimate``; looks at no other."""
        metadata, spec = estimate["metadata"], estimate.get("spec") or {}
        namespace, image = metadata["namespace"], (spec.get("model") or {}).get("image") or ""
        target = (spec.get("targetRef") or {}).get("name")
        named = self._index.deployments_of(namespace, estimate=metadata["name"])
        if target and self._index.deployment(namespace, target) is not None:
            named.add(Key(kind=DEPLOYMENTS.kind, namespace=namespace, name=target))
        return Concerned(image=image, of_image=self._index.deployments_of(namespace, image=image), named=named)

    def targeting(self, key: Key) -> list[Key]:
        """Estimates that take their model from the Deployment of ``key``."""
        return self._index.targeting(key.namespace, DEPLOYMENTS.kind, key.name)

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
        made = self._index.made_for(key.namespace, DEPLOYMENTS.kind, key.name)
        return [estimate for each in made if (estimate := self._index.resource(each)) is not None]

    async def _write(self, key: Key, deployment: Resource, desired: Outputs, changes: Changes) -> None:
        self._writing.add(key)
        try:
            await self._writer.annotations(deployment, desired, changes)
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
