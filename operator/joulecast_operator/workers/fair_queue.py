"""Choose the next job: round robin by namespace, within a namespace by registry, within a registry the oldest first.

This is a data structure without clock, tasks or processes. The numbers of running jobs of a namespace or a registry,
and of waiting jobs of a namespace, are bounded, so that no tenant can take all workers or the whole queue.
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
"""A ticket with its number in the queue, which is the arrival of its earliest requester."""


class QueueFullError(JoulecastError):
    """Too many jobs of one namespace, or of all namespaces, wait for the workers."""

    default_reason = "QueueFull"
    default_transient = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many jobs may run, and how many may wait.

    - ``running``: jobs that may run.
    - ``running_per_namespace``, ``running_per_registry``: jobs of one namespace and of one registry that may run.
    - ``waiting``: jobs that may wait.
    - ``waiting_per_namespace``: jobs of one namespace that may wait.
    """

    running: int
    running_per_namespace: int
    running_per_registry: int
    waiting: int
    waiting_per_namespace: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The most waiting jobs that may run before a ticket.

    Jobs that arrive later are not counted. Another namespace can run at most one job for each one of the ticket's own.

    - ``own``: jobs of the ticket's namespace.
    - ``others``: jobs of other namespaces.
    """

    own: int
    others: int

    @property
    def total(self) -> int:
        """Return the number of all these jobs."""
        return self.own + self.others


def _ignore() -> None:
    pass


@dataclass(slots=True, kw_only=True, eq=False)
class Requester:
    """Who needs one forecast. It keeps its place in the queue for all jobs of the forecast.

    - ``namespace``: namespace of the estimate; "" for joulecast itself.
    - ``on_change``: called when the requester's job has to wait, and when its turn has come.
    - ``arrival``: number that orders requesters by their arrival.
    - ``ticket``: the ticket of the job that the requester waits for; None if there is none.
    """

    namespace: str
    on_change: Callable[[], None] = _ignore
    arrival: int = field(default_factory=lambda: next(_arrivals))
    ticket: Ticket | None = None

    def position(self) -> Position | None:
        """Return how many jobs are before this requester's; None if its job does not wait for a turn."""
        if self.ticket is None or self.ticket.queue is None:
            return None
        return self.ticket.queue.position(self.ticket, self.namespace)


@dataclass(slots=True, kw_only=True, eq=False)
class Ticket:
    """One job and the requesters that wait for it. It is in the line of each of their namespaces until its first turn.

    - ``registry``: the registry that the job reads from; "" for none.
    - ``requesters``: who waits for the job.
    - ``arrivals``: the arrivals of the requesters in ascending order, by namespace.
    - ``queue``: the queue in which the ticket waits; None before and after.
    - ``taken_by``: the namespace whose turn the job has.
    """

    registry: str = ""
    requesters: dict[Requester, None] = field(default_factory=dict)
    arrivals: dict[str, list[int]] = field(default_factory=dict)
    queue: FairQueue | None = None
    taken_by: str = ""

    @contextmanager
    def held_by(self, requester: Requester) -> Iterator[None]:
        """Count ``requester`` among those who wait for this job, while the code inside runs."""
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
    """The lengths of several lines, of which the sum up to a limit is computed without reading each."""

    def __init__(self) -> None:
        self._longer: list[int] = []  # at index n: how many lines are longer than n

    def grow(self, length: int) -> None:
        """Record that a line of this length has one more job."""
        if length == len(self._longer):
            self._longer.append(0)
        self._longer[length] += 1

    def shrink(self, length: int) -> None:
        """Record that a line of this length has one job less."""
        self._longer[length - 1] -= 1

    def up_to(self, limit: int) -> int:
        """Return the sum of all lengths, of each at most ``limit``."""
        return sum(self._longer[:limit])


class _Line:
    """The waiting jobs of one namespace, by registry. The registry whose turn is next comes first."""

    def __init__(self) -> None:
        self.registries: OrderedDict[str, list[NumberedTicket]] = OrderedDict()
        self.numbers: dict[Ticket, int] = {}
        self._lengths = _Lengths()

    def __len__(self) -> int:
        return len(self.numbers)

    def put(self, ticket: Ticket, number: int) -> None:
        """Add a ticket with its number in the queue."""
        entries = self.registries.setdefault(ticket.registry, [])
        self._lengths.grow(len(entries))
        self.numbers[ticket] = number
        insort(entries, (number, ticket), key=itemgetter(0))

    def move(self, ticket: Ticket, number: int) -> None:
        """Give a ticket another number; its registry keeps its place among the registries."""
        if self.numbers[ticket] == number:
            return
        entries = self.registries[ticket.registry]
        del entries[self._index(ticket)]
        self.numbers[ticket] = number
        insort(entries, (number, ticket), key=itemgetter(0))

    def remove(self, ticket: Ticket) -> None:
        """Remove a ticket, and its registry if this was the last one."""
        entries = self.registries[ticket.registry]
        self._lengths.shrink(len(entries))
        del entries[self._index(ticket)]
        del self.numbers[ticket]
        if not entries:
            del self.registries[ticket.registry]

    def before(self, ticket: Ticket) -> int:
        """Return the most jobs of this namespace that run before ``ticket``, given that its registries take turns."""
        return self._lengths.up_to(self._index(ticket) + 1) - 1

    def _index(self, ticket: Ticket) -> int:
        return bisect_left(self.registries[ticket.registry], self.numbers[ticket], key=itemgetter(0))


class FairQueue:
    """Holds the tickets that wait, and counts those that run.

    ``on_join`` is called when a waiting ticket gets a further requester, by which its turn may come.
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
        """Return how many jobs run."""
        return self._running

    def enter(self, ticket: Ticket) -> None:
        """Put ``ticket`` into the line of each of its requesters' namespaces. Raises QueueFullError."""
        if len(self) >= self._bounds.waiting:
            raise QueueFullError(
                f"the queue is full, with {self._bounds.waiting} jobs: ask the administrator to raise the limit"
            )
        most = self._bounds.waiting_per_namespace
        if all(len(self._lines.get(each, ())) >= most for each in ticket.arrivals):
            raise QueueFullError(
                f"the queue is full for this namespace, with {most} jobs: delete estimates that are not needed"
            )
        ticket.queue = self
        self._waiting.add(ticket)
        for namespace in ticket.arrivals:
            self.arrange(ticket, namespace)

    def join(self, ticket: Ticket, requester: Requester) -> None:
        """Put a waiting ticket also into the line of a further requester's namespace."""
        self.arrange(ticket, requester.namespace)
        self._on_join()
        if ticket.queue is self:
            requester.on_change()

    def arrange(self, ticket: Ticket, namespace: str) -> None:
        """Put a waiting ticket at the place of its earliest requester of ``namespace``; remove it from that line if it
        has no requester there."""
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
        """Remove a waiting ticket from the queue."""
        for namespace in ticket.arrivals:
            self._remove(ticket, namespace)
        self._waiting.remove(ticket)
        ticket.queue = None

    def take(self) -> Ticket | None:
        """Remove the ticket whose turn it is, count it as running and return it; None if no job may begin."""
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
        """Return how many jobs are before a waiting ticket in the line of one of its requesters' namespaces."""
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
        """Put a namespace behind all other namespaces, and in it a registry behind all other registries."""
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
