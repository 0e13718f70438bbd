"""Test which EnergySite prices an estimate."""

from __future__ import annotations

from joulecast.site import Site
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.sites.choice import KnownSite, SiteState, defaults, site_for

HERE = Site(name="here", price_per_kilowatt_hour=(0.2,), currency="EUR")
THERE = Site(name="there", price_per_kilowatt_hour=(0.3,), currency="USD")
BROKEN = Wrong(reason="ConfigMapNotFound", message="there is no ConfigMap 'prices'")


def known(state: SiteState, *, default: bool = False) -> KnownSite:
    return KnownSite(default=default, state=state)


def reason(found: SiteState | None) -> str:
    assert isinstance(found, Wrong)
    return found.reason


def test_the_named_site_goes_before_the_default() -> None:
    sites = {"here": known(HERE, default=True), "there": known(THERE)}
    assert site_for("there", sites) == THERE
    assert site_for(None, sites) == HERE


def test_without_a_default_no_site_concerns_an_estimate_that_names_none() -> None:
    assert site_for(None, {"here": known(HERE)}) is None
    assert site_for(None, {}) is None


def test_of_two_defaults_none_prices_anything_that_names_no_site() -> None:
    sites = {"there": known(THERE, default=True), "here": known(HERE, default=True)}
    found = site_for(None, sites)
    assert reason(found) == "SeveralDefaultSites"
    assert isinstance(found, Wrong)
    assert found.message.startswith("here and there are all the default EnergySite")
    assert defaults(sites) == ["here", "there"]
    assert site_for("here", sites) == HERE


def test_a_name_of_no_site_is_told_and_so_is_a_missing_right() -> None:
    assert reason(site_for("gone", {})) == "SiteNotFound"
    assert reason(site_for("gone", {}, readable=False)) == "SiteForbidden"
    assert site_for(None, {}, readable=False) is None


def test_a_site_without_usable_figures_is_told_with_its_own_reason() -> None:
    found = site_for("here", {"here": known(BROKEN)})
    assert reason(found) == reason(site_for(None, {"here": known(BROKEN, default=True)})) == "SiteNotUsable"
    assert isinstance(found, Wrong)
    assert found.message == "EnergySite 'here' has no usable figures: there is no ConfigMap 'prices'"


def test_a_site_that_was_not_read_yet_is_waited_for() -> None:
    waiting = Waiting(reason="ConfigMapUnread", message="later")
    assert site_for("here", {"here": known(waiting)}) == waiting
