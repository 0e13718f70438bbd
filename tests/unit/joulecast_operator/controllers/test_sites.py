"""Test that costs follow the figures of EnergySites, and that a site without usable figures says why."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from joulecast_operator.api.kinds import SITES
from joulecast_operator.api.objects import Key, Scope
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.cluster.workqueue import WorkQueue
from joulecast_operator.controllers.sites import Sites
from joulecast_operator.index.index import Index
from joulecast_operator.sites.costs import ESTIMATES
from tests.unit.joulecast_operator.samples import estimates
from tests.unit.joulecast_operator.samples.sites import site

PRICES = "/api/v1/namespaces/joulecast/configmaps/prices"
BY_CONFIG_MAP = {"currency": "EUR", "configMapRef": {"name": "prices"}}


class World:
    """An index with sites, a cluster with ConfigMaps, and a writer that keeps what it writes."""

    def __init__(self) -> None:
        self.index = Index()
        self.statuses: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, dict[str, Any]] = {}
        self.error: ApiError | None = None
        self.changes = self.version = 0
        self.queue: WorkQueue[Key] = WorkQueue(first_pause_seconds=1.0)
        self.sites = Sites(
            index=self.index,
            cluster=self,  # type: ignore[arg-type]
            writer=self,  # type: ignore[arg-type]
            queue=self.queue,
            namespace="joulecast",
            poll_seconds=10.0,
            priced={"estimates": lambda: ["here", "there", "here"], "plans": lambda: ["here"]},
            on_change=self._changed,
        )

    async def get(self, path: str) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        return self.objects[path]

    async def status(self, kind: object, resource: Any, desired: dict[str, Any]) -> bool:
        name = resource["metadata"]["name"]
        written = self.statuses.get(name) != desired
        self.statuses[name] = desired
        return written

    def _changed(self) -> None:
        self.changes += 1

    def apply(self, name: str = "here", **spec: Any) -> None:
        self.version += 1
        found = site(name, **spec)
        found["metadata"] |= {"resourceVersion": str(self.version)}
        self.index.put(SITES, found)
        self.settle(name)

    def settle(self, *names: str) -> None:
        for name in names or ("here",):
            asyncio.run(self.sites.reconcile(self.key(name)))

    def delete(self, name: str = "here") -> None:
        self.index.drop(self.key(name))
        self.settle(name)

    def prices(self, **data: str) -> None:
        self.objects[PRICES] = {"data": data}

    def key(self, name: str) -> Key:
        return Key(kind=SITES.kind, namespace="", name=name)

    def reason(self, name: str = "here", kind: str = "Ready") -> str:
        return next(each["reason"] for each in self.statuses[name]["conditions"] if each["type"] == kind)

    def costed(self, **spec: Any) -> dict[str, Any]:
        """Return the status of an estimate with a result that takes a kilowatt hour."""
        ready = {"type": "Ready", "status": "True", "reason": "Estimated"}
        desired = {"results": [estimates.row(joules=3.6e6 * 32)], "conditions": [ready]}
        return self.sites.costed(estimates.estimate(model={"image": "a"}, **spec), copy.deepcopy(desired), ESTIMATES)


@pytest.fixture
def world() -> World:
    return World()


def costed(found: dict[str, Any]) -> str:
    return next((each["reason"] for each in found["conditions"] if each["type"] == "Costed"), "")


def test_an_estimate_costs_what_the_site_it_names_says(world: World) -> None:
    world.apply()
    found = world.costed(siteName="here")
    assert found["cost"]["money"]["mean"] == pytest.approx(0.25 * 1.2)
    assert (world.statuses["here"]["estimates"], world.statuses["here"]["plans"]) == (2, 1)
    assert "cost" not in world.costed(), "no site is the default"


def test_a_changed_price_is_told_once_and_an_unchanged_one_not(world: World) -> None:
    world.apply(default=True, pricePerKilowattHour=["0.2"], currency="EUR")
    assert world.changes == 1
    world.settle()
    assert world.changes == 1
    world.apply(default=True, pricePerKilowattHour=["0.4"], currency="EUR")
    assert (world.changes, world.costed()["cost"]["money"]["mean"]) == (2, pytest.approx(0.4))
    world.delete()
    assert world.changes == 3
    assert "cost" not in world.costed()


def test_a_config_map_is_read_again_and_again(world: World) -> None:
    world.apply(**BY_CONFIG_MAP)
    assert world.reason() == "ConfigMapNotFound"
    assert costed(world.costed(siteName="here")) == "SiteNotUsable"
    world.prices(pricePerKilowattHour="0.5")
    world.settle()
    assert world.reason() == "Valid"
    assert world.costed(siteName="here")["cost"]["money"]["mean"] == pytest.approx(0.5)
    world.prices(pricePerKilowattHour="0.5 0.6")
    world.settle()
    assert world.reason() == "InvalidSite"
    assert "cost" not in world.costed(siteName="here"), "a number of before is not shown as one of now"
    world.prices(price="0.5")
    world.settle()
    assert world.reason() == "ConfigMapKeyNotFound"
    assert list(world.queue._due) == [world.key("here")], "it is looked at again"


def test_while_the_api_server_does_not_answer_the_figures_stay(world: World) -> None:
    world.prices(pricePerKilowattHour="0.5")
    world.apply(**BY_CONFIG_MAP)
    world.error = ApiError(503, "Unavailable", "later")
    with pytest.raises(ApiError):
        world.settle()
    assert world.costed(siteName="here")["cost"]["money"]["mean"] == pytest.approx(0.5)


def test_after_a_start_without_an_answer_present_costs_stay(world: World) -> None:
    world.prices(pricePerKilowattHour="0.5")
    world.apply(**BY_CONFIG_MAP)
    before = world.costed(siteName="here")
    again = World()
    again.error = ApiError(503, "Unavailable", "later")
    again.index.put(SITES, site("here", **BY_CONFIG_MAP))
    with pytest.raises(ApiError):
        asyncio.run(again.sites.load(again.key("here")))
    estimate = estimates.estimate(status=before, siteName="here")
    assert again.sites.costed(estimate, dict(before), ESTIMATES) == before


def test_a_refused_config_map_is_told(world: World) -> None:
    world.error = ApiError(403, "Forbidden", "no right")
    world.apply(**BY_CONFIG_MAP)
    assert world.reason() == "ConfigMapRefused"


def test_two_defaults_are_told_on_both_and_price_nothing(world: World) -> None:
    for name in ("here", "there"):
        world.apply(name, default=True, pricePerKilowattHour=["0.2"], currency="EUR")
    world.settle("here", "there")
    assert world.reason("here", "Default") == world.reason("there", "Default") == "SeveralDefaultSites"
    assert costed(world.costed()) == "SeveralDefaultSites"
    world.delete("there")
    world.settle("here")
    assert world.reason("here", "Default") == "Default"
    assert world.costed()["cost"]["site"] == "here"


def test_a_spec_that_cannot_be_read_prices_nothing(world: World) -> None:
    world.apply(pricePerKilowattHour=["0.1"], currency=5)
    assert world.reason() == "InvalidSpec"
    assert costed(world.costed(siteName="here")) == "SiteNotUsable"


def test_without_the_right_to_read_sites_a_named_one_is_forbidden(world: World) -> None:
    assert costed(world.costed(siteName="here")) == "SiteNotFound"
    world.index.note_unreadable(Scope(kind=SITES), unreadable=True)
    assert costed(world.costed(siteName="here")) == "SiteForbidden"
    assert costed(world.costed()) == ""
