"""Test that a choice among many estimates of an image reads only a few of them, but some of each group."""

from __future__ import annotations

import pytest

from joulecast_operator.api.kinds import DEPLOYMENTS, ESTIMATES
from joulecast_operator.index.candidates import GROUPS
from joulecast_operator.index.index import Index
from tests.unit.joulecast_operator.samples import many

COUNT = 500


def names(index: Index, image: str = many.IMAGE) -> set[str]:
    return {found["metadata"]["name"] for found in index.by_model("shop", image)}


def test_of_those_that_are_alike_the_first_and_the_newest_stand_for_all() -> None:
    index = Index()
    for number in range(COUNT):
        index.put(ESTIMATES, many.estimate(number))
    for number, name in ((COUNT, "b"), (COUNT + 1, "a")):
        newest = many.estimate(number, created="2026-05-06T00:00:00Z")
        newest["metadata"]["name"] = f"zz-{name}"
        index.put(ESTIMATES, newest)
    assert names(index) == {"small-00000", "zz-a", "zz-b"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "other",
    [
        {"workload": {"batchSizes": [7]}},
        {"workload": {"batchSizes": list(many.BATCH_SIZES), "precision": "fp16"}},
        {"runtime": "vllm"},
        {"accelerators": {"names": ["NVIDIA-T4"]}},
    ],
)
def test_one_that_asks_something_else_is_among_them(other: dict[str, object]) -> None:
    index = Index()
    for number in range(COUNT):
        index.put(ESTIMATES, many.estimate(number))
    index.put(
        ESTIMATES,
        many.estimate(COUNT // 2, **other) | {"metadata": {**metadata(COUNT // 2), "resourceVersion": "9999"}},
    )
    assert f"small-{COUNT // 2:05}" in names(index)


def test_one_that_is_not_ready_does_not_hide_one_that_is() -> None:
    index = Index()
    for number in range(3):
        waiting = many.estimate(number)
        del waiting["status"]
        index.put(ESTIMATES, waiting)
    index.put(ESTIMATES, many.estimate(1) | {"metadata": {**metadata(1), "resourceVersion": "9999"}})
    assert "small-00001" in names(index)


def test_the_newest_kinds_are_looked_at_where_there_are_too_many() -> None:
    index = Index()
    for number in range(3 * GROUPS):
        created = f"2026-01-02T03:{number // 60:02}:{number % 60:02}Z"
        index.put(ESTIMATES, many.estimate(number, created=created, workload={"batchSizes": [number + 1]}))
    assert names(index) == {f"small-{number:05}" for number in range(2 * GROUPS, 3 * GROUPS)}


def test_what_goes_leaves_nothing_behind() -> None:
    index = Index()
    for number in range(5):
        index.put(ESTIMATES, many.estimate(number, targetRef={"name": "web"}))
    assert len(index.targeting("shop", DEPLOYMENTS.kind, "web")) == 5
    for number in range(5):
        index.apply(ESTIMATES, "DELETED", many.estimate(number))
    assert names(index) == set()
    assert index.targeting("shop", DEPLOYMENTS.kind, "web") == []
    assert index.keys(ESTIMATES, "shop") == []


def test_every_estimate_of_a_workload_is_known_to_its_controller() -> None:
    index = Index()
    for number in range(COUNT):
        index.put(ESTIMATES, many.estimate(number, targetRef={"kind": "Deployment", "name": "web"}))
    assert len(index.targeting("shop", DEPLOYMENTS.kind, "web")) == COUNT
    assert len(index.by_target("shop", DEPLOYMENTS.kind, "web")) <= 3


def metadata(number: int) -> dict[str, object]:
    found: dict[str, object] = many.estimate(number)["metadata"]
    return found
