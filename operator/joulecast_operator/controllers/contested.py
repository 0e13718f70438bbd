"""Space out writes of annotations that somebody else undoes each time, so that two writers do not fight in a loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from joulecast_operator.api.annotations import ESTIMATED_AT, Outputs
from joulecast_operator.api.conditions import EventToPost
from joulecast_operator.api.objects import Key, Resource

FREE_REWRITES: Final = 3  # a person who undoes a write a few times, or a webhook that is away, delays nothing
FIRST_PAUSE_SECONDS: Final = 60.0  # of the fourth; each further one doubles it
LONGEST_PAUSE_SECONDS: Final = 3600.0  # and a write that has stood for so long is no longer contested


@dataclass(slots=True, kw_only=True)
class _Written:
    """What was last written to one workload.

    - ``uid``: uid of the workload.
    - ``outputs``: the annotations, without the time of the estimate.
    - ``rewrites``: how often the same was written again because somebody had undone it.
    - ``at_seconds``: when, on the clock of ``Contested``.
    - ``told``: whether the event about it was posted.
    """

    uid: str
    outputs: Outputs
    rewrites: int = 0
    at_seconds: float
    told: bool = False


class Contested:
    """Remembers what was written to each workload, and how often the same had to be written again.

    Somebody is another mutating webhook, a GitOps tool, or any client that joulecast's own webhook does not review. The
    next write has to wait after ``FREE_REWRITES`` rewrites of the same annotations, or after one write from which a
    webhook has removed them before they were stored.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._written: dict[Key, _Written] = {}

    def __len__(self) -> int:
        """Return of how many workloads the annotations were undone so often that somebody was told."""
        return sum(written.told for written in self._written.values())

    def must_wait(self, key: Key, workload: Resource, desired: Mapping[str, str]) -> bool:
        """Tell whether ``desired``, which the workload ``key`` lacks, is not to be written yet."""
        written = self._same(key, workload, desired)
        if written is None or written.rewrites < FREE_REWRITES:
            return False
        pause = FIRST_PAUSE_SECONDS * 2.0 ** min(written.rewrites - FREE_REWRITES, 16)
        return self._now() - written.at_seconds < min(pause, LONGEST_PAUSE_SECONDS)

    def wrote(self, key: Key, workload: Resource, desired: Mapping[str, str], *, stored: bool) -> None:
        """Remember a write. ``stored``: whether the API server's answer has what was written."""
        written = self._same(key, workload, desired)
        if written is None:
            uid = workload["metadata"]["uid"]
            written = _Written(uid=uid, outputs=_lasting(desired), rewrites=-1, at_seconds=0.0)
            self._written[key] = written
        written.rewrites = written.rewrites + 1 if stored else max(written.rewrites + 1, FREE_REWRITES)
        written.at_seconds = self._now()

    def stands(self, key: Key) -> None:
        """Note that the workload ``key`` has what it should have, and forget a write that has stood long enough."""
        written = self._written.get(key)
        if written is not None and self._now() - written.at_seconds > LONGEST_PAUSE_SECONDS:
            del self._written[key]

    def forget(self, key: Key) -> None:
        """Forget the workload ``key``, which is gone."""
        self._written.pop(key, None)

    def untold(self, key: Key) -> bool:
        """Tell whether nobody was told yet that the workload ``key`` is contested; from now on somebody is."""
        written = self._written.get(key)
        if written is None or written.told:
            return False
        written.told = True
        return True

    def _same(self, key: Key, workload: Resource, desired: Mapping[str, str]) -> _Written | None:
        """Return what was written to this very workload, if that was ``desired``."""
        written = self._written.get(key)
        same = written is not None and written.uid == workload["metadata"]["uid"]
        return written if written is not None and same and written.outputs == _lasting(desired) else None


def undone_event(kind: str, last_writer: str | None) -> EventToPost:
    """Return the event that reports that annotations of a workload of ``kind`` are undone.

    ``last_writer``: a field manager, if one is known.
    """
    who = f' (the last to write to the {kind} was "{last_writer}")' if last_writer else ""
    message = (
        f"joulecast's annotations are undone after each write, by a webhook or a tool that does not know them{who}:"
        " joulecast writes them more and more rarely, once an hour in the end. Let the other one ignore the keys under"
        f" joulecast.dev/, as docs/gitops.md shows, or give this {kind} the annotation joulecast.dev/skip"
    )
    return EventToPost(kind="Warning", reason="AnnotationsUndone", message=message)


def _lasting(outputs: Mapping[str, str]) -> Outputs:
    """Return the outputs without the time of the estimate, which is news only together with another value."""
    return {key: value for key, value in outputs.items() if key != ESTIMATED_AT}
