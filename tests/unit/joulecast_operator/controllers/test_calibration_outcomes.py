"""What is decided at the end of a run, and again later."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from joulecast_operator.calibrations.status import State
from joulecast_operator.controllers.calibration_outcomes import CalibrationOutcomes
from joulecast_operator.index.index import Index
from tests.unit.joulecast_operator.controllers.test_calibrations import NAME, Cluster, Forecasts, Profiles
from tests.unit.joulecast_operator.samples.calibrations import L40S, PROFILE_TEXT, calibration, config_map

DIGEST = "sha256:" + hashlib.sha256(PROFILE_TEXT.encode()).hexdigest()
RUNNING = {"run": 1, "phase": "Fitting", "accelerator": L40S, "runtime": "torch-eager"}
FAILED_JOB = {"status": {"conditions": [{"type": "Failed", "message": "BackoffLimitExceeded"}]}}


class World:
    """Outcomes over an empty cluster in which a test puts a profile in use."""

    def __init__(self) -> None:
        self.profiles = Profiles()
        self.outcomes = CalibrationOutcomes(
            index=Index(),
            cluster=Cluster(),  # type: ignore[arg-type]
            forecasts=Forecasts(),  # type: ignore[arg-type]
            profiles=self.profiles,  # type: ignore[arg-type]
        )

    def failed(self, result: dict[str, Any], *pods: dict[str, Any]) -> State:
        return self.outcomes.failed(calibration(status=RUNNING), FAILED_JOB, result, pods)


def ended(*, taken: bool = True, phase: str = "Done", reason: str = "Better") -> dict[str, Any]:
    condition = {"type": "Calibrated", "status": "True", "reason": reason}
    profile = {"name": NAME, "digest": DIGEST, "taken": taken}
    return calibration(status=RUNNING | {"phase": phase, "profile": profile, "conditions": [condition]})


def test_a_profile_in_use_stays_as_it_was_judged() -> None:
    world = World()
    world.profiles.use(digest=DIGEST)
    assert world.outcomes.outlived(ended()) is None


@pytest.mark.parametrize(
    ("name", "says"), [("another", "AcceleratorEnergyProfile another took its place"), (None, "it was deleted")]
)
def test_a_profile_that_was_replaced_or_deleted_is_told_and_not_restored(name: str | None, says: str) -> None:
    world = World()
    if name is not None:
        world.profiles.use(digest="sha256:new", name=name)
    found = world.outcomes.outlived(ended())
    assert found is not None
    assert (found.phase, found.reason) == ("Done", "NotInUse")
    assert f"was in use until {says}; a new value of the refresh annotation" in found.message
    assert found.facts == {"profile": {"name": NAME, "digest": DIGEST, "taken": False}}


def test_only_a_profile_that_was_taken_can_be_outlived() -> None:
    outcomes = World().outcomes
    assert outcomes.outlived(ended(taken=False)) is None
    assert outcomes.outlived(ended(phase="Measuring")) is None


@pytest.mark.parametrize(
    ("reason", "is_open"),
    [("ProfileOfOthers", True), ("SimulatedProfile", True), ("NotBetter", False), ("NotInUse", False)],
)
def test_what_somebody_may_change_without_a_run_is_judged_again(reason: str, is_open: bool) -> None:
    assert World().outcomes.is_open(ended(reason=reason)) is is_open


def test_a_profile_that_came_back_into_use_is_judged_again() -> None:
    world = World()
    world.profiles.use(digest=DIGEST)
    assert world.outcomes.is_open(ended(reason="NotInUse"))


def test_a_failed_run_says_what_it_wrote_itself() -> None:
    found = World().failed(config_map(profile=None, phase="failed", message="the card was lost"))
    assert (found.phase, found.reason) == ("Failed", "RunFailed")
    assert found.message == "the card was lost; a new value of the refresh annotation runs it again"
    assert (found.facts["failed"], found.facts["rows"]) == (True, 612)


def test_a_run_that_wrote_nothing_has_the_jobs_message() -> None:
    found = World().failed({})
    assert found.message.startswith("BackoffLimitExceeded; a new value")
    assert "rows" not in found.facts


def test_a_summary_of_an_earlier_run_is_not_taken_for_this_one() -> None:
    found = World().failed(config_map(run=7, profile=None, phase="failed", message="of long ago"))
    assert found.message.startswith("BackoffLimitExceeded")


def test_a_container_that_ended_is_named_before_the_jobs_message() -> None:
    terminated = {"exitCode": 137, "reason": "OOMKilled"}
    pod = {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {
            "phase": "Failed",
            "containerStatuses": [{"name": "calibrate", "state": {"terminated": terminated}}],
        },
    }
    found = World().failed({}, pod)
    assert "OOMKilled" in found.message
    assert ": BackoffLimitExceeded; " in found.message
