from __future__ import annotations

from joulecast_operator.api.conditions import event_of, status_patch
from tests.unit.joulecast_operator.estimates.test_status import BROKEN, status
from tests.unit.joulecast_operator.samples.estimates import forecast, row


def test_a_patch_removes_what_is_no_longer_there() -> None:
    assert status_patch({"a": 1, "b": 2}, {"a": 1, "c": 3}) == {"b": None, "c": 3}


def test_an_event_only_when_the_reason_changes() -> None:
    first = event_of(None, status(forecast()))
    assert first is not None
    assert (first.kind, first.reason) == ("Normal", "Estimated")
    assert event_of(status(forecast()), status(forecast(results=(row(9.0),)))) is None
    broken = event_of(status(forecast()), status(BROKEN))
    assert broken is not None
    assert (broken.kind, broken.reason) == ("Warning", "InvalidModelFormat")


def test_a_field_that_is_no_longer_inside_another_goes_too() -> None:
    before = {"target": {"kind": "Job", "accelerators": {"products": ["a", "b"], "range": "1–2 J"}}, "image": "i"}
    desired = {"target": {"kind": "Job", "accelerators": {"products": ["a"]}}, "image": "i"}
    patch = status_patch(before, desired)
    assert patch == {"target": {"kind": "Job", "accelerators": {"products": ["a"], "range": None}}}
