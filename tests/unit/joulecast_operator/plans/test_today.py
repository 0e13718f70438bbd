"""Test what is known of how the target of a plan runs now, and what is said where it is not."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.kinds import DEPLOYMENTS, NODES
from joulecast_operator.api.plans.resource import EnergyPlan
from joulecast_operator.estimates.targets import FoundModel, target_of
from joulecast_operator.index.index import Index
from joulecast_operator.plans.today import FoundToday, today_of
from tests.unit.joulecast_operator.estimates.test_accelerators import NODES_OF_ALL
from tests.unit.joulecast_operator.samples.plans import plan
from tests.unit.joulecast_operator.samples.workloads import workload

L4, H200 = "NVIDIA-L4", "NVIDIA-H200"
TARGET = {"targetRef": {"name": "web"}}
ON_L4 = {"joulecast.dev/for-accelerator": L4}


def found(annotations: dict[str, str] | None = None, read_of: FoundModel | None = None, **spec: Any) -> FoundToday:
    index = Index()
    for each in NODES_OF_ALL:
        index.put(NODES, each)
    index.put(DEPLOYMENTS, workload("Deployment", annotations=annotations or {}))
    resource = plan(**({"candidates": {}} | spec))
    read = EnergyPlan.model_validate(resource).spec
    target = target_of(resource, read, index)
    assert not isinstance(target, Wrong)
    return today_of(read, read_of or FoundModel(images=("m",)), target, index)


def test_a_plan_of_a_model_has_no_today_unless_it_says_one() -> None:
    assert found(model={"image": "m"}) == FoundToday()
    said = found(model={"image": "m"}, today={"accelerator": "nvidia l4", "batchSize": 2, "clockMHz": 900})
    assert said.setting is not None
    assert said.setting | {"accelerator": L4, "batch_size": 2, "clock_mhz": 900} == said.setting
    assert (said.setting["precision"], said.setting["tensor_parallel"]) == ("default", 1)


def test_a_target_says_it_by_annotations_and_its_command() -> None:
    notes = ON_L4 | {"joulecast.dev/concurrency": "64", "joulecast.dev/precision": "fp16"}
    model = FoundModel(images=("m",), generation={"tensor_parallel": 2}, most_sequences=16, precision="bf16")
    said = found(notes, model, **TARGET).setting
    assert said is not None
    assert (said["accelerator"], said["concurrency"], said["precision"], said["tensor_parallel"]) == (L4, 16, "fp16", 2)
    own = found(notes, model, **TARGET, today={"concurrency": 8}).setting
    assert own is not None
    assert own["concurrency"] == 8


def test_a_power_limit_of_the_targets_pods_is_todays() -> None:
    index = Index()
    for each in NODES_OF_ALL:
        index.put(NODES, each)
    limited = workload("Deployment", annotations=ON_L4 | {"joulecast.dev/batch-size": "8"})
    limited["spec"]["template"]["metadata"] = {"annotations": {"dynamo.nvidia.com/gpu-power-limit": "60"}}
    index.put(DEPLOYMENTS, limited)
    for spec, watts in ((TARGET, 60), (TARGET | {"today": {"clockMHz": 900}}, None)):
        resource = plan(**spec)
        read = EnergyPlan.model_validate(resource).spec
        target = target_of(resource, read, index)
        assert not isinstance(target, Wrong)
        setting = today_of(read, FoundModel(images=("m",)), target, index).setting
        assert setting is not None
        assert setting["power_limit_watts"] == watts


@pytest.mark.parametrize("spec", [TARGET, {"model": {"image": "m"}, "today": {"batchSize": 1}}])
def test_an_accelerator_that_is_not_known_is_told_with_the_way_out(spec: dict[str, Any]) -> None:
    said = found(**spec)
    assert said.setting is None
    (note,) = said.notes
    assert "spec.today.accelerator" in note
