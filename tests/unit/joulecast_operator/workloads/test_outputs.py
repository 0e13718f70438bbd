from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast_operator.api import annotations as notes
from joulecast_operator.workloads.outputs import admitted, merge, outputs_of, outputs_without_numbers
from tests.unit.joulecast_operator.samples.workloads import H200, estimate, generation, row

TEXTS = st.sampled_from(["", "1", "2", "NVIDIA-H200", "Ready"])
OUTPUTS = st.dictionaries(st.sampled_from(sorted(notes.OUTPUT_KEYS)), TEXTS)
FOREIGN = st.dictionaries(st.sampled_from(["a", "joulecast.dev/model", "kubectl.kubernetes.io/x"]), TEXTS)


def apply(current: dict[str, str], changes: notes.Changes) -> dict[str, str]:
    merged = {**current, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def first_outputs_of(found: dict[str, Any]) -> notes.Outputs:
    return outputs_of(found, found["status"]["results"][0])


OF_GENERATION = {
    notes.JOULES_PER_REQUEST: "3.1",
    notes.JOULES_PER_REQUEST_LOWER: "2.6",
    notes.JOULES_PER_REQUEST_UPPER: "3.7",
    notes.JOULES_PER_OUTPUT_TOKEN: "0.012",
    notes.JOULES_PER_OUTPUT_TOKEN_LOWER: "0.01",
    notes.JOULES_PER_OUTPUT_TOKEN_UPPER: "0.014",
    notes.ESTIMATED_PHASE: "request",
    notes.ESTIMATED_CONCURRENCY: "32",
    notes.ESTIMATED_INPUT_TOKENS: "512",
    notes.ESTIMATED_OUTPUT_TOKENS: "256",
    notes.ESTIMATED_TENSOR_PARALLEL: "2",
}
CAPS = {notes.ESTIMATED_POWER_LIMIT: "200", notes.ESTIMATED_CLOCK: "900"}
OF_BATCHES = {notes.JOULES, notes.JOULES_LOWER, notes.JOULES_UPPER, notes.ESTIMATED_BATCH_SIZE}


def test_a_ready_estimate_gives_every_output_but_a_reason() -> None:
    outputs = first_outputs_of(estimate())
    assert set(outputs) == notes.OUTPUT_KEYS - {notes.REASON} - set(OF_GENERATION) - set(CAPS)
    assert outputs[notes.JOULES] == "0.421"
    assert (outputs[notes.JOULES_LOWER], outputs[notes.JOULES_UPPER]) == ("0.392", "0.463")
    assert outputs[notes.ACCELERATOR] == H200
    assert outputs[notes.STATE] == "Ready"
    assert outputs[notes.ESTIMATED_AT] == "2026-01-02T03:04:05Z"
    assert (outputs[notes.ESTIMATED_BY], outputs[notes.ESTIMATED_BATCH_SIZE]) == ("detector", "32")
    assert (outputs[notes.ESTIMATED_PRECISION], outputs[notes.ESTIMATED_RUNTIME]) == ("default", "torch-eager")


def test_the_caps_of_a_result_are_written() -> None:
    found = estimate()
    found["status"]["results"][0] |= {"powerLimitWatts": 200, "clockMHz": 900}
    assert CAPS.items() <= first_outputs_of(found).items()


def test_a_generation_gives_joules_per_request_and_token_and_what_runs_at_once() -> None:
    outputs = first_outputs_of(estimate(rows=[generation()]))
    assert set(outputs) == notes.OUTPUT_KEYS - {notes.REASON} - OF_BATCHES - set(CAPS)
    assert {key: outputs[key] for key in OF_GENERATION} == OF_GENERATION
    assert (outputs[notes.ESTIMATED_RUNTIME], outputs[notes.ESTIMATED_PRECISION]) == ("vllm", "bf16")


def test_a_phase_gives_the_joules_that_it_has() -> None:
    prefill = first_outputs_of(estimate(rows=[generation(phase="prefill", joulesPerOutputToken=0.0)]))
    assert (notes.JOULES_PER_REQUEST in prefill, notes.JOULES_PER_OUTPUT_TOKEN in prefill) == (True, False)
    decode = first_outputs_of(estimate(rows=[generation(phase="decode", joulesPerInputToken=0.0)]))
    assert (notes.JOULES_PER_REQUEST in decode, notes.JOULES_PER_OUTPUT_TOKEN in decode) == (False, True)


def test_almost_all_covered_does_not_read_as_everything() -> None:
    assert first_outputs_of(estimate(rows=[row(coverage=0.99996)]))[notes.COVERAGE] == "0.999"


def test_without_numbers_there_is_a_state_a_reason_and_a_name() -> None:
    assert outputs_without_numbers(estimate(), "Failed", "NotFound") == {
        notes.STATE: "Failed",
        notes.REASON: "NotFound",
        notes.ESTIMATED_BY: "detector",
    }
    assert outputs_without_numbers(None, "Pending", None) == {notes.STATE: "Pending"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "0.4", True])
