"""Test what annotations of a workload choose, and which of them an estimate accepts together."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from joulecast_operator.api import annotations as notes
from joulecast_operator.api.estimates import EstimateSpec
from joulecast_operator.api.results import Result
from joulecast_operator.api.workload import Phase
from joulecast_operator.workloads import dimensions
from joulecast_operator.workloads.dimensions import DIMENSIONS, asked_workload, excluded, invalid
from tests.unit.joulecast_operator.samples.workloads import deployment, generation, row

ALL = {
    notes.PHASE: "request",
    notes.CONCURRENCY: "32",
    notes.INPUT_TOKENS: " 512 ",
    notes.OUTPUT_TOKENS: "256",
}


def test_every_dimension_is_a_field_of_results_and_every_annotation_an_input() -> None:
    fields = {field.alias for field in Result.model_fields.values()}
    assert {each.field for each in DIMENSIONS} <= fields
    assert {each.annotation for each in DIMENSIONS} - {""} <= notes.INPUT_KEYS


def test_all_that_a_generation_is_asked_by_is_written_into_its_estimate() -> None:
    asked = asked_workload(deployment(annotations=ALL))
    assert asked == {"phase": "request", "concurrency": 32, "inputTokens": 512, "outputTokens": 256}
    spec = EstimateSpec.model_validate({"model": {"uri": "hf://a/b"}, "workload": asked})
    assert (spec.workload.phase, spec.workload.concurrency) == ("request", 32)


@pytest.mark.parametrize(
    ("inputs", "asked", "left_out"),
    [
        ({notes.BATCH_SIZE: "8"}, {"batchSizes": [8]}, {}),
        ({notes.BATCH_SIZE: "8", notes.INPUT_TOKENS: "9"}, {"batchSizes": [8], "inputTokens": 9}, {}),
        (
            {notes.BATCH_SIZE: "8", notes.CONCURRENCY: "4"},
            {"concurrency": 4},
            {notes.BATCH_SIZE: notes.CONCURRENCY},
        ),
        (
            {notes.BATCH_SIZE: "8", notes.PHASE: "forward", notes.OUTPUT_TOKENS: "4"},
            {"batchSizes": [8], "phase": "forward"},
            {notes.OUTPUT_TOKENS: notes.PHASE},
        ),
        ({notes.BATCH_SIZE: "8", notes.PHASE: "decode"}, {"phase": "decode"}, {notes.BATCH_SIZE: notes.PHASE}),
        ({}, {}, {}),
    ],
)
def test_of_annotations_that_exclude_each_other_the_phase_decides(
    inputs: dict[str, str], asked: dict[str, Any], left_out: dict[str, str]
) -> None:
    workload = deployment(annotations=inputs)
    assert asked_workload(workload) == asked
    assert excluded(inputs) == left_out


@pytest.mark.parametrize("key", [notes.CONCURRENCY, notes.INPUT_TOKENS, notes.OUTPUT_TOKENS, notes.BATCH_SIZE])
@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "1e3", "99999999999", "٣"])
def test_a_count_that_is_no_whole_number_in_its_range_is_invalid(key: str, value: str) -> None:
    workload = deployment(annotations={key: value})
    found = invalid(workload)
    assert found is not None and found.annotation == key
    assert found.accepted.startswith("a whole number from 1 to ")
    assert asked_workload(workload) == {}


def test_a_phase_is_one_of_those_that_an_estimate_has() -> None:
    found = invalid(deployment(annotations={notes.PHASE: "generate"}))
    assert found is dimensions.PHASES
    assert found.accepted == "one of " + ", ".join(get_args(Phase))
    assert invalid(deployment(annotations=ALL)) is None


def test_a_result_of_an_onnx_model_is_of_one_forward_pass_on_one_card() -> None:
    assert (dimensions.PHASES.value(row()), dimensions.DEGREES.value(row())) == ("forward", "1")
    assert (dimensions.PHASES.value(generation()), dimensions.DEGREES.value(generation())) == ("request", "2")
    assert dimensions.BATCHES.value(generation()) == ""
