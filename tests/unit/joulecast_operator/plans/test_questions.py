"""Test which request a plan makes of its spec and the objects of the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.kinds import DEPLOYMENTS, NODES
from joulecast_operator.api.plans.spec import MAXIMUM_CANDIDATES
from joulecast_operator.cluster.model_objects import ReadObjects
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.estimates.targets import target_of
from joulecast_operator.index.index import Index
from joulecast_operator.plans import questions
from joulecast_operator.profiles.usable import Override
from tests.unit.joulecast_operator.estimates.test_accelerators import NODES_OF_ALL
from tests.unit.joulecast_operator.samples.plans import H200, L40S, plan
from tests.unit.joulecast_operator.samples.workloads import workload

MODEL = {"image": "registry.example/models/detector:1"}
NAMED = {"accelerators": {"names": [H200, L40S]}}
L4, A100 = "NVIDIA-L4", "NVIDIA-A100-SXM4-80GB"


def index(*nodes: dict[str, Any]) -> Index:
    found = Index()
    for each in nodes:
        found.put(NODES, each)
    found.put(DEPLOYMENTS, workload("Deployment", annotations={"joulecast.dev/batch-size": "4"}))
    return found


def asked(held: Index | None = None, overrides: tuple[Override, ...] = (), **spec: Any) -> Any:
    body = {"model": MODEL, "candidates": NAMED} | spec
    resource = plan(**{name: value for name, value in body.items() if value is not None})
    read = questions.spec_of(resource)
    assert not isinstance(read, Wrong)
    objects = held or index()
    target = target_of(resource, read, objects)
    if isinstance(target, Wrong):
        return target
    return questions.request_of(resource, read, objects, overrides, ReadObjects(), target)


def test_a_request_holds_what_may_be_chosen_and_what_is_asked() -> None:
    found = asked(
        candidates=NAMED | {"batchSizes": [1, 8], "precisions": ["fp16"], "clocksMHz": [900]},
        slo={"latencyMilliseconds": 20},
        requestsPerSecond="500m",
        countedBy="Inference",
    )
    assert isinstance(found, ForecastRequest)
    assert found.accelerators == (H200, L40S)
    question = found.question
    assert question is not None
    assert (question["batch_sizes"], question["precisions"], question["clocks_mhz"]) == ([1, 8], ["fp16"], [900])
    assert question["objective"] == {"latency_milliseconds": 20, "requests_per_second": 0.5, "unit": "inference"}
    assert question["today"] is None


def test_each_change_of_the_question_is_another_request() -> None:
    specs: list[dict[str, Any]] = [
        {}, {"slo": {"latencyMilliseconds": 5}}, {"slo": {"latencyMilliseconds": 6}}, {"requestsPerSecond": 1},
        {"candidates": NAMED | {"tryPowerLimits": True}}, {"today": {"accelerator": L40S, "batchSize": 1}},
    ]  # fmt: skip
    assert len({asked(**spec).hash for spec in specs}) == len(specs)
    assert asked().hash == asked().hash


def test_without_names_the_accelerators_are_those_of_the_nodes() -> None:
    found = asked(index(*NODES_OF_ALL), candidates=None)
    assert found.accelerators == (A100, H200, L4)
    waiting = asked(candidates=None)
    assert isinstance(waiting, Waiting)
    assert "name products in spec.candidates.accelerators.names" in waiting.message


def test_too_many_candidates_are_refused_by_a_sentence_with_their_number() -> None:
    wide = NAMED | {
        "batchSizes": [1, 2, 4, 8, 16, 32, 64, 128], "precisions": ["default", "fp16", "bf16", "fp32", "tf32"],
        "tensorParallel": [1, 2], "powerLimitsWatts": [100, 110, 120, 130, 140, 150],
    }  # fmt: skip
    found = asked(candidates=wide)
    assert isinstance(found, Wrong)
    assert found.reason == "TooManyCandidates"
    assert f"the candidates are 1120 settings, and a plan prices at most {MAXIMUM_CANDIDATES}" in found.message
    assert isinstance(asked(candidates=wide | {"tensorParallel": [1]}), ForecastRequest)


def test_a_target_brings_its_model_and_how_it_runs_now() -> None:
    found = asked(index(*NODES_OF_ALL), model=None, targetRef={"name": "web"}, today={"accelerator": "nvidia l4"})
    assert isinstance(found, ForecastRequest)
    assert found.question is not None
    assert found.question["today"] | {"batch_size": 4, "accelerator": L4} == found.question["today"]


def test_profiles_of_the_cluster_for_candidates_and_for_today_are_part_of_the_request() -> None:
    own = tuple(
        Override(product=each, runtime="torch-eager", digest=f"sha256:{each}", document="{}")
        for each in (H200, L4, A100)
    )
    found = asked(overrides=own, today={"accelerator": L4, "batchSize": 1})
    assert [each.product for each in found.overrides] == [H200, L4]


def test_a_split_asks_for_two_machines_and_a_link() -> None:
    link = {"megabitsPerSecond": 100, "over": "internet"}
    found = asked(candidates=None, split={"between": [L4, "nvidia h200"], "link": link, "batchSize": 4})
    assert found.accelerators == (L4, "NVIDIA-H200")
    assert found.question["split"]["link"]["over"] == "internet"
    assert found.question["split"]["batch_size"] == 4


@pytest.mark.parametrize("spec", [{"model": None}, {"slo": {"latencyMilliseconds": 0}}])
def test_a_spec_of_an_older_schema_is_a_reason(spec: dict[str, Any]) -> None:
    resource = plan(**({"model": MODEL} | {name: value for name, value in spec.items() if value is not None}))
    if "model" in spec:
        del resource["spec"]["model"]
    read = questions.spec_of(resource)
    found = read if isinstance(read, Wrong) else questions.request_of(resource, read, index(), (), ReadObjects(), None)
    assert isinstance(found, Wrong)
    assert found.reason == "InvalidSpec"
