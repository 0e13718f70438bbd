"""Test the warnings about annotations that have no effect, which suggest what was meant."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.annotations import ACCELERATOR, FOR_ACCELERATOR, INPUT_KEYS, OUTPUT_KEYS
from joulecast_operator.api.kinds import ANNOTATED
from joulecast_operator.workloads import ineffective
from tests.unit.joulecast_operator.samples.workloads import deployment, workload


def said(kind: str = "Deployment", *, template: dict[str, str] | None = None, **annotations: str) -> tuple[str, ...]:
    keys = {f"joulecast.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    workload = deployment(annotations=keys)
    workload["spec"]["template"]["metadata"] = {"annotations": template or {}}
    return ineffective.warnings(kind, workload, {})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("modle", "model"),
        ("Model", "model"),
        ("batchsize", "batch-size"),
        ("batch_sizes", "batch-size"),
        ("estimates", "estimate"),
        ("runtimes", "runtime"),
        ("accelerators", "for-accelerator"),
    ],
)
def test_a_misspelt_key_is_told_with_the_nearest(written: str, meant: str) -> None:
    workload = deployment(annotations={f"joulecast.dev/{written}": "x"})
    expected = f"unknown annotation joulecast.dev/{written}: did you mean joulecast.dev/{meant}?"
    assert ineffective.warnings("Deployment", workload, {}) == (expected,)


def test_a_key_that_is_near_to_none_is_told_with_all() -> None:
    (text,) = ineffective.warnings("Deployment", deployment(annotations={"joulecast.dev/zzzzzzzz": "x"}), {})
    assert all(key in text for key in INPUT_KEYS)


def test_known_and_foreign_keys_are_no_matter() -> None:
    known = dict.fromkeys(INPUT_KEYS | OUTPUT_KEYS, "x") | {"joulecast.development/modle": "x", "team": "x"}
    assert ineffective.warnings("Deployment", deployment(annotations=known), {}) == ()
    assert ineffective.warnings("Deployment", deployment(), {}) == ()


def test_thousands_of_keys_cost_a_few_sentences() -> None:
    many = {f"joulecast.dev/k{number}": "x" for number in range(3000)}
    texts = ineffective.warnings("Deployment", deployment(annotations=many), {})
    assert len(texts) == 5
    assert texts[-1] == "2996 more annotations under joulecast.dev/ have no effect either"


def test_a_misspelt_input_of_a_generation_is_told_with_its_name() -> None:
    (text,) = said(input_token="512")
    assert text == "unknown annotation joulecast.dev/input-token: did you mean joulecast.dev/input-tokens?"
    assert said(concurrency="32", input_tokens="512", output_tokens="256", phase="request", container="server") == ()


def test_inputs_that_exclude_each_other_are_told() -> None:
    (text,) = said(batch_size="8", concurrency="32")
    assert text.startswith("joulecast.dev/batch-size has no effect beside joulecast.dev/concurrency: batch sizes are")


def test_what_stands_on_the_pod_template_belongs_on_the_deployment() -> None:
    (text,) = said(template={"joulecast.dev/model": "r/m:1", "team": "a"})
    assert "joulecast.dev/model has no effect on the pod template" in text


def test_an_output_that_reads_like_a_question_is_told_once_at_creation() -> None:
    (text,) = said(accelerator="NVIDIA-L40S")
    assert FOR_ACCELERATOR in text
    workload = deployment(annotations={ACCELERATOR: "NVIDIA-L40S"})
    assert ineffective.warnings("Deployment", workload, workload) == ()
    assert said(accelerator="NVIDIA-L40S", for_accelerator="NVIDIA-L40S") == ()


@pytest.mark.parametrize("kind", ["Pod", "ReplicaSet"])
def test_kinds_that_are_not_covered_are_told(kind: str) -> None:
    (text,) = said(kind, model="r/m:1", batch_size="8")
    assert f"joulecast.dev/batch-size, joulecast.dev/model have no effect on a {kind}, because" in text
    assert said(kind) == ()


@pytest.mark.parametrize("kind", tuple(ANNOTATED))
def test_kinds_that_are_covered_are_told_of_their_templates(kind: str) -> None:
    annotated = workload(kind, annotations={"joulecast.dev/model": "r/m:1"})
    assert ineffective.warnings(kind, annotated, {}) == ()
    holder = annotated["spec"]["jobTemplate" if kind == "CronJob" else "template"]
    holder["metadata"] = {"annotations": {"joulecast.dev/model": "r/m:1"}}
    (text,) = ineffective.warnings(kind, annotated, {})
    assert text.endswith(f"no effect on the pod template: write it into the {kind}'s own metadata.annotations")


@pytest.mark.parametrize("kind", ["InferenceEnergyEstimate", "EnergyPlan", "EnergyCalibration"])
def test_our_own_kinds_read_one_key(kind: str) -> None:
    (text,) = said(kind, refresh="now", batch_size="8")
    assert "joulecast.dev/batch-size has no effect on an " + kind in text


def test_of_what_a_controller_owns_nothing_is_said() -> None:
    workload: dict[str, Any] = deployment(annotations={"joulecast.dev/model": "x"})
    workload["metadata"]["ownerReferences"] = [{"kind": "Job", "controller": True}]
    assert ineffective.warnings("Pod", workload, {}) == ()


def test_an_annotation_on_a_custom_kind_needs_an_estimate_that_targets_it() -> None:
    service = {"metadata": {"annotations": {"joulecast.dev/model": "hf://org/name"}}}
    (said,) = ineffective.warnings("InferenceService", service, {})
    assert said.startswith("joulecast.dev/model has no effect on an InferenceService by itself, which joulecast never")
    assert "apply an InferenceEnergyEstimate whose spec.targetRef names it" in said
