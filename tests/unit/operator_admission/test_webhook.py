from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from joulecast_operator.webhook import Admission
from joulecast_operator.webhook_decision import Decision, decide
from tests.unit.operator_admission.resources import IMAGE, Estimates, deployment, estimate


class Observed:
    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def observe(self, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.outcomes.append(outcome)


def review(decide_request: Any, body: Any) -> tuple[dict[str, Any], list[str]]:
    observed = Observed()
    answer = asyncio.run(Admission(decide_request, observed).review(body, webhook="", sslpeer={}, headers={}))
    json.dumps(answer)
    return answer["response"], observed.outcomes


def test_a_review_is_answered_with_a_patch_and_warnings() -> None:
    request = {"uid": "42", "operation": "CREATE", "namespace": "shop", "object": deployment(image=IMAGE)}
    index = Estimates(estimate())
    response, outcomes = review(lambda asked: decide(asked, index), {"request": request})
    assert (response["uid"], response["allowed"], response["patchType"]) == ("42", True, "JSONPatch")
    assert json.loads(base64.b64decode(response["patch"]))[0]["path"] == "/metadata/annotations"
    assert len(response["warnings"]) == 1
    assert outcomes == ["annotated"]


def test_nothing_to_do_is_a_bare_allowance() -> None:
    response, outcomes = review(lambda _: Decision(outcome="unknown"), {"request": {"uid": "42"}})
    assert response == {"uid": "42", "allowed": True}
    assert outcomes == ["unknown"]


@pytest.mark.parametrize("error", [KeyError("bug"), RecursionError(), MemoryError(), AssertionError()])
def test_any_failure_of_ours_allows_unpatched_and_is_counted(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Any) -> Decision:
        raise error

    response, outcomes = review(broken, {"request": {"uid": "42"}})
    assert response == {"uid": "42", "allowed": True}
    assert outcomes == ["error"]
    assert "allowed without annotations" in caplog.text


@pytest.mark.parametrize("body", [None, [], "x", 1, {}, {"request": None}, {"request": []}, {"request": {"uid": None}}])
def test_a_malformed_review_is_allowed(body: Any) -> None:
    response, _ = review(lambda asked: decide(asked, Estimates()), body)
    assert response == {"uid": "", "allowed": True}
