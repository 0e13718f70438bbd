"""Writes that the API server refuses for good: a log line each time, and one event on the object concerned."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from joulecast_operator.api.conditions import EventToPost
from joulecast_operator.api.kinds import Kind
from joulecast_operator.api.objects import Resource
from joulecast_operator.cluster.client import ApiError

log = logging.getLogger(__name__)

_REMEMBERED: Final = 1024  # objects told; one that is forgotten is told once more

Post = Callable[[Kind, Resource, EventToPost], Awaitable[None]]


class Refusals:
    """Tells of refused writes. ``post`` posts an event, ``count`` takes the kind of the object concerned."""

    def __init__(self, post: Post, count: Callable[[str], None]) -> None:
        self._post = post
        self._count = count
        self._told: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def tell(self, kind: Kind, resource: Resource, event: EventToPost, error: ApiError) -> None:
        """Log that a write concerning ``resource`` was refused with ``error``, and post ``event`` unless it was."""
        self.note(kind, resource, error)
        told = resource["metadata"]["uid"], event.reason
        if self._told.get(told) != event.message:
            await self._post(kind, resource, event)
        self._told[told] = event.message
        self._told.move_to_end(told)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    def note(self, kind: Kind, resource: Resource, error: ApiError) -> None:
        """Log and count that a write is given up, so that no retry has to say so."""
        metadata = resource["metadata"]
        where = {"kind": kind.kind, "namespace": metadata.get("namespace") or "", "object": metadata["name"]}
        log.error("the API server refuses a write, which is not repeated: %s", error, extra=where)
        self._count(kind.kind)
