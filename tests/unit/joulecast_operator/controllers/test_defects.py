"""Test that a defect of joulecast's is said in the last condition of the object on which it happened."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from joulecast_operator.api.kinds import ANNOTATED, CALIBRATIONS, ESTIMATES, PLANS, PROFILES, SITES, Kind
from joulecast_operator.api.objects import Key
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.controllers.defects import say_defect

OBJECT: dict[str, Any] = {
    "metadata": {"name": "one", "generation": 3},
    "status": {"results": [1], "conditions": [{"type": "Ready", "status": "True", "reason": "AsForecast"}]},
}


class Written:
    """A writer that keeps statuses, or refuses them."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.statuses: list[tuple[Kind, dict[str, Any]]] = []
        self.refuses = refuses

    async def status(self, kind: Kind, _: Any, desired: dict[str, Any], *, warning: bool) -> None:
        assert warning
        if self.refuses:
            raise ApiError(503, "", "away")
        self.statuses.append((kind, desired))


def said(kind: Kind, resource: dict[str, Any] | None, *, refuses: bool = False) -> Written:
    writer = Written(refuses=refuses)
    key = Key(kind=kind.kind, namespace="shop", name="one")
    asyncio.run(say_defect(key, resource, KeyError("injected"), writer))  # type: ignore[arg-type]
    return writer


@pytest.mark.parametrize(
    ("kind", "condition"),
    [(ESTIMATES, "Ready"), (PLANS, "Ready"), (PROFILES, "Usable"), (SITES, "Ready"), (CALIBRATIONS, "Calibrated")],
)
def test_the_last_condition_is_unknown_and_the_rest_of_the_status_stays(kind: Kind, condition: str) -> None:
    ((written, status),) = said(kind, OBJECT).statuses
    last = status["conditions"][-1]
    assert (written, status["results"]) == (kind, [1])
    assert (last["type"], last["status"], last["observedGeneration"]) == (condition, "Unknown", 3)
    assert "report it with the traceback" in last["message"]


def test_nothing_is_written_to_what_is_gone_or_has_no_such_status() -> None:
    assert said(ESTIMATES, None).statuses == []
    assert said(ANNOTATED["Deployment"], OBJECT).statuses == []


def test_a_refused_write_is_logged_with_its_object(caplog: pytest.LogCaptureFixture) -> None:
    said(ESTIMATES, OBJECT, refuses=True)
    assert "a defect cannot be written" in caplog.text
