"""Test what the trial of `helm test` asks for, and what it says if there is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from joulecast_operator import trial
from joulecast_operator.api.estimates import EstimateSpec
from joulecast_operator.cluster.client import ApiError, Cluster
from joulecast_operator.settings import Settings, load

CONFIGURATION = "/api/v1/namespaces/energy/configmaps/joulecast-trial"
PATH = "/apis/joulecast.dev/v1alpha1/namespaces/energy/inferenceenergyestimates"
SUMMARY = {"accelerator": "NVIDIA-H100-80GB-HBM3", "joules": "12.3 J/request", "interval": "10–15 J"}


class Server:
    """An API server that answers each look at the estimate with the next of ``statuses``, the last one for ever."""

    def __init__(self, *statuses: dict[str, Any]) -> None:
        self.statuses = list(statuses)
        about = {"name": "joulecast-trial", "namespace": "energy", "uid": "u"}
        self.objects: dict[str, Mapping[str, Any]] = {CONFIGURATION: {"metadata": about}}
        self.created: list[Mapping[str, Any]] = []

    async def create(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.objects[f"{path}/{body['metadata']['name']}"] = body
        self.created.append(body)
        return body

    async def get(self, path: str) -> Mapping[str, Any]:
        if path == CONFIGURATION:
            return self.objects[path]
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {**self.objects[path], "status": status}

    async def delete(self, path: str) -> None:
        if self.objects.pop(path, None) is None:
            raise ApiError(404, "NotFound", "there is none")


def ready(status: str, reason: str = "Estimated", message: str = "1 forecast") -> dict[str, Any]:
    condition = {"type": "Ready", "status": status, "reason": reason, "message": message}
    return {"conditions": [condition], "summary": SUMMARY}


def settings(*flags: str) -> Settings:
    return load(["--namespace=energy", "--deployment=joulecast-controller", *flags], {})


def forecast(server: Server, *flags: str) -> Mapping[str, Any]:
    return asyncio.run(trial.Trial(cast(Cluster, server), settings(*flags)).forecast())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_POLL_SECONDS", 0)


def test_it_awaits_the_forecast_and_takes_its_estimate_away() -> None:
    server = Server({}, ready("Unknown", "Estimating"), ready("True"))
    assert forecast(server)["summary"] == SUMMARY
    assert [each["metadata"]["name"] for each in server.created] == ["joulecast-trial"]
    assert server.objects.keys() == {CONFIGURATION}


def test_an_estimate_that_an_earlier_trial_left_is_replaced() -> None:
    server = Server(ready("True"))
    server.objects[f"{PATH}/joulecast-trial"] = {}
    forecast(server)
    assert len(server.created) == 1
    assert server.objects.keys() == {CONFIGURATION}


def test_a_refusal_is_told_at_once_with_the_controllers_words() -> None:
    server = Server(ready("False", "UnknownArchitecture", "joulecast does not know 'x'"))
    with pytest.raises(trial.TrialError, match="no forecast: UnknownArchitecture: joulecast does not know 'x'"):
        forecast(server)
    assert server.objects.keys() == {CONFIGURATION}, "the estimate goes all the same"


@pytest.mark.parametrize(
    ("status", "said"),
    [({}, "the controller has not answered"), (ready("Unknown", "Queued", "it is next"), "it is next")],
)
def test_a_controller_that_does_not_answer_is_told_with_where_to_look(status: dict[str, Any], said: str) -> None:
    with pytest.raises(trial.TrialError) as caught:
        forecast(Server(status), "--trial-seconds=0.001")
    log = "kubectl -n energy logs deployment/joulecast-controller"
    assert str(caught.value) == f"there is no forecast after 0.001 s ({said}): look at the controller's log, {log}"


def test_the_estimate_is_valid_and_goes_with_its_configuration() -> None:
    server = Server(ready("True"))
    forecast(server)
    (asked,) = server.created
    EstimateSpec.model_validate(asked["spec"])
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "joulecast-trial", "uid": "u"}
    assert asked["metadata"]["ownerReferences"] == [owner]


def test_the_forecast_is_shown_one_thing_a_line() -> None:
    lines = trial.text_of(ready("True")).splitlines()
    assert "accelerator: NVIDIA-H100-80GB-HBM3" in lines
    assert "joules:      12.3 J/request" in lines
