"""Test what is said about workloads that serve a language model."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api import annotations as notes
from joulecast_operator.workloads.choice import estimate_for
from joulecast_operator.workloads.verdict import Verdict, verdict_on
from tests.unit.joulecast_operator.samples.workloads import H100, Estimates, deployment, engine, estimate, generation

LLAMA = "hf://meta-llama/Llama-3.1-8B-Instruct"
NAME = LLAMA.removeprefix("hf://")
TARGET = {"kind": "Deployment", "name": "web"}
CONTAINERS = [engine("server", NAME, "--tensor-parallel-size", "2")]


def of_model(*rows: dict[str, Any], **workload: Any) -> dict[str, Any]:
    """Return an estimate of the model by its address."""
    found = estimate("llama", rows=rows or [generation()], spec={"model": {"uri": LLAMA}, "workload": workload})
    found["status"] |= {"image": LLAMA}
    return found


def targeting(*rows: dict[str, Any], engine_name: str = "vLLM", **spec: Any) -> dict[str, Any]:
    """Return an estimate whose targetRef is the Deployment."""
    found = estimate("llama", rows=rows or [generation()], spec={"targetRef": TARGET} | spec)
    found["status"] |= {"image": LLAMA, "understood": {"engine": engine_name}}
    return found


def made(*rows: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Return the estimate that joulecast created for the Deployment."""
    found = targeting(*rows, **spec)
    found["metadata"] |= {
        "labels": {"app.kubernetes.io/managed-by": "joulecast"},
        "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": "uid-web"}],
    }
    return found


def verdict(
    *estimates: dict[str, Any], containers: list[dict[str, Any]] = CONTAINERS, **annotations: str
) -> Verdict | None:
    inputs = {notes.PREFIX + name.replace("_", "-"): value for name, value in annotations.items()}
    workload = deployment(containers=containers, annotations=inputs)
    return verdict_on(workload, estimate_for(workload, Estimates(*estimates)), "shop")


def some(found: Verdict | None) -> Verdict:
    assert found is not None
    return found


@pytest.mark.parametrize("found", [of_model(), targeting(), made()], ids=["address", "target", "made"])
def test_an_estimate_of_the_served_model_speaks_for_the_workload(found: dict[str, Any]) -> None:
    said = some(verdict(found))
    assert said.state == "Ready"
    assert said.sentence.startswith(f"3.1 J per request (512 → 256 tokens, 32 at once) on 2 × {H100} (2.6–3.7, ")
    assert said.outputs[notes.JOULES_PER_REQUEST] == "3.1"


def test_another_degree_than_the_commands_is_not_taken() -> None:
    said = some(verdict(of_model(generation(parallel=1))))
    assert (said.state, said.reason) == ("Failed", "TensorParallelNotEstimated")
    assert said.sentence == (
        'no forecast: no estimate of this model has a result for tensor parallel degree 2; the estimate "llama" has no'
        " result for tensor parallel degree 2, but for 1: set its workload.tensorParallel to what the engine's command"
        " says"
    )


def test_a_command_without_a_degree_runs_on_one_card() -> None:
    rows = [generation(parallel=1, joules=1.0)]
    assert some(verdict(of_model(*rows), containers=[engine("server", NAME)])).state == "Ready"


@pytest.mark.parametrize("found", [targeting, made])
def test_a_changed_degree_is_pending_until_it_is_estimated(found: Any) -> None:
    changed = [engine("server", NAME, "-tp", "4")]
    assert some(verdict(found(), containers=changed)).state == "Pending"
    assert some(verdict(found(generation(parallel=4)), containers=changed)).state == "Ready"


def test_a_degree_that_the_estimate_gives_is_not_waited_for() -> None:
    found = targeting(workload={"tensorParallel": 2})
    said = some(verdict(found, containers=[engine("server", NAME, "-tp", "4")]))
    assert (said.state, said.reason) == ("Failed", "TensorParallelNotEstimated")


