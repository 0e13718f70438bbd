"""Test what a workload that serves a language model is told when no estimate applies to it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from joulecast_operator.workloads.admission import Decision, decide
from tests.unit.joulecast_operator.samples.workloads import Estimates, deployment, engine, estimate, generation

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def create(workload: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"uid": "1", "operation": "CREATE", "namespace": "shop", "object": workload, "oldObject": None} | more


def told(*containers: dict[str, Any], **annotations: str) -> tuple[str, ...]:
    decision = decide(create(deployment(containers=list(containers), annotations=annotations)), Estimates())
    assert (decision.outcome, decision.patch) == ("unknown", ())
    return decision.warnings


def test_a_model_that_no_estimate_covers_is_named_with_the_ways_out() -> None:
    (text,) = told(engine("server", LLAMA))
    assert text == (
        f'no forecast: container "server" serves hf://{LLAMA} by vLLM, which no estimate covers: annotate it with'
        f' joulecast.dev/model: hf://{LLAMA}, or apply an InferenceEnergyEstimate to "shop"'
    )


@pytest.mark.parametrize(
    ("containers", "said"),
    [
        ([engine("a", "gs://b/c")], "takes the model from 'gs://b/c', a store that is not read: name the model in the"),
        ([engine("a", LLAMA, "-tp", "$(TP)")], "takes the number of cards that share the model from '$(TP)'"),
        ([engine("a", LLAMA), engine("b", "x/y")], "several containers serve a language model"),
        (
            [{"name": "a", "image": "tgi", "command": ["text-generation-launcher", "--model-id", LLAMA]}],
            'container "a" serves the model by TGI, whose energy is not modelled: name the runtime',
        ),
    ],
)
def test_why_a_model_is_not_covered_is_said(containers: list[dict[str, Any]], said: str) -> None:
    (text,) = told(*containers)
    assert text.startswith("no forecast: ")
    assert said in text


def test_a_workload_that_serves_nothing_known_is_told_nothing() -> None:
    assert told({"name": "web", "image": "nginx:1"}) == ()


def test_a_workload_is_told_once_and_not_at_every_update() -> None:
    old = deployment(containers=[engine("server", LLAMA)])
    scaled = copy.deepcopy(old)
    scaled["spec"]["replicas"] = 3
    update = {"operation": "UPDATE", "oldObject": old}
    assert decide(create(scaled, **update), Estimates()) == Decision(outcome="unknown")
    changed = deployment(containers=[engine("server", LLAMA, "-tp", "2")])
    assert decide(create(changed, **update), Estimates()).warnings != ()


@pytest.mark.parametrize("notes", [{"joulecast.dev/skip": "true"}, {"joulecast.dev/estimate": "detector"}])
def test_a_workload_that_asks_for_nothing_or_names_an_estimate_is_not_told(notes: dict[str, str]) -> None:
    workload = deployment(containers=[engine("server", LLAMA, "-tp", "2")], annotations=notes)
    found = decide(create(workload), Estimates(estimate(rows=[generation()]))).warnings
    assert all("which no estimate covers" not in text for text in found)
