"""Test the table of kinds of workloads: the pod template of each, and how many pods it asks for."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.kinds import ANNOTATED
from joulecast_operator.workloads import pods
from tests.unit.joulecast_operator.samples.workloads import workload

KINDS = tuple(ANNOTATED)


def test_every_kind_that_is_annotated_has_a_row() -> None:
    assert {name: row.kind for name, row in pods.KINDS.items()} == ANNOTATED


@pytest.mark.parametrize("kind", KINDS)
def test_the_pods_of_every_kind_are_found(kind: str) -> None:
    assert pods.pod_spec(workload(kind, image="r/m:1"))["containers"] == [{"name": "main", "image": "r/m:1"}]
    for broken in ({"kind": kind}, {"kind": kind, "spec": None}, {"kind": kind, "spec": {"template": [1]}}):
        assert pods.pod_spec(broken) == {}


@pytest.mark.parametrize(
    ("kind", "fields", "count"),
    [
        ("Deployment", {}, 1),
        ("Deployment", {"spec": {"replicas": 0}}, 0),
        ("StatefulSet", {"spec": {"replicas": 3}}, 3),
        ("StatefulSet", {"spec": {"replicas": "3"}}, 1),
        ("DaemonSet", {}, None),
        ("DaemonSet", {"status": {"desiredNumberScheduled": 7}}, 7),
        ("Job", {}, 1),
        ("Job", {"spec": {"parallelism": 4}}, 4),
        ("Job", {"spec": {"parallelism": 4, "completions": 2}}, 2),
        ("Job", {"spec": {"parallelism": 4, "suspend": True}}, 0),
        ("Job", {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}, 0),
        ("Job", {"status": {"conditions": [{"type": "Failed", "status": "True"}]}}, 0),
        ("Job", {"status": {"conditions": [{"type": "Suspended", "status": "False"}]}}, 1),
        ("CronJob", {"spec": {"jobTemplate": {"spec": {"parallelism": 2}}}}, 2),
        ("CronJob", {"spec": {"suspend": True}}, 0),
        ("InferenceService", {"spec": {"replicas": 3}}, None),
    ],
)
def test_the_pods_that_a_workload_asks_for(kind: str, fields: dict[str, Any], count: int | None) -> None:
    assert pods.pods_asked_for({"kind": kind, **fields}) == count


def test_annotations_inside_a_workload_are_those_of_its_templates() -> None:
    cron = workload("CronJob")
    cron["spec"]["jobTemplate"]["metadata"] = {"annotations": {"joulecast.dev/model": "a"}}
    cron["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = {"annotations": {"joulecast.dev/skip": "b"}}
    assert pods.inner_annotations(cron) == {"joulecast.dev/model": "a", "joulecast.dev/skip": "b"}


def test_an_object_without_a_kind_is_a_deployment() -> None:
    assert pods.pod_spec({"spec": {"template": {"spec": {"containers": []}}}}) == {"containers": []}
    for broken in ({}, {"spec": None}, {"spec": {"template": []}}, {"spec": {"template": {"spec": 1}}}):
        assert pods.pod_spec(broken) == {}
