"""Test that each change is one line of the log, and that failures are counted."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from joulecast_operator.api.bounds import MESSAGE_CHARACTERS
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.kinds import STATEFUL_SETS
from joulecast_operator.calibrations.status import PhaseUpdate
from joulecast_operator.controllers.outcome_log import OutcomeLog
from joulecast_operator.estimates.outcomes import Failure
from joulecast_operator.logs import JsonFormatter
from tests.unit.joulecast_operator.samples.estimates import estimate, forecast
from tests.unit.joulecast_operator.samples.plans import plan, planned

AWAY = Failure(stage="resolve", reason="RegistryUnavailable", message="nobody answers", transient=True)
ODD = Wrong(reason="InvalidSpec", message="a\nforged\x1b[2J line" + "x" * 10_000)


class World:
    """An outcome log, what it counts and the lines that it writes."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        self._caplog = caplog
        self.counted: list[tuple[str, str]] = []
        self.outcome_log = OutcomeLog(lambda kind, reason: self.counted.append((kind, reason)))

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(JsonFormatter().format(record)) for record in self._caplog.records]

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture) -> World:
    return World(caplog)


def test_a_forecast_says_where_and_how_long(world: World) -> None:
    world.outcome_log.estimate(estimate(), forecast(), written=True, seconds=1.23456)
    world.outcome_log.estimate(estimate(), forecast(), written=False, seconds=1.0)
    (line,) = world.lines
    said = {key: line[key] for key in ("event", "kind", "namespace", "object", "seconds", "results", "level")}
    assert said == {
        "event": "EstimateReady",
        "kind": "InferenceEnergyEstimate",
        "namespace": "shop",
        "object": "detector",
        "seconds": 1.235,
        "results": 1,
        "level": "info",
    }


def test_a_failure_has_one_line_and_a_count_each_time(world: World) -> None:
    world.outcome_log.estimate(estimate(), AWAY, written=True, seconds=2.0)
    world.outcome_log.estimate(estimate(), AWAY, written=False, seconds=2.0)
    world.outcome_log.estimate(estimate(), Waiting(reason="Estimating", message="soon"), written=True)
    assert world.events == ["EstimateFailed"]
    assert (world.lines[0]["reason"], world.lines[0]["detail"]) == ("RegistryUnavailable", "nobody answers")
    assert world.counted == [("InferenceEnergyEstimate", "RegistryUnavailable")] * 2


def test_what_strangers_wrote_is_bounded_and_escaped(world: World) -> None:
    world.outcome_log.estimate(estimate(), ODD, written=True)
    detail = world.lines[0]["detail"]
    assert detail.startswith("a\\nforged\\x1b[2J line")
    assert len(detail) <= MESSAGE_CHARACTERS


def test_a_profile_taken_refused_and_superseded(world: World) -> None:
    profile = {"metadata": {"name": "h200"}}
    refused = Wrong(reason="InvalidProfile", message="law.byte_joules is NaN")
    for result in ({"origin": "measured"}, refused, Wrong(reason="Superseded", message="another one")):
        world.outcome_log.profile(profile, result, written=True)
    world.outcome_log.profile(profile, refused, written=False)
    assert world.events == ["ProfileTaken", "ProfileRefused", "ProfileSuperseded"]
    assert world.counted == [("AcceleratorEnergyProfile", "InvalidProfile")]


def test_a_calibrations_start_and_end(world: World) -> None:
    before: dict[str, Any] = {"metadata": {"name": "l40s", "namespace": "lab"}}
    steps = (
        ("Starting", "Starting"), ("Measuring", "Measuring"), ("Measuring", "Measuring"), ("Failed", "RunFailed"),
        ("Starting", "Starting"), ("Done", "Better"),
    )  # fmt: skip
    for phase, reason in steps:
        world.outcome_log.calibration(before, PhaseUpdate(phase=phase, reason=reason, message="m"), written=True)  # type: ignore[arg-type]
        before = before | {"status": {"phase": phase}}
    assert world.events == ["CalibrationBegan", "CalibrationFailed", "CalibrationBegan", "CalibrationEnded"]
    assert world.counted == [("EnergyCalibration", "RunFailed")]


def test_an_annotation_is_a_matter_for_debugging(world: World) -> None:
    web = {"metadata": {"name": "web", "namespace": "shop"}}
    world.outcome_log.annotated(STATEFUL_SETS, web, {"a": "1", "b": None})
    (line,) = world.lines
    assert (line["event"], line["level"], line["changes"]) == ("Annotated", "debug", 2)
    assert line["kind"] == "StatefulSet"


def test_a_plan_says_that_it_is_ready_or_why_it_failed_and_counts_failures(world: World) -> None:
    world.outcome_log.plan(plan(), planned(), written=True, seconds=0.5)
    world.outcome_log.plan(plan(), AWAY, written=True)
    world.outcome_log.plan(plan(), AWAY, written=False)
    assert world.events == ["PlanReady", "PlanFailed"]
    assert world.lines[0]["candidates"] == 2
    assert world.counted == [("EnergyPlan", "RegistryUnavailable")] * 2
