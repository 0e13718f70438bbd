"""Test how many times workloads of every kind serve their model, and of which of them a forecast is."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.kinds import ANNOTATED, CUSTOM
from joulecast_operator.estimates.replicas import replicas_like, replicas_of, uncounted
from joulecast_operator.index import slim
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.custom import asking, kept
from tests.unit.joulecast_operator.samples.workloads import deployment, engine, generation, row, workload

ENGINE = "vllm/vllm-openai:v0.24.0"


def stored(*words: str, gpus: int | None = None, replicas: int = 3, image: str = ENGINE) -> Any:
    """Return a Deployment that serves a language model, as the index keeps it."""
    asked = {} if gpus is None else {"resources": asking(gpus)}
    found = deployment(containers=[engine("server", "org/model", *words, image=image, **asked)])
    found["spec"]["replicas"] = replicas
    return slim.workload(ANNOTATED["Deployment"], found)


@pytest.mark.parametrize("kind", [kind for kind in ANNOTATED if kind != "DaemonSet"])
def test_each_pod_of_a_built_in_kind_serves_the_model(kind: str) -> None:
    found = slim.workload(ANNOTATED[kind], workload(kind))
    assert (replicas_of(found), replicas_like(found, row()), uncounted(found, row())) == (1, 1, "")


def test_pods_that_are_not_counted_yet_are_no_replicas_and_need_no_words() -> None:
    found = slim.workload(ANNOTATED["DaemonSet"], workload("DaemonSet"))
    assert (replicas_of(found), uncounted(found, row())) == (None, "")


@pytest.mark.parametrize("kind", tuple(CUSTOM))
def test_a_custom_kind_serves_the_model_as_often_as_its_controller_makes_it(kind: str) -> None:
    found = kept(custom.ALL[kind])
    like = generation(parallel=custom.PARALLEL[kind])
    assert (replicas_of(found), replicas_like(found, like)) == (custom.REPLICAS[kind], custom.REPLICAS[kind])
    other = generation(parallel=8)
    assert replicas_like(found, other) is None
    assert uncounted(found, other).startswith("the power of all replicas is not known, because a replica has ")


@pytest.mark.parametrize(
    ("words", "gpus", "parallel", "why"),
    [
        (("--tensor-parallel-size=2",), 2, 2, ""),
        (("--tensor-parallel-size=2",), None, 2, ""),
        ((), None, 1, ""),
        (("--tensor-parallel-size=2",), 8, 2, "a replica has 8 accelerators and the forecast is of 2: make them agree"),
        ((), 1, 2, "a replica has 1 accelerator and the forecast is of 2"),
        (("-tp", "2", "--pipeline-parallel-size", "2"), 4, 2, "the model is split by pipeline or data"),
        (("--data-parallel-size=4",), 4, 1, "the model is split by pipeline or data"),
        (("--data-parallel-size=4",), 4, 4, "the model is split by pipeline or data"),
        (("--data-parallel-size=$(REPLICAS)",), None, 1, "the model is split by pipeline or data"),
        (("--pipeline-parallel-size=1", "-dp", "1"), 1, 1, ""),
        (("--kv-transfer-config", '{"kv_role": "kv_producer"}'), 1, 1, "the engine may hand over requests"),
    ],
)
def test_a_forecast_is_of_a_replica_with_as_many_cards(
    words: tuple[str, ...], gpus: int | None, parallel: int, why: str
) -> None:
    found, result = stored(*words, gpus=gpus), generation(parallel=parallel)
    assert replicas_of(found) == 3
    assert why in uncounted(found, result)
    assert replicas_like(found, result) == (None if why else 3)


def test_a_part_of_a_request_is_what_one_part_runs() -> None:
    found = stored("--kv-transfer-config", '{"kv_role": "kv_consumer"}', gpus=2)
    assert replicas_like(found, generation(phase="decode")) == 3
    assert "spec.workload.phase" in uncounted(found, generation())
    split = kept(custom.llm_inference_service(prefill={"replicas": 4}))
    assert (replicas_of(split), replicas_like(split, generation(phase="decode"))) == (None, None)
    assert "not known how many times its pods serve the model" in uncounted(split, generation(phase="decode"))


def test_an_engine_that_takes_every_card_it_sees_needs_pods_that_say_how_many() -> None:
    nim = custom.nim_service(resources={}, env=[{"name": "NIM_MODEL_NAME", "value": custom.HUB}])
    assert "neither the pods nor the command of an engine say" in uncounted(kept(nim), generation(parallel=1))
    told = custom.nim_service(
        resources={}, env=[*nim["spec"]["env"], {"name": "NIM_TENSOR_PARALLEL_SIZE", "value": "2"}]
    )
    assert replicas_like(kept(told), generation(parallel=2)) == 2


def test_a_program_in_several_pods_that_say_no_cards_is_not_added_up() -> None:
    pod = {"spec": {"containers": [{"name": "main", "image": "registry.example/models/detector:1"}]}}
    group = custom.leader_worker_set(size=2, leaderTemplate=None, workerTemplate=pod)
    assert (replicas_of(kept(group)), replicas_like(kept(group), row())) == (3, None)
    alone = custom.leader_worker_set(size=1, leaderTemplate=None, workerTemplate=pod)
    assert replicas_like(kept(alone), row()) == 3


def test_what_may_stand_in_an_object_that_is_not_read_is_not_guessed() -> None:
    runtime = custom.inference_service(runtime="kserve-vllm", resources={})
    assert "may stand in the ServingRuntime 'kserve-vllm', which is not read" in uncounted(kept(runtime), generation())
    based = custom.llm_inference_service(baseRefs=[{"name": "base"}, {"name": "large"}], template=None)
    said = uncounted(kept(based), generation())
    assert "may stand in the LLMInferenceServiceConfig 'large', which is not read" in said
    assert replicas_of(kept(based)) == 3
    open_number = custom.llm_inference_service(baseRefs=[{"name": "base"}], replicas=None)
    del open_number["spec"]["replicas"]
    assert replicas_of(kept(open_number)) is None
