from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.kinds import DEPLOYMENTS, ESTIMATES, NAMESPACES, PLANS
from joulecast_operator.api.objects import Key, Scope
from joulecast_operator.index.index import Index

ALL = Scope(kind=ESTIMATES)


def estimate(name: str, version: int, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", "resourceVersion": str(version)}, "spec": spec}


def key(name: str) -> Key:
    return Key(kind=ESTIMATES.kind, namespace="shop", name=name)


def test_an_older_version_never_replaces_a_newer_one() -> None:
    index = Index()
    assert index.apply(ESTIMATES, "ADDED", estimate("a", 9, model={"image": "new"}))
    assert not index.apply(ESTIMATES, "MODIFIED", estimate("a", 8, model={"image": "old"}))
    assert not index.apply(ESTIMATES, "MODIFIED", estimate("a", 9, model={"image": "same"}))
    assert index.apply(ESTIMATES, "MODIFIED", estimate("a", 10, model={"image": "newest"}))
    assert [found["metadata"]["name"] for found in index.by_model("shop", "newest")] == ["a"]
    assert index.by_model("shop", "new") == []


def test_an_answer_to_our_own_write_does_not_bring_back_what_went() -> None:
    index = Index()
    index.put(ESTIMATES, estimate("a", 1))
    index.apply(ESTIMATES, "DELETED", estimate("a", 3))
    index.refresh(ESTIMATES, estimate("a", 2))
    assert index.get("shop", "a") is None
    assert index.keys(ESTIMATES) == index.keys(ESTIMATES, "shop") == []


def test_lookups_stay_within_the_namespace_and_follow_changes() -> None:
    index = Index()
    index.put(ESTIMATES, estimate("a", 1, targetRef={"name": "web"}))
    assert len(index.by_target("shop", "Deployment", "web")) == 1
    assert index.by_target("other", "Deployment", "web") == []
    index.put(ESTIMATES, estimate("a", 2, model={"image": "x"}))
    assert index.by_target("shop", "Deployment", "web") == []
    assert len(index.by_model("shop", "x")) == 1
    assert index.by_model("other", "x") == []


def test_plans_are_told_by_the_site_that_prices_them() -> None:
    index = Index()
    for name, status in (("a", {"cost": {"site": "here"}}), ("b", {}), ("c", {"cost": {"site": "there"}})):
        index.put(PLANS, estimate(name, 1) | {"status": status})
    assert sorted(index.sites_of_plans()) == ["here", "there"]
    index.drop(Key(kind=PLANS.kind, namespace="shop", name="a"))
    index.put(PLANS, estimate("c", 2) | {"status": {}})
    assert index.sites_of_plans() == []


def test_what_a_listing_does_not_confirm_is_gone() -> None:
    index = Index()
    for name, version in (("kept", 1), ("gone", 2), ("newer", 12)):
        index.put(ESTIMATES, estimate(name, version))
    gone, stale = index.compare(ALL, {key("kept"): "1"}, "10")
    assert gone == {key("gone")}, "what is newer than the listing is not judged by it"
    assert stale == set()


def test_the_watch_is_stale_only_if_it_stays_behind() -> None:
    now = [0.0]
    index = Index(lambda: now[0])
    index.put(ESTIMATES, estimate("a", 1))
    listed = {key("a"): "5"}
    assert index.compare(ALL, listed, "6") == (set(), set()), "perhaps the event is on its way"
    _, stale = index.compare(ALL, listed, "6")
    assert stale == {key("a")}
    assert index.behind_seconds() == 0.0
    now[0] = 200.0
    assert index.behind_seconds() == 200.0


def test_a_dead_watch_stays_stale_although_comparisons_bring_what_it_missed() -> None:
    now = [0.0]
    index = Index(lambda: now[0])
    index.put(ESTIMATES, estimate("a", 1))
    index.compare(ALL, {key("a"): "5"}, "6")
    index.compare(ALL, {key("a"): "5"}, "6")
    index.put(ESTIMATES, estimate("a", 5))  # fetched
    now[0] = 60.0
    listed = {key("a"): "5", key("b"): "7"}
    assert index.compare(ALL, listed, "8") == (set(), set()), "of the new one the event may be on its way"
    now[0] = 160.0
    assert index.behind_seconds() == 160.0
    index.heard(Scope(kind=DEPLOYMENTS))
    assert index.behind_seconds() == 160.0, "the watch of another kind says nothing"
    index.heard(ALL)
    assert index.behind_seconds() == 0.0


def test_an_object_that_changes_all_the_time_is_stale_only_if_the_watch_brings_none_of_it() -> None:
    followed, deaf = Index(), Index()
    for index in (followed, deaf):
        index.put(ESTIMATES, estimate("a", 1))
        index.compare(ALL, {key("a"): "5"}, "6")
    followed.put(ESTIMATES, estimate("a", 6))
    assert followed.compare(ALL, {key("a"): "7"}, "8") == (set(), set())
    assert deaf.compare(ALL, {key("a"): "7"}, "8") == (set(), {key("a")})


@pytest.mark.parametrize("odd", ["text", 3, ["list"], [None], {"name": ["list"]}, {"image": {}}])
def test_an_estimate_of_another_shape_is_held_and_can_be_replaced(odd: Any) -> None:
    for spec in ({"targetRef": odd}, {"model": odd}, {"targetRef": {"name": odd}}, {"model": {"image": odd}}, odd):
        index = Index()
        whole = {**estimate("a", 1), "spec": spec}
        assert index.apply(ESTIMATES, "ADDED", whole)
        assert index.apply(ESTIMATES, "MODIFIED", estimate("a", 2, model={"image": "mended"}))
        assert [found["metadata"]["name"] for found in index.by_model("shop", "mended")] == ["a"]
        assert index.apply(ESTIMATES, "MODIFIED", whole | {"metadata": estimate("a", 3)["metadata"]})
        assert index.apply(ESTIMATES, "DELETED", whole)
        assert list(index.estimates()) == []


def test_a_listing_of_a_namespace_tells_nothing_of_another() -> None:
    index, shop = Index(), Scope(kind=ESTIMATES, namespace="shop")
    other = estimate("b", 1)
    other["metadata"]["namespace"] = "other"
    for each in (estimate("a", 1), other):
        index.put(ESTIMATES, each)
    for _ in range(2):
        gone, _ = index.compare(shop, {}, "6")
    assert gone == {key("a")}
    elsewhere = Scope(kind=ESTIMATES, namespace="other")
    for _ in range(2):
        index.compare(elsewhere, {Key(kind=ESTIMATES.kind, namespace="other", name="b"): "5"}, "6")
        index.compare(shop, {}, "6")  # forgets no suspect of the other namespace
    assert index.behind_seconds() > 0
    index.heard(shop)
    assert index.behind_seconds() > 0, "the watch of another namespace says nothing"
    index.heard(elsewhere)
    assert index.behind_seconds() == 0.0


@pytest.mark.parametrize(("labels", "may"), [(None, True), ({}, True), ({"joulecast.dev/annotations": "none"}, False)])
def test_a_namespaces_label_says_whether_its_deployments_are_annotated(labels: Any, may: bool) -> None:
    index = Index()
    assert index.may_annotate("shop") is None
    index.put(NAMESPACES, {"metadata": {"name": "shop", "resourceVersion": "1", "labels": labels}})
    assert index.may_annotate("shop") is may
