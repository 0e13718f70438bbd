"""Test the order of turns: every job gets one, bounds hold, and within a line the oldest job is first."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from joulecast_operator.workers.fair_queue import Bounds, FairQueue, QueueFullError, Requester, Ticket

MANY = 10_000
NAMES = st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz"))
"""The namespace and the registry of a job."""

INDEX = st.integers(0, 99)


def bounds(running: int = 4, **others: int) -> Bounds:
    most = {
        "running_per_namespace": running,
        "running_per_registry": running,
        "waiting": MANY,
        "waiting_per_namespace": MANY,
    }
    return Bounds(running=running, **most | others)


class Line:
    """A queue and the requesters in it."""

    def __init__(self, limits: Bounds | None = None) -> None:
        self.queue = FairQueue(limits or bounds())
        self.stack = ExitStack()

    def enter(self, namespace: str, registry: str = "r") -> Ticket:
        ticket = Ticket(registry=registry)
        self.join(ticket, namespace)
        self.queue.enter(ticket)
        return ticket

    def join(self, ticket: Ticket, namespace: str) -> Requester:
        requester = Requester(namespace=namespace)
        self.stack.enter_context(ticket.held_by(requester))
        return requester

    def run_next(self) -> Ticket:
        """Take the next ticket, and end its job at once."""
        ticket = self.queue.take()
        assert ticket is not None
        self.queue.done(ticket)
        return ticket

    def run_all(self) -> list[Ticket]:
        return [self.run_next() for _ in range(len(self.queue))]


def test_namespaces_take_turns_and_within_one_its_registries() -> None:
    line = Line()
    slow = [line.enter("slow", f"r{number % 2}") for number in range(4)]
    shop = [line.enter("shop") for _ in range(2)]
    assert line.run_all() == [slow[0], shop[0], slow[1], shop[1], slow[2], slow[3]]


def test_a_registry_with_many_jobs_does_not_hold_up_another_of_the_namespace() -> None:
    line = Line()
    silent = [line.enter("shop", "silent") for _ in range(3)]
    other = line.enter("shop", "lively")
    assert line.run_all() == [silent[0], other, *silent[1:]]


def test_one_namespace_on_many_silent_hosts_leaves_workers_to_another() -> None:
    line = Line(bounds(4, running_per_namespace=2, running_per_registry=3))
    slow = [line.enter("slow", f"silent-{number % 20}") for number in range(60)]
    assert [line.queue.take() for _ in range(3)] == [slow[0], slow[1], None]
    shop = line.enter("shop")
    assert line.queue.take() is shop
    assert line.queue.running == 3


def test_two_slow_namespaces_delay_a_third_by_one_turn() -> None:
    line = Line(bounds(4, running_per_namespace=2))
    under_way = []
    for namespace in ("slow", "sluggish"):
        for number in range(30):
            line.enter(namespace, f"{namespace}-{number}")
    while (ticket := line.queue.take()) is not None:
        under_way.append(ticket)
    shop = line.enter("shop")
    assert line.queue.take() is None
    line.queue.done(under_way[0])
    taken = [line.queue.take()]
    line.queue.done(under_way[2])
    taken.append(line.queue.take())
    line.queue.done(under_way[1])
    taken.append(line.queue.take())
    assert shop in taken


def test_one_registry_leaves_workers_to_others_whoever_asks_it() -> None:
    line = Line(bounds(4, running_per_namespace=2, running_per_registry=3))
    for namespace in "abcd":
        line.enter(namespace, "slow")
        line.enter(namespace, "slow")
    taken = [line.queue.take() for _ in range(4)]
    assert taken[3] is None
    assert line.queue.take() is None
    assert line.enter("a", "lively") is line.queue.take()


def test_a_shared_job_takes_the_first_turn_of_its_requesters() -> None:
    line = Line()
    for _ in range(60):
        line.enter("slow")
    shared = line.enter("slow")
    line.join(shared, "shop")
    line.run_next()
    assert line.run_next() is shared
    assert shared.taken_by == "shop"
    assert shared not in line.run_all()


def test_a_shared_job_keeps_the_places_of_those_who_stay() -> None:
    line = Line()
    first, shared, last = line.enter("slow"), line.enter("slow"), line.enter("slow")
    with shared.held_by(Requester(namespace="shop")):
        pass
    assert line.run_all() == [first, shared, last]
    assert shared.taken_by == "slow"


def test_a_namespace_keeps_its_turn_when_the_first_of_two_requesters_goes() -> None:
    line = Line()
    shared = Ticket(registry="r")
    with shared.held_by(Requester(namespace="shop")):
        line.queue.enter(shared)
        other = line.enter("other")
        line.join(shared, "shop")
    assert line.run_all() == [shared, other]


def test_a_requester_keeps_its_place_through_all_its_jobs() -> None:
    line = Line()
    requester, resolve, fetch = Requester(namespace="shop"), Ticket(registry="r"), Ticket(registry="r")
    with resolve.held_by(requester):
        line.queue.enter(resolve)
        assert line.run_next() is resolve
    later = line.enter("shop")
    with fetch.held_by(requester):
        line.queue.enter(fetch)
        assert line.run_all() == [fetch, later]


def test_an_older_requester_brings_a_job_forward() -> None:
    line = Line()
    old = Requester(namespace="shop")
    first, second = line.enter("shop"), line.enter("shop")
    with second.held_by(old):
        assert line.queue.position(second, "shop").total == 0
    assert line.queue.position(second, "shop").total == 1
    assert line.run_all() == [first, second]


def test_no_namespace_fills_the_queue() -> None:
    line = Line(bounds(1, waiting=5, waiting_per_namespace=3))
    for _ in range(3):
        line.enter("slow")
    with pytest.raises(QueueFullError, match="full for this namespace, with 3 jobs") as caught:
        line.enter("slow")
    assert (caught.value.reason, caught.value.transient) == ("QueueFull", True)
    line.enter("shop")
    line.enter("shop")
    with pytest.raises(QueueFullError, match="the queue is full, with 5 jobs"):
        line.enter("shop")
    assert len(line.queue) == 5


def test_a_position_is_of_who_asks() -> None:
    line = Line()
    for _ in range(20):
        line.enter("slow", "silent")
    ticket, requester = Ticket(registry="r"), Requester(namespace="shop")
    assert requester.position() is None
    with ticket.held_by(requester):
        line.enter("shop")
        line.queue.enter(ticket)
        found = requester.position()
        assert found is not None
        assert (found.own, found.others) == (0, 1), "its requester asked before the other one of the namespace"
        line.run_all()
        assert requester.position() is None


@given(st.lists(NAMES, min_size=1, max_size=40), st.data())
def test_no_more_turns_come_before_than_the_position_says(names: list[tuple[str, str]], data: st.DataObject) -> None:
    line = Line()
    tickets = [(line.enter(*each), each[0]) for each in names]
    for _ in range(data.draw(st.integers(0, len(names) - 1))):
        done = line.run_next()
        tickets = [each for each in tickets if each[0] is not done]
    positions = [line.queue.position(ticket, namespace).total for ticket, namespace in tickets]
    order = line.run_all()
    assert all(order.index(ticket) <= said for (ticket, _), said in zip(tickets, positions, strict=True))


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=40))
def test_within_one_line_the_position_is_the_number_before(namespaces: list[str]) -> None:
    line = Line()
    tickets = [line.enter(namespace) for namespace in namespaces]
    for ticket, namespace in zip(tickets, namespaces, strict=True):
        found = line.queue.position(ticket, namespace)
        assert found.own == sum(
            each is not ticket for each in tickets[: tickets.index(ticket)] if namespace in each.arrivals
        )
        assert found.others <= (found.own + 1) * (len(set(namespaces)) - 1)


@given(st.lists(NAMES, min_size=1, max_size=40))
def test_within_a_namespace_and_registry_the_first_comes_first(names: list[tuple[str, str]]) -> None:
    line = Line()
    tickets = {line.enter(*each): each for each in names}
    order = line.run_all()
    assert sorted(map(id, order)) == sorted(map(id, tickets))
    for name in names:
        assert [each for each in order if tickets[each] == name] == [each for each in tickets if tickets[each] == name]


@given(st.lists(NAMES, max_size=60))
def test_nobody_starves_while_others_keep_coming(names: list[tuple[str, str]]) -> None:
    line = Line()
    for each in names:
        line.enter(*each)
    ticket = line.enter("shop", "r")
    waited = 0
    while line.run_next() is not ticket:
        waited += 1
        for namespace in "abcd":
            line.enter(namespace, "w")
    assert waited <= len("abcd"), "one turn of each other namespace"


class Machine(RuleBasedStateMachine):
    """Puts tickets into a queue, joins, takes and removes them in any order."""

    def __init__(self) -> None:
        super().__init__()
        limits = bounds(4, running_per_namespace=2, running_per_registry=3, waiting=12, waiting_per_namespace=5)
        self.queue = FairQueue(limits)
        self.waiting: list[Ticket] = []
        self.running: list[Ticket] = []
        self.held: dict[Ticket, list[ExitStack]] = {}

    def _join(self, ticket: Ticket, namespace: str) -> None:
        stack = ExitStack()
        stack.enter_context(ticket.held_by(Requester(namespace=namespace)))
        self.held.setdefault(ticket, []).append(stack)

    @rule(name=NAMES)
    def enter(self, name: tuple[str, str]) -> None:
        ticket = Ticket(registry=name[1])
        self._join(ticket, name[0])
        try:
            self.queue.enter(ticket)
        except QueueFullError:
            assert len(self.waiting) == 12 or sum(name[0] in each.arrivals for each in self.waiting) >= 5
        else:
            self.waiting.append(ticket)

    @rule()
    def take(self) -> None:
        ticket = self.queue.take()
        if ticket is None:
            assert len(self.running) == 4 or all(map(self._is_blocked, self.waiting)), "no worker is idle for nothing"
        else:
            self.waiting.remove(ticket)
            self.running.append(ticket)

    @precondition(lambda self: self.running)
    @rule(number=INDEX)
    def done(self, number: int) -> None:
        self.queue.done(self.running.pop(number % len(self.running)))

    @precondition(lambda self: self.waiting)
    @rule(number=INDEX, name=NAMES)
    def join(self, number: int, name: tuple[str, str]) -> None:
        self._join(self.waiting[number % len(self.waiting)], name[0])

    @precondition(lambda self: self.waiting)
    @rule(number=INDEX, which=INDEX)
    def part(self, number: int, which: int) -> None:
        holders = self.held[self.waiting[number % len(self.waiting)]]
        if len(holders) > 1:
            holders.pop(which % len(holders)).close()

    @precondition(lambda self: self.waiting)
    @rule(number=INDEX)
    def leave(self, number: int) -> None:
        self.queue.leave(self.waiting.pop(number % len(self.waiting)))

    @invariant()
    def bounds_hold(self) -> None:
        assert len(self.queue) == len(self.waiting) <= 12
        assert self.queue.running == len(self.running) <= 4
        assert max(self._by_namespace().values(), default=0) <= 2
        assert max(self._by_registry().values(), default=0) <= 3

    @invariant()
    def whoever_waits_has_a_position(self) -> None:
        for ticket in self.waiting:
            for namespace in ticket.arrivals:
                assert 0 <= self.queue.position(ticket, namespace).own < len(self.waiting)

    def _by_namespace(self) -> Counter[str]:
        return Counter(each.taken_by for each in self.running)

    def _by_registry(self) -> Counter[str]:
        return Counter(each.registry for each in self.running)

    def _is_blocked(self, ticket: Ticket) -> bool:
        full = self._by_namespace()
        return self._by_registry()[ticket.registry] >= 3 or all(full[each] >= 2 for each in ticket.arrivals)


TestBounds = Machine.TestCase


def test_ten_thousand_wait_and_all_have_their_turn() -> None:
    line = Line()
    tickets = [line.enter("many", f"registry-{number % 500}") for number in range(MANY)]
    assert line.queue.position(tickets[-1], "many").total == MANY - 1
    assert line.run_all() == tickets
