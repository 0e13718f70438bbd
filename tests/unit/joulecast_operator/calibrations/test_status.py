"""When a calibration runs next, and what its status says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from joulecast_operator.api.calibrations import CalibrationSpec
from joulecast_operator.api.conditions import condition
from joulecast_operator.calibrations.jobs import asked, placed
from joulecast_operator.calibrations.results import RunSummary
from joulecast_operator.calibrations.status import State, desired_status, facts_of, is_open, next_run, quality_of
from tests.unit.joulecast_operator.samples.calibrations import L40S, calibration, summary

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SPEC = CalibrationSpec(accelerator=L40S)
NIGHTLY = CalibrationSpec(accelerator=L40S, schedule="0 2 * * *")
WORSE = {"better": False, "againstMedianError": 0.08, "heldOut": {"medianError": 0.0412}}
DONE = {"specHash": asked(SPEC), "placementHash": placed(SPEC), "phase": "Done"}


def due(spec: CalibrationSpec, status: dict[str, Any] | None = None, **notes: str) -> datetime | None:
    annotations = {f"joulecast.dev/{name}": value for name, value in notes.items()}
    return next_run(calibration(status=status, notes=annotations), spec, NOW)


def desired(state: State, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return desired_status(calibration(status=status, **spec), state, now=NOW)


def said(status: dict[str, Any], kind: str) -> tuple[str, str]:
    found = condition(status, kind)
    assert found is not None
    return found["status"], found["reason"]


def test_without_a_schedule_it_runs_once_for_each_thing_that_is_asked() -> None:
    assert due(SPEC) == NOW
    assert due(SPEC, DONE) is None
    assert due(CalibrationSpec(accelerator=L40S, precision="tf32"), DONE) == NOW


def test_a_new_value_of_the_refresh_annotation_runs_it_at_once() -> None:
    assert due(SPEC, DONE, refresh="again") == NOW
    assert due(SPEC, DONE | {"refresh": "again"}, refresh="again") is None


def test_a_failed_run_is_repeated_when_its_pod_would_be_placed_otherwise() -> None:
    elsewhere = CalibrationSpec(accelerator=L40S, queueName="other")
    assert due(SPEC, DONE | {"failed": True}) is None
    assert due(elsewhere, DONE | {"failed": True}) == NOW
    assert due(elsewhere, DONE) is None


def test_a_schedule_counts_from_creation_then_from_the_stored_time() -> None:
    assert due(NIGHTLY) == datetime(2026, 1, 1, 2, tzinfo=UTC)
    stored = DONE | {"schedule": NIGHTLY.schedule, "nextRunAt": "2026-01-05T02:00:00Z"}
    assert due(NIGHTLY, stored) == datetime(2026, 1, 5, 2, tzinfo=UTC)


def test_a_new_schedule_makes_up_for_nothing() -> None:
    assert due(NIGHTLY, DONE | {"schedule": "0 1 * * *", "nextRunAt": "2026-01-01T01:00:00Z"}) == datetime(
        2026, 1, 3, 2, tzinfo=UTC
    )


def test_a_malformed_schedule_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="every"):
        due(CalibrationSpec(accelerator=L40S, schedule="every night"))


def test_a_run_is_open_until_it_ends_or_something_else_is_asked() -> None:
    running = {"run": 1, "specHash": asked(SPEC)}
    assert is_open(calibration(status=running), SPEC)
    assert not is_open(calibration(status=running | {"finishedAt": "2026-01-01T00:00:00Z"}), SPEC)
    assert not is_open(calibration(status=running), CalibrationSpec(accelerator=L40S, quick=True))
    assert not is_open(calibration(), SPEC)


@pytest.mark.parametrize(
    ("phase", "accepted", "calibrated"),
    [
        ("Done", ("True", "Accepted"), ("True", "Why")),
        ("Failed", ("True", "Accepted"), ("False", "Why")),
        ("Refused", ("False", "Why"), ("False", "Why")),
        ("Measuring", ("True", "Accepted"), ("Unknown", "Why")),
    ],
)
def test_conditions_follow_the_phase(phase: Any, accepted: tuple[str, str], calibrated: tuple[str, str]) -> None:
    found = desired(State(phase=phase, reason="Why", message="because"))
    assert (said(found, "Accepted"), said(found, "Calibrated")) == (accepted, calibrated)


def test_while_it_runs_again_calibrated_stays_as_the_run_before_left_it() -> None:
    before = desired(State(phase="Done", reason="Better", message="in use"))
    found = desired(State(phase="Measuring", reason="Measuring", message="row 3"), before)
    assert said(found, "Calibrated") == ("True", "Measuring")


def test_facts_replace_fields_and_none_takes_one_away() -> None:
    state = State(phase="Starting", reason="Starting", message="", facts={"run": 2, "finishedAt": None})
    found = desired(state, {"run": 1, "rows": 5, "finishedAt": "2026-01-01T00:00:00Z", "waitingSince": "x"})
    assert (found["run"], found["rows"]) == (2, 5)
    assert not {"finishedAt", "waitingSince"} & found.keys()


@pytest.mark.parametrize(
    ("quality", "profile", "shown"),
    [
        ({}, {}, ""),
        ({"better": True}, {"taken": True}, "yes, in use"),
        ({"better": True}, {"taken": False}, "yes, not in use"),
        ({"better": False}, {}, "no"),
        (
            {"better": False, "againstMedianError": 0.08, "heldOut": {"medianError": 0.0412}},
            {},
            "no, 4.12 % against 8 %",
        ),
    ],
)
def test_the_column_says_whether_the_profile_is_better(
    quality: dict[str, Any], profile: dict[str, Any], shown: str
) -> None:
    facts = {"quality": quality, "profile": profile}
    assert desired(State(phase="Done", reason="Why", message="", facts=facts))["summary"]["better"] == shown


def test_the_columns_are_text_also_before_anything_is_measured() -> None:
    state = State(phase="Measuring", reason="Measuring", message="")
    empty = dict.fromkeys(("accelerator", "progress", "rows", "error", "better"), "")
    assert desired(state)["summary"] == empty
    measured = {"accelerator": L40S, "progress": 0.0, "rows": 0, "quality": {"heldOut": {"medianError": 0.0412}}}
    assert desired(state, measured)["summary"] == {
        "accelerator": L40S, "progress": "0 %", "rows": "0", "error": "4.12 %", "better": "",
    }  # fmt: skip


def test_facts_and_quality_are_those_of_the_summary_without_what_is_unknown() -> None:
    found = RunSummary.model_validate(summary(progress=0.12345))
    assert facts_of(found) == {"progress": 0.12, "rows": 612, "networks": 300, "layers": 312}
    quality = quality_of(found)
    assert quality["heldOut"]["medianError"] == 0.041
    assert (quality["againstMedianError"], quality["better"]) == (0.08, True)
    bare = RunSummary.model_validate(summary(held_out=None, against=None, better=None, verdict=[]))
    assert quality_of(bare) == {"simulated": False}
