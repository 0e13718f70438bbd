"""Write to the API server: only what differs, and without an error if the object was deleted meanwhile."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import REST_UNTIL, RESTING_UNTIL, Changes, annotations_of, outputs
from joulecast_operator.api.conditions import (
    EventToPost,
    event_of,
    refusal_event,
    refused_status,
    status_patch,
    timestamp,
)
from joulecast_operator.api.kinds import ANNOTATED, DEPLOYMENTS, ESTIMATES, EVENTS, Kind
from joulecast_operator.api.objects import Key, Resource, Scope, key_of, mapping, mappings
from joulecast_operator.cluster.client import FIELD_MANAGER, ApiError, Cluster
from joulecast_operator.cluster.refusals import Refusals
from joulecast_operator.cluster.scopes import watched
from joulecast_operator.index.index import Index

log = logging.getLogger(__name__)

COMPONENT: Final = "joulecast-controller"
_REST: Final = timedelta(minutes=10)  # Helm waits five minutes for the Job; if it gives up, writing goes on after ten
_ANSWER_SECONDS: Final = 20.0  # a busy controller answers within a second; without one, nothing is written anyway
_POLL_SECONDS: Final = 0.2
_GONE: Final = frozenset({404, 409})  # the object was deleted, or deleted and created again, since it was read
_UNREADABLE: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
_NAME_CHARACTERS: Final = 200  # of an object's name in its event's name
_PASSES: Final = 5
_PASS_SECONDS: Final = 1.0  # longer than one request takes
_CLUSTER_EVENTS: Final = "default"  # namespace of events about cluster-scoped objects


class Writer:
    """Writes through ``cluster``, and puts the API server's answers into ``index`` at once.

    ``count`` counts a write that was refused for good, by the kind of the object. ``unreported`` are kinds whose status
    this process does not write. ``posts_cluster_events`` is whether it may post events about cluster-scoped objects,
    which lie in the namespace ``default``.
    """

    def __init__(
        self,
        cluster: Cluster,
        index: Index,
        *,
        count: Callable[[str], None] = lambda _: None,
        unreported: Collection[Kind] = (),
        posts_cluster_events: bool = True,
    ) -> None:
        self._cluster = cluster
        self._index = index
        self._unreported = unreported
        self._posts_cluster_events = posts_cluster_events
        self._refusals = Refusals(self.event, count)

    async def status(
        self, kind: Kind, resource: Resource, desired: Mapping[str, Any], *, warning: bool = False
    ) -> bool:
        """Make ``desired`` the status of ``resource``, and post an event if the reason changed; tells whether it wrote.

        If the API server refuses the status for good, its last condition says why instead.
        """
        if kind in self._unreported:
            return False
        desired = bounds.bounded_status(desired)
        try:
            return await self._status(kind, resource, desired, warning=warning)
        except ApiError as error:
            if not error.lasting:
                raise
            refused = refused_status(resource, desired, str(error), now=datetime.now(UTC))
            return await self._refused_status(kind, resource, refused, error)

    async def _status(self, kind: Kind, resource: Resource, desired: Mapping[str, Any], *, warning: bool) -> bool:
        current = resource.get("status")
        patch = status_patch(current, dict(desired))
        if not patch:
            return False
        metadata = resource["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"], "status")
        try:
            # the uid keeps a status from landing on another object of the same name
            answer = await self._cluster.merge_patch(path, {"metadata": {"uid": metadata["uid"]}, "status": patch})
        except ApiError as error:
            if error.status in _GONE:
                return False
            raise
        self._index.refresh(kind, answer)
        event = event_of(current, dict(desired), warning=warning)
        if event is not None:
            await self.event(kind, resource, event)
        return True

    async def _refused_status(self, kind: Kind, resource: Resource, refused: Resource, error: ApiError) -> bool:
        """Write a condition that reports the refusal; if that is refused too, post an event instead."""
        try:
            written = await self._status(kind, resource, refused, warning=True)
        except ApiError as second:
            if not second.lasting:
                raise
            said = refused["conditions"][-1]
            event = EventToPost(kind="Warning", reason=said["reason"], message=said["message"])
            await self._refusals.tell(kind, resource, event, error)
            return False
        self._refusals.note(kind, resource, error)
        return written

    async def annotations(
        self, kind: Kind, workload: Resource, desired: Mapping[str, str], changes: Changes
    ) -> dict[str, str] | None:
        """Make ``desired`` the output annotations of ``workload``; return those of the answer, None if refused.

        Values are set by server-side apply. Keys are removed by a merge patch, because applying a smaller set would
        keep those that the webhook wrote, which belong to no field manager.
        """
        metadata = workload["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        identity = {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}
        kept = {"apiVersion": kind.api_version, "kind": kind.kind}
        removed = {key: None for key, value in changes.items() if value is None}
        answer: Resource = {}
        try:
            if any(value is not None for value in changes.values()):
                body = kept | {"metadata": identity | {"annotations": dict(desired)}}
                answer = await self._cluster.apply(path, body)
                self._index.refresh(kind, answer)
            if removed:
                body = {"metadata": {"uid": metadata["uid"], "annotations": removed}}
                answer = await self._cluster.merge_patch(path, body)
                self._index.refresh(kind, answer)
        except ApiError as error:
            await self._refused(kind, workload, "Annotations", error)
            return None
        return annotations_of(answer)

    async def last_other_writer(self, kind: Kind, workload: Resource) -> str | None:
        """Return the field manager that last wrote to ``workload``, other than joulecast; None if that is unknown."""
        metadata = workload["metadata"]
        try:
            found = await self._cluster.get(kind.path(metadata["namespace"], metadata["name"]))
        except ApiError:
            return None
        return _last_other_manager(found)

    async def acknowledge_rest(self, own: Resource, until: str) -> None:
        """Write on joulecast's ``own`` Deployment that no annotation is written any more until the time ``until``."""
        metadata = own["metadata"]
        path = DEPLOYMENTS.path(metadata["namespace"], metadata["name"])
        body = {"metadata": {"uid": metadata["uid"], "annotations": {RESTING_UNTIL: until}}}
        try:
            self._index.refresh(DEPLOYMENTS, await self._cluster.merge_patch(path, body))
        except ApiError as error:
            if error.status not in _GONE:
                raise

    async def create_estimate(self, body: Resource) -> None:
        """Create an estimate, unless one of that name exists. The watch brings it into the index."""
        try:
            await self._cluster.create(ESTIMATES.path(body["metadata"]["namespace"]), body)
        except ApiError as error:
            (owner,) = body["metadata"]["ownerReferences"]
            workload = {"metadata": {**owner, "namespace": body["metadata"]["namespace"]}}
            await self._refused(ANNOTATED[owner["kind"]], workload, "Estimate", error)

    async def delete_estimate(self, estimate: Resource) -> None:
        """Delete this estimate, unless it was replaced by another of its name. The watch drops it from the index."""
        metadata = estimate["metadata"]
        try:
            await self._cluster.delete(ESTIMATES.path(metadata["namespace"], metadata["name"]), uid=metadata["uid"])
        except ApiError as error:
            await self._refused(ESTIMATES, estimate, "Deletion", error)

    async def _refused(self, kind: Kind, resource: Resource, what: str, error: ApiError) -> None:
        """Ignore the error if the object is gone, report it if it is final, else raise it."""
        if error.status in _GONE or error.of_going_namespace:
            return
        if not error.lasting:
            raise error
        await self._refusals.tell(kind, resource, refusal_event(what, str(error)), error)

    async def event(self, kind: Kind, resource: Resource, event: EventToPost) -> None:
        """Post an event. A refusal is only logged, because a namespace that is being deleted accepts no events."""
        metadata = resource["metadata"]
        if not metadata.get("namespace") and not self._posts_cluster_events:
            return
        namespace, now = metadata.get("namespace") or _CLUSTER_EVENTS, timestamp(datetime.now(UTC))
        body = {
            "metadata": {
                "name": f"{metadata['name'][:_NAME_CHARACTERS]}.{secrets.token_hex(8)}",
                "namespace": namespace,
            },
            "involvedObject": {
                "apiVersion": kind.api_version,
                "kind": kind.kind,
                "name": metadata["name"],
                "namespace": metadata.get("namespace") or "",
                "uid": metadata["uid"],
            },
            "type": event.kind,
            "reason": event.reason,
            "message": bounds.message(event.message),
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._cluster.create(EVENTS.path(namespace), body)
        except ApiError as error:
            log.info("an event could not be posted", extra={"object": metadata["name"], "reason": error.reason})


def _last_other_manager(resource: Resource) -> str | None:
    """Return the name in the newest entry of ``managedFields`` that is neither joulecast's nor about the status."""
    entries = [
        entry
        for entry in mappings(mapping(resource.get("metadata")).get("managedFields"))
        if entry.get("manager") and entry["manager"] != FIELD_MANAGER and not entry.get("subresource")
    ]
    newest = max(entries, key=lambda entry: str(entry.get("time") or ""), default=None)
    return bounds.text(str(newest["manager"])) if newest else None


async def null_outputs(cluster: Cluster, own: Key | None, namespaces: Collection[str] = ()) -> int:
    """Remove joulecast's annotations from all workloads, and return how many had some.

    ``own``: joulecast's own Deployment, by which the controller is first asked to stop writing annotations.
    ``namespaces``: those to look into; all when empty.
    """
    if own is not None:
        await _stop_writing(cluster, own)
    scopes = list(watched(ANNOTATED.values(), namespaces))
    touched: set[Key] = set()
    for _ in range(_PASSES):
        found = [name for scope in scopes for name in await _removed(cluster, scope)]
        touched.update(found)
        if not found:
            break
        await asyncio.sleep(_PASS_SECONDS)  # so that the next pass finds what a write under way has left
    return len(touched)


async def _removed(cluster: Cluster, scope: Scope) -> list[Key]:
    """Remove the annotations in ``scope``, and return the workloads that had some.

    What may not be read is passed over: a namespace, because the rights in it went with it, and an optional kind.
    """
    try:
        return [key async for key in _removing(cluster, scope)]
    except ApiError as error:
        if error.status not in _UNREADABLE or not (scope.namespace is not None or scope.kind.optional):
            raise
        log.warning("annotations of %s cannot be removed: %s", scope, error)
        return []


async def _removing(cluster: Cluster, scope: Scope) -> AsyncIterator[Key]:
    async for page in cluster.pages(scope.path):
        for workload in page.get("items") or ():
            present = outputs(annotations_of(workload))
            if present:
                key = key_of(scope.kind, workload)
                await _remove(cluster, scope.kind.path(key.namespace, key.name), present)
                yield key


async def _remove(cluster: Cluster, path: str, present: Mapping[str, str]) -> None:
    try:
        await cluster.merge_patch(path, {"metadata": {"annotations": dict.fromkeys(present)}})
    except ApiError as error:
        if error.status not in _GONE:
            raise


async def _stop_writing(cluster: Cluster, own: Key) -> None:
    """Ask the controller to stop writing annotations, and wait for its answer for a limited time."""
    until = (datetime.now(UTC) + _REST).isoformat(timespec="seconds")
    try:
        path = DEPLOYMENTS.path(own.namespace, own.name)
        await cluster.merge_patch(path, {"metadata": {"annotations": {REST_UNTIL: until}}})
    except ApiError as error:
        if error.status not in _GONE:
            raise
        return
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            while not await _rests(cluster, own, until):
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        log.warning("the controller did not confirm that it stopped writing; annotations are removed nevertheless")


async def _rests(cluster: Cluster, own: Key, until: str) -> bool:
    """Tell whether the controller has answered. A listing is used, because the Job may not ``get`` Deployments."""
    named = {"fieldSelector": f"metadata.name={own.name}"}
    found = await cluster.request("GET", DEPLOYMENTS.path(own.namespace), parameters=named)
    return any(annotations_of(each).get(RESTING_UNTIL) == until for each in found.get("items") or ())
