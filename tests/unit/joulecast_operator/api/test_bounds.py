"""Test that texts of a hostile model are escaped and cut in a status, so that the schema accepts it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from joulecast_operator.api import bounds
from joulecast_operator.api.conditions import Waiting
from joulecast_operator.api.estimates import EstimateStatus
from joulecast_operator.estimates.outcomes import Failure
from joulecast_operator.estimates.status import EstimateState, desired_status, keeps_results
from tests.unit.joulecast_operator.samples.estimates import REQUEST, estimate, forecast, row

LONG = "\x1b]0;owned\x07 long\n" * 3_000  # 60 kB
MANY = {"topLayers": [{"name": LONG, "share": 0.05}] * 40, "intervalReasons": [LONG] * 40}
HOSTILE = forecast(
    path=LONG,
    results=tuple(row(accelerator=f"NVIDIA-{number}") | MANY for number in range(20)),
    top_layers=tuple({"name": LONG, "opType": LONG, "joules": 0.2, "share": 0.05} for _ in range(40)),
    unsupported=(LONG,) * 40,
    unavailable={"NVIDIA-H200": {"reason": "NotCalibrated", "message": LONG}},
)
STORE_BYTES = 72 * 1024  # 400 of them are 29 MB; the store itself takes 1.5 MB


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    return [text for each in value for text in texts(each)] if isinstance(value, list) else []


@pytest.mark.parametrize(
    "result",
    [
        HOSTILE,
        Failure(stage="resolve", reason="NotFound", message=LONG, transient=True, image=LONG),
        Failure(stage="profile", reason="InvalidModelFormat", message=LONG, transient=False, digest=LONG),
        Waiting(reason="Estimating", message=LONG),
    ],
)
def test_whatever_a_model_says_is_bounded_and_escaped(result: EstimateState) -> None:
    desired = desired_status(estimate(), result, request=REQUEST, now=datetime(2026, 1, 1, tzinfo=UTC))
    status = bounds.bounded_status(desired)
    assert all(text.isprintable() for text in texts(status))
    assert len(json.dumps(status, ensure_ascii=False).encode()) < STORE_BYTES
    EstimateStatus.model_validate(status)


def test_of_a_forecast_the_pure_function_alone_is_enough() -> None:
    desired = desired_status(estimate(), HOSTILE, request=REQUEST, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert len(desired["topLayers"]) == 20
    assert {(len(each["topLayers"]), len(each["intervalReasons"])) for each in desired["results"]} == {(3, 10)}
    assert len(desired["unsupportedOperators"]) == 32
    EstimateStatus.model_validate(desired)


def test_bounding_twice_changes_nothing_so_that_nothing_is_written_twice() -> None:
    once = bounds.bounded_status({"a": {"message": LONG}, "b": [LONG, 1, None, True], "c": 0.5})
    assert bounds.bounded_status(once) == once
    assert len(once["a"]["message"]) == bounds.MESSAGE_CHARACTERS
    assert once["b"][1:] == [1, None, True]


def test_numbers_of_an_image_with_an_odd_name_stand_as_others_do() -> None:
    from dataclasses import replace

    odd = replace(REQUEST, image="registry.example/odd\n" + "x" * 600)
    status = desired_status(estimate(), forecast(image=odd.image), request=odd, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert keeps_results(estimate(status=status), odd)
