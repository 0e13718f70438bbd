"""Test that only whole GPUs are measured."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.calibrations import CalibrationSpec
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.calibrations.nodes import Target, target_of, trouble_of
from tests.unit.joulecast_operator.samples.calibrations import L40S, node

ASKED = CalibrationSpec(accelerator=L40S)


@pytest.mark.parametrize(
    "shared",
    [
        node(product="NVIDIA-L40S-SHARED"),
        node(nvidia_com__gpu_sharing="x") | {"metadata": {"name": "n", "labels": {
            "nvidia.com/gpu.product": L40S, "nvidia.com/gpu.sharing-strategy": "mps"}}},
        node(nvidia_com__gpu_replicas="4"),
        node(devices={"nvidia.com/gpu.shared": "4"}),
        node(product="NVIDIA-L40S-MIG-1g.5gb"),
        node(devices={"nvidia.com/mig-1g.5gb": "7"}),
    ],
)  # fmt: skip
def test_what_is_shared_or_sliced_is_refused_and_named(shared: dict[str, Any]) -> None:
    found = target_of(ASKED, [shared])
    assert isinstance(found, Wrong)
    assert found.reason == "SharedAccelerator"
    assert found.message.startswith("n is ")


def test_a_mig_strategy_alone_divides_no_card() -> None:
    """The GPU operator puts the label mig.strategy on every node whose cards can be divided."""
    labels = {"nvidia.com/gpu.product": L40S, "nvidia.com/mig.strategy": "single", "nvidia.com/gpu.replicas": "1"}
    whole = {"metadata": {"name": "n", "labels": labels}, "status": {"allocatable": {"nvidia.com/mig-1g.5gb": "0"}}}
    assert trouble_of(whole) is None
    assert target_of(ASKED, [whole]) == Target(product=L40S, labels={})


def test_a_whole_card_beside_shared_ones_is_taken() -> None:
    assert target_of(ASKED, [node("a", "NVIDIA-L40S-SHARED"), node("b")]) == Target(product=L40S, labels={})


def test_a_selector_says_the_product_and_stays_with_its_nodes() -> None:
    spec = CalibrationSpec.model_validate({"nodeSelector": {"matchLabels": {"pool": "lab"}}})
    nodes = [node("a", pool="lab"), node("b", "NVIDIA-H200", pool="other")]
    assert target_of(spec, nodes) == Target(product=L40S, labels={"pool": "lab"})
    several = target_of(spec, [*nodes, node("c", "NVIDIA-H200", pool="lab")])
    assert isinstance(several, Wrong)
    assert "NVIDIA-H200, NVIDIA-L40S" in several.message


@pytest.mark.parametrize("nodes", [[], [node(product=None)], [node(product="NVIDIA-H200")]])
def test_a_node_that_is_not_there_is_waited_for(nodes: list[dict[str, Any]]) -> None:
    found = target_of(ASKED, nodes)
    assert isinstance(found, Waiting)
    assert found.reason == "NoNode"


@pytest.mark.parametrize("name", ["NVIDIA-L40S-SHARED", "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"])
def test_a_name_that_is_no_whole_card_is_refused_with_the_one_that_is(name: str) -> None:
    found = target_of(CalibrationSpec(accelerator=name), [node(product=name)])
    assert isinstance(found, Wrong)
    assert f"'{name.removesuffix('-SHARED').partition('-MIG-')[0]}'" in found.message


def test_a_card_is_one_however_its_nodes_and_the_spec_spell_it() -> None:
    spec = CalibrationSpec.model_validate({"accelerator": "NVIDIA L40S"})
    found = target_of(spec, [node("a", "nvidia-l40s"), node("b", L40S)])
    assert found == Target(product=L40S, labels={}, spellings=("nvidia-l40s",))
    assert target_of(spec, [node("a", "nvidia-l40s-shared")]).reason == "SharedAccelerator"  # type: ignore[union-attr]
