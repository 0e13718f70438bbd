"""Choose the next job: round robin by namespace, within it by registry, within a registry the oldest first.

A plain data structure without clock, tasks or processes. Jobs under way are bounded for each namespace and each
registry, and jobs that wait for each namespace, so that no tenant can take all workers or the whole queue.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from joulecast.errors import JoulecastError

_arrivals: Final = itertools.count()

NumberedTicket = tuple[int, "Ticket"]
"""A ticket with the number by which it stands in line."""


class QueueFullError(JoulecastError):
    """There are too many jobs before the workers, of one namespace or of all."""

    default_reason = "QueueFull"
    default_transient = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many jobs may be under way, and how many may wait."""

    running: int
    running_per_namespace: int
    running_per_registry: int
    waiting: int
    waiting_per_namespace: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How many jobs that wait have their turn before a ticket, at most: ``own`` of its namespace, ``others`` of others.

    Jobs that come later are not counted, and none can push itself before it more than once for each of its own.
    """

    own: int
    others: int

    @property
    def total(self) -> int:
        return self.own + self.others


def _ignore() -> None:
    pass


@dataclass(slots=True, kw_only=True, eq=False)
class Requester:
    """The origin of one forecast. It keeps its place in the queue through all jobs that its forecast takes.

    ``on_change`` is called when the requester's job has to wait, and when its turn has come.
    """

    namespace: str
    on_change: Callable[[], None] = _ignore
    arrival: int = field(default_factory=lambda: next(_arrivals))
    ticket: Ticket | None = None

    def position(self) -> Position | None:
        """Return what is before this requester; None where its job does not wait for a turn."""
        if self.ticket is None or self.ticket.queue is None:
            return None
        return self.ticket.queue.position(self.ticket, self.namespace)


@dataclass(slots=True, kw_only=True, eq=False)
class Ticket:
    """One job and all who wait for it. It stands in line for each of their namespaces, and takes the first turn.

    ``arrivals``: numbers of its requesters in order, by namespace. ``queue``: where it stands in line; None before and
    after. ``taken_by``: the namespace whose turn it took.
    """

    registry: str = ""
    requesters: dict[Requester, None] = field(default_factory=dict)
    arrivals: dict[str, list[int]] = field(default_factory=dict)
    queue: FairQueue | None = None
    taken_by: str = ""

    @contextmanager
    def held_by(self, requester: Requester) -> Iterator[None]:
        """Count ``requester`` among those who wait for this job."""
        self._join(requester)
        try:
            yield
        finally:
            self._part(requester)

    def tell(self) -> None:
        """Tell all requesters that the job has begun to wait or has its turn."""
        for requester in self.requesters:
            requester.on_change()

    def _join(self, requester: Requester) -> None:
        self.requesters[requester] = None
        insort(self.arrivals.setdefault(requester.namespace, []), requester.arrival)
        requester.ticket = self
        if self.queue is not None:
            self.queue.join(self, requester)

    def _part(self, requester: Requester) -> None:
        del self.requesters[requester]
        arrivals = self.arrivals[requester.namespace]
        del arrivals[bisect_left(arrivals, requester.arrival)]
        if not arrivals:
            del self.arrivals[requester.namespace]
        requester.ticket = None
        if self.queue is not None:
            self.queue.arrange(self, requester.namespace)


class _Lengths:
    """Lengths of several lines, so that all can be added up to a limit without a visit to each."""

    def __init__(self) -> None:
        self._longer: list[int] = []  # [length]: how many lines are longer

    def grow(self, length: int) -> None:
        """Replace a line of this length by one with one more job."""
        if length == len(self._longer):
            self._longer.append(0)
        self._longer[length] += 1

    def shrink(self, length: int) -> None:
        """Replace a line of this length by one with one job less."""
        self._longer[length - 1] -= 1

    def up_to(self, limit: int) -> int:
        """Return the sum of all lengths, each counted up to ``limit``."""
        return sum(self._longer[:limit])


class _Line:
    """Jobs of one namespace that wait, by registry; the registry whose turn is next comes first."""

    def __init__(self) -> None:
        self.registries: OrderedDict[str, list[NumberedTicket]] = OrderedDict()
        self.numbers: dict[Ticket, int] = {}
        self._lengths = _Lengths()

    def __len__(self) -> int:
        return len(self.numbers)

    def put(self, ticket: Ticket, number: int) -> None:
        entries = self.registries.setdefault(ticket.registry, [])
        self._lengths.grow(len(entries))
        self.numbers[ticket] = number
        insort(entries, (number, ticket), key=itemgetter(0))

    def move(self, ticket: Ticket, number: int) -> None:
        """Have a ticket stand at another number; its registry keeps its place among the others."""
        if self.numbers[ticket] == number:
            return
        entries = self.registries[ticket.registry]
        del entries[self._index(ticket)]
        self.numbers[ticket] = number
        insort(entries, (number, ticket), key=itemgetter(0))

    def remove(self, ticket: Ticket) -> None:
        entries = self.registries[ticket.registry]
        self._lengths.shrink(len(entries))
        del entries[self._index(ticket)]
        del self.numbers[ticket]
        if not entries:
            del self.registries[ticket.registry]

    def before(self, ticket: Ticket) -> int:
        """Return how many jobs of this namespace at most precede ``ticket``, as its registries take turns."""
        return self._lengths.up_to(self._index(ticket) + 1) - 1

    def _index(self, ticket: Ticket) -> int:
        return bisect_left(self.registries[ticket.registry], self.numbers[ticket], key=itemgetter(0))


class FairQueue:
    """Tickets that wait, and a count of those under way.

    ``on_join`` is called when a further requester may give a turn to a ticket that waits.
    """

    def __init__(self, bounds: Bounds, on_join: Callable[[], None] = _ignore) -> None:
        self._bounds = bounds
        self._on_join = on_join
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._lengths = _Lengths()
        self._waiting: set[Ticket] = set()
        self._namespaces: Counter[str] = Counter()
        self._registries: Counter[str] = Counter()
        self._running = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return self._running

    def enter(self, ticket: Ticket) -> None:
        """Have ``ticket`` wait in the line of each of its requesters' namespaces. Raises QueueFullError."""
        if len(self) >= self._bounds.waiting:
            raise QueueFullError(f"more than {self._bounds.waiting} jobs wait for their turn")
        most = self._bounds.waiting_per_namespace
        if all(len(self._lines.get(each, ())) >= most for each in ticket.arrivals):
            raise QueueFullError(
                f"more than {most} jobs of this namespace wait for their turn: delete estimates that are not needed"
            )
        ticket.queue = self
        self._waiting.add(ticket)
        for namespace in ticket.arrivals:
            self.arrange(ticket, namespace)

    def join(self, ticket: Ticket, requester: Requester) -> None:
        """Have a ticket that waits stand in line for a further requester, too."""
        self.arrange(ticket, requester.namespace)
        self._on_join()
        if ticket.queue is self:
            requester.on_change()

    def arrange(self, ticket: Ticket, namespace: str) -> None:
        """Put a ticket that waits where the earliest of its requesters of ``namespace`` stands; take it out of that
        line where there is none."""
        line = self._lines.get(namespace)
        stands = line is not None and ticket in line.numbers
        number = next(iter(ticket.arrivals.get(namespace, ())), None)
        if number is None:
            if stands:
                self._remove(ticket, namespace)
        elif line is not None and stands:
            line.move(ticket, number)
        else:
            self._put(ticket, namespace, number)

    def leave(self, ticket: Ticket) -> None:
        """Take a ticket that waits out of the queue."""
        for namespace in ticket.arrivals:
            self._remove(ticket, namespace)
        self._waiting.remove(ticket)
        ticket.queue = None

    def take(self) -> Ticket | None:
        """Take the ticket whose turn it is and count it as running; None where no job may begin."""
        found = self._next() if self._running < self._bounds.running else None
        if found is None:
            return None
        namespace, ticket = found
        self._turn_over(namespace, ticket.registry)
        self.leave(ticket)
        ticket.taken_by = namespace
        self._count(ticket, 1)
        return ticket

    def done(self, ticket: Ticket) -> None:
        """Record that the job of a taken ticket has ended."""
        self._count(ticket, -1)

    def position(self, ticket: Ticket, namespace: str) -> Position:
        """Return what is before a waiting ticket, as one of its requesters' namespaces sees it."""
        line = self._lines[namespace]
        own = line.before(ticket)
        others = self._lengths.up_to(own + 1) - min(len(line), own + 1)
        return Position(own=own, others=others)

    def _next(self) -> tuple[str, Ticket] | None:
        for namespace, line in self._lines.items():
            if self._namespaces[namespace] >= self._bounds.running_per_namespace:
                continue
            for registry, entries in line.registries.items():
                if self._registries[registry] < self._bounds.running_per_registry:
                    return namespace, entries[0][1]
        return None

    def _turn_over(self, namespace: str, registry: str) -> None:
        """Put a namespace, and in it a registry, behind all others."""
        self._lines.move_to_end(namespace)
        self._lines[namespace].registries.move_to_end(registry)

    def _put(self, ticket: Ticket, namespace: str, number: int) -> None:
        line = self._lines.setdefault(namespace, _Line())
        self._lengths.grow(len(line))
        line.put(ticket, number)

    def _remove(self, ticket: Ticket, namespace: str) -> None:
        line = self._lines[namespace]
        self._lengths.shrink(len(line))
        line.remove(ticket)
        if not line:
            del self._lines[namespace]

    def _count(self, ticket: Ticket, change: int) -> None:
        self._running += change
        for counter, name in ((self._namespaces, ticket.taken_by), (self._registries, ticket.registry)):
            counter[name] += change
            if not counter[name]:
                del counter[name]
