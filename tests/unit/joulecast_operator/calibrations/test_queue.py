"""Which calibration of one product and runtime measures next, and what the others are told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from joulecast_operator.calibrations.queue import Place, place_of, waiting, waits
from tests.unit.joulecast_operator.samples.calibrations import L40S, calibration

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLACE = Place(product=L40S, runtime="torch-eager")


def standing(name: str, phase: str = "Waiting", *, since: str | None = None, **status: Any) -> dict[str, Any]:
    told = {"phase": phase, "accelerator": L40S, "runtime": "torch-eager"} | status
    return calibration(name, status=told if since is None else told | {"waitingSince": since})


def said(found: Any) -> str:
    assert (found.phase, found.reason) == ("Waiting", "AnotherCalibration")
    return str(found.message)


def test_the_first_one_may_begin() -> None:
    assert waiting(calibration("a"), PLACE, [calibration("a")], NOW) is None


def test_one_waits_for_the_one_that_measures_and_says_since_when() -> None:
    found = waiting(calibration("a"), PLACE, [standing("b", "Measuring")], NOW)
    assert said(found) == f"waits for lab/b, which measures {L40S} under torch-eager"
    assert found is not None
    assert found.facts == {
        "waitingSince": "2026-01-02T03:04:05.000000Z", "accelerator": L40S, "runtime": "torch-eager",
    }  # fmt: skip


@pytest.mark.parametrize("phase", ["Queued", "Starting", "Measuring", "Fitting"])
def test_one_that_has_its_turn_keeps_it(phase: str) -> None:
    assert waiting(standing("a", phase), PLACE, [standing("b", "Measuring")], NOW) is None


def test_the_one_that_has_waited_longest_is_next() -> None:
    early, late = standing("late", since="2026-01-01T00:00:00Z"), standing("a", since="2026-01-01T00:00:01Z")
    assert waiting(early, PLACE, [early, late], NOW) is None
    assert "waits for lab/late, which waited before it" in said(waiting(late, PLACE, [early, late], NOW))


def test_those_before_it_are_counted_and_the_first_is_named() -> None:
    before = [standing(name, since=f"2026-01-01T00:00:0{n}Z") for n, name in enumerate(("x", "y"))]
    own = standing("a", since="2026-01-01T00:00:09Z")
    found = waiting(own, PLACE, [*reversed(before), standing("b", "Fitting")], NOW)
    assert said(found).endswith("; 2 more before it, first lab/x")


def test_names_decide_between_those_that_wait_equally_long() -> None:
    one, two = (standing(name, since="2026-01-01T00:00:00Z") for name in ("a", "b"))
    assert waiting(one, PLACE, [two], NOW) is None
    assert waiting(two, PLACE, [one], NOW) is not None


def test_another_product_or_runtime_is_another_queue() -> None:
    others = [standing("b", "Measuring", runtime="torch-cudagraph"), standing("c", "Measuring", accelerator="other")]
    assert waiting(calibration("a"), PLACE, others, NOW) is None


def test_a_change_of_accelerator_goes_to_the_end_of_the_new_queue() -> None:
    moved = standing("a", since="2026-01-01T00:00:00Z", accelerator="another")
    first = standing("b", since="2026-01-01T00:00:01Z")
    found = waiting(moved, PLACE, [first], NOW)
    assert found is not None
    assert found.facts["waitingSince"] == "2026-01-02T03:04:05.000000Z"


def test_one_that_is_being_deleted_counts_only_while_it_measures() -> None:
    going = standing("b", since="2026-01-01T00:00:00Z")
    going["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    assert waiting(calibration("a"), PLACE, [going], NOW) is None
    going["status"]["phase"] = "Measuring"
    assert waiting(calibration("a"), PLACE, [going], NOW) is not None


def test_a_place_is_read_from_the_status() -> None:
    assert place_of(standing("a")) == PLACE
    assert place_of(calibration("a")) == Place(product="", runtime="")
    assert (waits(standing("a", since="x")), waits(standing("a"))) == (True, False)