def test_a_changed_model_or_engine_is_pending_until_it_is_estimated() -> None:
    assert some(verdict(targeting(), containers=[engine("server", "other/model", "-tp", "2")])).state == "Pending"
    assert some(verdict(targeting(engine_name="SGLang"))).state == "Pending"


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"phase": "decode"}, "PhaseNotEstimated"),
        ({"concurrency": "64"}, "ConcurrencyNotEstimated"),
        ({"input_tokens": "64"}, "InputTokensNotEstimated"),
        ({"output_tokens": "64"}, "OutputTokensNotEstimated"),
        ({"runtime": "sglang"}, "RuntimeNotEstimated"),
    ],
)
def test_what_is_chosen_by_an_annotation_is_a_part_of_the_choice(inputs: dict[str, str], reason: str) -> None:
    said = some(verdict(of_model(), **inputs))
    assert (said.state, said.reason) == ("Failed", reason)


def test_a_result_of_several_is_chosen_by_what_runs_at_once() -> None:
    rows = [generation(), generation(concurrency=64, joules=2.0)]
    assert some(verdict(of_model(*rows), concurrency="64")).outputs[notes.JOULES_PER_REQUEST] == "2"


def test_a_batch_size_of_a_generation_is_no_property_of_its_results() -> None:
    said = some(verdict(of_model(), batch_size="8"))
    assert said.reason == "BatchSizeNotEstimated"
    assert said.sentence.endswith(
        "its results are of the phase request, which has no batch size: correct the annotation"
    )


@pytest.mark.parametrize(
    ("inputs", "reason", "text"),
    [
        ({"concurrency": "many"}, "InvalidConcurrency", 'concurrency is "many": give a whole number from 1 to 65536'),
        ({"input_tokens": "-1"}, "InvalidInputTokens", 'input-tokens is "-1": give a whole number from 1 to 16777216'),
        ({"phase": "chat"}, "InvalidPhase", 'phase is "chat": give one of forward, prefill, decode, request'),
    ],
)
def test_an_invalid_input_is_said_before_any_estimate_is_made(inputs: dict[str, str], reason: str, text: str) -> None:
    said = some(verdict(model=LLAMA, **inputs))
    assert (said.state, said.reason) == ("Failed", reason)
    assert said.sentence == f"no forecast: joulecast.dev/{text}"


def test_an_invalid_input_is_said_with_what_the_estimate_has() -> None:
    said = some(verdict(of_model(), concurrency="many"))
    assert said.sentence.endswith('is "many": give one of the concurrencies of "llama", 32')


@pytest.mark.parametrize(
    ("containers", "reason"),
    [
        ([engine("server", NAME, "-tp", "$(TP)")], "UnknownTensorParallel"),
        ([engine("a", NAME), engine("b", "x/y")], "AmbiguousModel"),
        ([engine("a", "gs://b/c")], "UnknownModel"),
        ([{"name": "a", "image": "x", "command": ["llama-server", "-hf", NAME]}], "EngineNotSupported"),
    ],
)
def test_what_an_engine_leaves_open_is_said_and_no_other_result_is_taken(
    containers: list[dict[str, Any]], reason: str
) -> None:
    said = some(verdict(targeting(), containers=containers))
    assert (said.state, said.reason) == ("Failed", reason)
    named = some(verdict(of_model(generation(parallel=1)), containers=containers, estimate="llama"))
    assert named.reason != reason


def test_an_engine_that_is_not_modelled_may_be_given_another_runtime() -> None:
    containers = [{"name": "a", "image": "x", "command": ["text-generation-launcher", "--model-id", NAME]}]
    assert some(verdict(of_model(), containers=containers)).reason == "EngineNotSupported"
    assert some(verdict(of_model(), containers=containers, runtime="vllm")).state == "Ready"
    assert some(verdict(targeting(engine_name="TGI", runtime="vllm"), containers=containers)).state == "Ready"
