"""Report writes that the API server refuses for good: a log line each time, and one event on the object."""

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

_REMEMBERED: Final = 1024  # objects whose event is remembered; a forgotten one gets its event again

Post = Callable[[Kind, Resource, EventToPost], Awaitable[None]]
"""Posts an event on an object of a kind."""


class Refusals:
    """Reports refused writes. ``post`` posts an event, ``count`` counts a refusal by the kind of the object."""

    def __init__(self, post: Post, count: Callable[[str], None]) -> None:
        self._post = post
        self._count = count
        self._told: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def tell(self, kind: Kind, resource: Resource, event: EventToPost, error: ApiError) -> None:
        """Log and count that a write about ``resource`` was refused with ``error``, and post ``event`` once."""
        self.note(kind, resource, error)
        told = resource["metadata"]["uid"], event.reason
        if self._told.get(told) != event.message:
            await self._post(kind, resource, event)
        self._told[told] = event.message
        self._told.move_to_end(told)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    def note(self, kind: Kind, resource: Resource, error: ApiError) -> None:
        """Log and count that a write about ``resource`` was refused with ``error`` and is not repeated."""
        metadata = resource["metadata"]
        where = {"kind": kind.kind, "namespace": metadata.get("namespace") or "", "object": metadata["name"]}
        log.error("the API server refused a write, which is not repeated: %s", error, extra=where)
        self._count(kind.kind)