def test_a_value_that_is_no_finite_number_is_left_out(value: object) -> None:
    assert notes.JOULES not in first_outputs_of(estimate(rows=[row() | {"joulesPerBatch": value}]))


def test_merge_writes_nothing_where_three_digits_agree() -> None:
    current = first_outputs_of(estimate(rows=[row(joules=0.42123)]))
    later = estimate(rows=[row(joules=0.42124)])
    later["status"]["estimatedAt"] = "2027-01-01T00:00:00Z"
    assert merge(current, first_outputs_of(later)) == {}


def test_merge_moves_the_time_with_another_output() -> None:
    current = first_outputs_of(estimate())
    later = estimate(rows=[row(joules=0.5)])
    later["status"]["estimatedAt"] = "2027-01-01T00:00:00Z"
    changes = merge(current, first_outputs_of(later))
    assert changes[notes.ESTIMATED_AT] == "2027-01-01T00:00:00Z"
    assert notes.ORIGIN not in changes


def test_merge_removes_what_is_no_longer_said() -> None:
    current = first_outputs_of(estimate())
    changes = merge(current, {notes.STATE: "Failed"})
    assert changes[notes.JOULES] is None
    assert apply(current, changes) == {notes.STATE: "Failed"}


@given(OUTPUTS, OUTPUTS, FOREIGN)
def test_merge_reaches_the_desired_outputs_or_changes_only_the_time(
    current: dict[str, str], desired: dict[str, str], foreign: dict[str, str]
) -> None:
    changes = merge(current | foreign, desired)
    assert set(changes) <= notes.OUTPUT_KEYS
    reached = apply(current, changes)
    assert {k: v for k, v in reached.items() if k != notes.ESTIMATED_AT} == {
        k: v for k, v in desired.items() if k != notes.ESTIMATED_AT
    }
    if changes:
        assert reached == desired


@given(OUTPUTS, OUTPUTS, OUTPUTS, FOREIGN)
def test_a_forged_output_never_passes_admission(
    old: dict[str, str], new: dict[str, str], desired: dict[str, str], foreign: dict[str, str]
) -> None:
    changes = admitted(old=old | foreign, new=new | foreign, desired=desired)
    assert set(changes) <= notes.OUTPUT_KEYS
    assert notes.outputs(apply(new, changes)) in (old, desired)


def test_what_stands_gives_way_only_to_a_later_estimate() -> None:
    stands = first_outputs_of(estimate(rows=[row(joules=0.5)]))
    other = first_outputs_of(estimate(rows=[row(joules=0.7)]))
    assert admitted(old=stands, new=stands, desired=other) == {}
    later = other | {notes.ESTIMATED_AT: "2026-01-02T03:04:06Z"}
    assert apply(stands, admitted(old=stands, new=stands, desired=later)) == later


def test_a_later_estimate_that_says_the_same_keeps_the_time() -> None:
    stands = first_outputs_of(estimate())
    later = stands | {notes.ESTIMATED_AT: "2027-01-02T03:04:06Z"}
    assert admitted(old=stands, new=stands, desired=later) == {}


def test_pending_gives_way_to_any_forecast() -> None:
    stands, forecast = {notes.STATE: "Pending"}, first_outputs_of(estimate())
    assert apply(stands, admitted(old=stands, new=stands, desired=forecast)) == forecast
