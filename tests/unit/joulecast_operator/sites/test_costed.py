"""Test that a status has the cost of its answer at its site, or says why it has none."""

from __future__ import annotations

from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.sites.costed import COST, COSTED, with_cost
from joulecast_operator.sites.costs import ESTIMATES
from tests.unit.joulecast_operator.samples import estimates
from tests.unit.joulecast_operator.samples.costs import HERE, LATER, NOW, conditions, costed, status

GONE = Wrong(reason="SiteNotFound", message="there is no EnergySite 'here'")


def test_the_condition_comes_before_ready_and_names_the_site() -> None:
    found = costed(HERE)
    assert list(conditions(found)) == [COSTED, "Ready"]
    assert conditions(found)[COSTED]["message"] == "costs are those at EnergySite here"
    assert found["summary"]["site"] == "here"


def test_an_object_that_no_site_concerns_and_one_without_an_answer_are_as_before() -> None:
    assert costed(None) == status()
    pending = status(results=None)
    for state in (HERE, GONE, Waiting(reason="ConfigMapUnread", message="later")):
        assert with_cost(estimates.estimate(), pending, state, pricing=ESTIMATES, now=NOW) == pending


def test_a_site_that_is_gone_takes_its_figures_with_it_and_is_told() -> None:
    before = costed(HERE)
    found = with_cost(estimates.estimate(status=before), dict(before), GONE, pricing=ESTIMATES, now=LATER)
    assert COST not in found
    assert found["summary"] == status()["summary"]
    said = conditions(found)[COSTED]
    assert (said["status"], said["reason"]) == ("False", "SiteNotFound")
    assert said["lastTransitionTime"] == "2026-01-03T00:00:00Z"


def test_the_same_figures_give_the_same_status_so_that_nothing_is_written() -> None:
    before = costed(HERE)
    found = with_cost(estimates.estimate(status=before), dict(before), HERE, pricing=ESTIMATES, now=LATER)
    assert found == before


def test_while_a_site_cannot_be_read_the_cost_of_the_same_answer_stays() -> None:
    before = costed(HERE)
    waiting = Waiting(reason="ConfigMapUnread", message="later")
    assert costed(waiting, current=before) == before
    other = costed(waiting, current=before, results=[estimates.row(joules=7.0)])
    assert COST not in other
    assert COSTED not in conditions(other)
