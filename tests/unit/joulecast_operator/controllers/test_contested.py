"""Test that writes which somebody undoes become rarer, and that a person who undoes one delays nothing."""

from __future__ import annotations

from joulecast_operator.api.annotations import ESTIMATED_AT, JOULES
from joulecast_operator.api.kinds import DEPLOYMENTS
from joulecast_operator.api.objects import Key
from joulecast_operator.controllers.contested import (
    FIRST_PAUSE_SECONDS,
    FREE_REWRITES,
    LONGEST_PAUSE_SECONDS,
    Contested,
    undone_event,
)

KEY = Key(kind=DEPLOYMENTS.kind, namespace="shop", name="server")
SERVER = {"metadata": {"name": "server", "namespace": "shop", "uid": "u"}}
READY = {JOULES: "0.42", ESTIMATED_AT: "2026-01-01T00:00:00Z"}
DAY_SECONDS = 86400


class Fight:
    """Somebody who undoes each write, and a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0
        self.contested = Contested(lambda: self.now)

    def look(self, desired: dict[str, str] = READY, *, uid: str = "u", stored: bool = True) -> bool:
        """Reconcile a Deployment that lacks ``desired``; tells whether it was written."""
        server = {"metadata": {**SERVER["metadata"], "uid": uid}}
        if self.contested.must_wait(KEY, server, desired):
            return False
        self.contested.wrote(KEY, server, desired, stored=stored)
        return True

    def writes(self, looks: int, seconds_between: float) -> int:
        written = 0
        for _ in range(looks):
            written += self.look()
            self.now += seconds_between
        return written


def test_a_few_rewrites_are_free_and_then_a_pause_begins() -> None:
    fight = Fight()
    assert fight.writes(100, 0.0) == 1 + FREE_REWRITES
    fight.now += FIRST_PAUSE_SECONDS
    assert fight.writes(100, 0.0) == 1
    fight.now += FIRST_PAUSE_SECONDS
    assert not fight.look(), "the second pause is longer"
    fight.now += FIRST_PAUSE_SECONDS
    assert fight.look()


def test_a_fight_of_a_day_costs_a_write_an_hour_in_the_end() -> None:
    fight = Fight()
    first = fight.writes(DAY_SECONDS, 1.0)
    assert first < 40
    assert fight.writes(DAY_SECONDS, 1.0) <= DAY_SECONDS / LONGEST_PAUSE_SECONDS


def test_a_write_that_was_stripped_at_once_is_not_repeated_before_a_pause() -> None:
    fight = Fight()
    assert fight.look(stored=False)
    assert not fight.look()
    fight.now += FIRST_PAUSE_SECONDS
    assert fight.look(stored=False)


def test_another_forecast_and_another_deployment_of_the_name_are_written_at_once() -> None:
    fight = Fight()
    fight.writes(10, 0.0)
    assert not fight.look(READY | {ESTIMATED_AT: "2026-02-01T00:00:00Z"}), "a later time alone is no other forecast"
    assert fight.look(READY | {JOULES: "0.5"})
    fight.writes(10, 0.0)
    assert fight.look(uid="another")


def test_a_write_that_stood_for_an_hour_is_forgotten() -> None:
    fight = Fight()
    fight.writes(10, 0.0)
    fight.contested.stands(KEY)
    assert not fight.look()
    fight.now += LONGEST_PAUSE_SECONDS + 1
    fight.contested.stands(KEY)
    assert fight.writes(10, 0.0) == 1 + FREE_REWRITES


def test_one_is_told_once_and_counted_until_the_deployment_is_gone() -> None:
    fight = Fight()
    assert not fight.contested.untold(KEY)
    fight.writes(10, 0.0)
    assert len(fight.contested) == 0
    assert fight.contested.untold(KEY)
    assert not fight.contested.untold(KEY)
    assert len(fight.contested) == 1
    fight.contested.forget(KEY)
    assert len(fight.contested) == 0


def test_the_event_names_the_last_writer_where_one_is_known() -> None:
    told = undone_event("CronJob", "argocd-controller").message
    assert 'the last to write to the CronJob was "argocd-controller"' in told
    assert "(" not in undone_event("Deployment", None).message
    assert "joulecast.dev/skip" in undone_event("Deployment", None).message
