"""Test that equal requests are done once, and that no request is answered by another one's credentials."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from joulecast.errors import JoulecastError, ModelFetchError, ModelReferenceError
from joulecast_operator.estimates.forecasts import Forecaster
from joulecast_operator.estimates.outcomes import Failure, Forecast, Outcome, Planned
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.settings import Settings
from joulecast_operator.workers import pool
from joulecast_operator.workers.frames import Header
from tests.unit.joulecast_operator.samples.estimates import DIGEST, REQUEST, row

MODEL = {
    "reference": REQUEST.image,
    "format": "onnx",
    "path": "models/detector.onnx",
    "digest": DIGEST,
    "layer_digest": "sha256:" + "cd" * 32,
    "bytes_fetched": 10,
    "image_bytes": 100,
    "verification": "Manifest",
}
PRICED = {
    "results": [row()],
    "top_layers": [],
    "unavailable": {},
    "totals": {"macs": 1, "params": 1, "activations": 1, "bytes_moved": 1},
    "unsupported": [],
    "notes": [],
}


class Registry:
    """Replaces both pools: keeps each job, and admits requests with credentials, or all of them."""

    def __init__(self, *, private: bool = False) -> None:
        self.jobs: list[Header] = []
        self.private = private
        self.digest = DIGEST
        self.barren: set[str] = set()
        self.planned: Header = {"reason": f"{MODEL['digest']} is small", "notes": []}

    async def run(self, header: Mapping[str, Any], body: bytes = b"") -> tuple[Header, bytes]:
        self.jobs.append(dict(header))
        await asyncio.sleep(0.01)
        if "access" in header and self.private and not header["access"]["docker_config"]:
            raise ModelFetchError("the registry wants to know who asks", reason="Unauthorized", transient=False)
        if header["operation"] == "resolve":
            return {"digest": self.digest}, b""
        if header["operation"] == "fetch" and header["image"] in self.barren:
            raise ModelFetchError(f"{header['image']} holds no /models", reason="ModelNotFound", transient=False)
        if header["operation"] == "fetch":
            return {"model": MODEL | {"digest": self.digest}}, b"skeleton"
        missing = [size for size in header["batch_sizes"] if json.dumps(size) not in header["ready"]]
        assert body.startswith(b"skeleton") == bool(missing)
        if header["operation"] == "plan":
            return self.planned | {"made": {"8": 7}}, b"profile"
        return PRICED | {"made": {json.dumps(size): 7 for size in missing}}, b"profile" * len(missing)

    def count(self, operation: str) -> int:
        return sum(job["operation"] == operation for job in self.jobs)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    found = Registry()
    monkeypatch.setattr(pool.Pool, "run", lambda _, header, body=b"": found.run(header, body))
    return found


def ask(folder: Path, *requests: ForecastRequest, fresh: bool = False, **settings: Any) -> list[Outcome]:
    async def run() -> list[Outcome]:
        forecasts = Forecaster(Settings(cache_dir=folder, **settings))
        return await asyncio.gather(*(forecasts.forecast(request, fresh=fresh) for request in requests))

    return asyncio.run(run())


def test_many_ask_and_it_is_done_once(registry: Registry, tmp_path: Path) -> None:
    outcomes = ask(tmp_path, *[REQUEST] * 50)
    assert all(isinstance(outcome, Forecast) for outcome in outcomes)
    assert [registry.count(operation) for operation in ("resolve", "fetch", "forecast")] == [1, 1, 1]


def test_after_a_restart_only_the_tag_is_looked_up_and_rows_are_priced(registry: Registry, tmp_path: Path) -> None:
    ask(tmp_path, REQUEST)
    ask(tmp_path, REQUEST)
    assert [registry.count(operation) for operation in ("resolve", "fetch", "forecast")] == [2, 1, 2]
    assert registry.jobs[-1]["skeleton_bytes"] == 0
    assert registry.jobs[-1]["ready"] == {"32": 7}


def test_another_batch_size_needs_no_fetch(registry: Registry, tmp_path: Path) -> None:
    ask(tmp_path, REQUEST)
    ask(tmp_path, replace(REQUEST, batch_sizes=(32, 64)))
    assert registry.count("fetch") == 1
    assert registry.jobs[-1]["ready"] == {"32": 7}
    assert registry.jobs[-1]["skeleton_bytes"] == len(b"skeleton")


PLAN = replace(REQUEST, batch_sizes=(None, 8), question={"batch_sizes": [8], "today": None})


def test_a_plan_is_a_job_of_the_profiler_with_the_profiles_that_are_there(registry: Registry, tmp_path: Path) -> None:
    for _ in range(2):
        (outcome,) = ask(tmp_path, PLAN)
        assert isinstance(outcome, Planned)
        assert outcome.path == "models/detector.onnx"
    assert [registry.count(operation) for operation in ("fetch", "plan", "forecast")] == [1, 2, 0]
    assert (registry.jobs[-1]["ready"], registry.jobs[-1]["skeleton_bytes"]) == ({"8": 7}, len(b"skeleton"))
    assert registry.jobs[-1]["question"] == PLAN.question


def test_plans_that_ask_the_same_are_priced_once_and_a_forecast_is_none_of_them(
    registry: Registry, tmp_path: Path
) -> None:
    another = replace(PLAN, question={"batch_sizes": [8], "today": {"batch_size": 1}})
    ask(tmp_path, PLAN, PLAN, another, replace(PLAN, question=None))
    assert [registry.count(operation) for operation in ("plan", "forecast")] == [2, 1]


def test_a_plan_names_the_image_of_who_asks_and_not_the_content_that_is_shared(
    registry: Registry, tmp_path: Path
) -> None:
    content = "sha256:" + hashlib.sha256(b"skeleton").hexdigest()
    registry.planned = {"reason": f"{content} is small", "notes": [f"{content} has one input"], "choice": None}
    (outcome,) = ask(tmp_path, PLAN)
    assert isinstance(outcome, Planned)
    assert outcome.answer["reason"] == f"{REQUEST.image} is small"
    assert outcome.answer["notes"] == [f"{REQUEST.image} has one input"]


def test_a_plan_for_which_nothing_can_be_priced_is_a_failure_of_pricing(registry: Registry, tmp_path: Path) -> None:
    registry.planned = {"failed": {"reason": "UnknownAccelerator", "message": "no such card"}}
    (outcome,) = ask(tmp_path, PLAN)
    assert isinstance(outcome, Failure)
    assert (outcome.stage, outcome.reason, outcome.message) == ("price", "UnknownAccelerator", "no such card")


def test_the_cache_serves_only_whose_credentials_resolved(registry: Registry, tmp_path: Path) -> None:
    registry.private = True
    (known,) = ask(tmp_path, replace(REQUEST, docker_config=json.dumps({"auths": {"registry.example": {}}})))
    assert isinstance(known, Forecast)
    (stranger,) = ask(tmp_path, REQUEST)
    assert isinstance(stranger, Failure)
    assert (stranger.stage, stranger.reason) == ("resolve", "Unauthorized")


HUB = replace(REQUEST, image="hf://meta-llama/Llama-3.1-8B", batch_sizes=(None,))


def test_a_hub_sees_its_token_and_no_credentials_of_registries(registry: Registry, tmp_path: Path) -> None:
    ask(tmp_path, replace(HUB, token="hf_own", docker_config=json.dumps({"auths": {"registry.example": {}}})))
    assert {job["access"]["hub_token"] for job in registry.jobs if "access" in job} == {"hf_own"}


def test_a_model_of_the_hub_is_never_served_to_another_token(registry: Registry, tmp_path: Path) -> None:
    for token in ("hf_own", "hf_other", "", "hf_own"):
        ask(tmp_path, replace(HUB, token=token))
    assert registry.count("fetch") == 3
    assert b"hf_o" not in b"".join(path.name.encode() + path.read_bytes() for path in tmp_path.iterdir())


def test_a_model_of_the_hub_that_wants_a_token_says_where_to_name_it(registry: Registry, tmp_path: Path) -> None:
    registry.private = True
    without, known = ask(tmp_path, HUB, replace(HUB, token="hf_own"))
    assert isinstance(without, Failure)
    assert "spec.model.secretRef" in without.message
    assert isinstance(known, Failure)
    assert "spec.model.secretRef" not in known.message


def test_a_model_is_of_one_repository_although_another_claims_its_commit(registry: Registry, tmp_path: Path) -> None:
    ask(tmp_path, HUB, replace(HUB, image="hf://somebody/else"))
    assert registry.count("fetch") == 2


BUCKET = replace(REQUEST, image="s3://models/llama")


def own_keys(name: str) -> str:
    return json.dumps({"access_key_id": name, "secret_access_key": f"{name}-secret"})


def test_a_model_of_a_bucket_is_never_served_to_other_keys(registry: Registry, tmp_path: Path) -> None:
    for keys in (own_keys("own"), own_keys("other"), "", own_keys("own")):
        ask(tmp_path, replace(BUCKET, object_keys=keys, docker_config="{}", token="hf_own"))
    assert registry.count("fetch") == 3
    assert b"-secret" not in b"".join(path.name.encode() + path.read_bytes() for path in tmp_path.iterdir())


def test_a_bucket_is_asked_at_the_administrators_address_with_the_tenants_keys(
    registry: Registry, tmp_path: Path
) -> None:
    settings = {"objects_endpoint": "https://s3.example/", "objects_region": "eu-central-1"}
    ask(tmp_path, replace(BUCKET, object_keys=own_keys("own"), path="small"), **settings)
    resolve, fetch = (job for job in registry.jobs if "access" in job)
    asked = {"endpoint": "https://s3.example", "region": "eu-central-1", **json.loads(own_keys("own"))}
    assert resolve["access"]["objects"] == fetch["access"]["objects"] == asked
    assert resolve["path"] == fetch["path"] == "small", "the digest is that of the facts, which lie there"


def test_two_models_of_one_bucket_are_looked_up_apart(registry: Registry, tmp_path: Path) -> None:
    ask(tmp_path, replace(BUCKET, path="small"), replace(BUCKET, path="large"))
    assert registry.count("resolve") == 2


@pytest.mark.parametrize(("request_", "value"), [(HUB, "hub.endpoint"), (BUCKET, "objects.endpoint")])
def test_what_is_off_names_the_setting(
    request_: ForecastRequest, value: str, registry: Registry, tmp_path: Path
) -> None:
    async def refused(header: Mapping[str, Any], body: bytes = b"") -> tuple[Header, bytes]:
        raise ModelReferenceError("none may be used here", reason="SourceDisabled")

    registry.run = refused  # type: ignore[method-assign]
    (outcome,) = ask(tmp_path, request_)
    assert isinstance(outcome, Failure)
    assert outcome.message.endswith(f"the chart's value {value}")


def test_a_bucket_that_wants_keys_says_where_to_name_them(registry: Registry, tmp_path: Path) -> None:
    registry.private = True
    without, known = ask(tmp_path, BUCKET, replace(BUCKET, object_keys=own_keys("own")))
    assert isinstance(without, Failure)
    assert "keys are read from the Secret that spec.model.secretRef names" in without.message
    assert isinstance(known, Failure)
    assert "spec.model.secretRef" not in known.message


CONFIGURED = replace(HUB, image="configmap://llama/config.json", configuration='{"model_type": "llama"}')


def test_a_configuration_is_fetched_from_nowhere(registry: Registry, tmp_path: Path) -> None:
    async def run(header: Mapping[str, Any], body: bytes = b"") -> tuple[Header, bytes]:
        registry.jobs.append(dict(header))
        assert header["model"]["format"] == "configuration"
        return PRICED | {"made": {}}, body[:0]

    registry.run = run  # type: ignore[method-assign]
    (outcome,) = ask(tmp_path, CONFIGURED)
    assert isinstance(outcome, Forecast)
    assert (outcome.image, outcome.path, outcome.verification) == (CONFIGURED.image, "", None)
    assert [job["operation"] for job in registry.jobs] == ["forecast"]
    ask(tmp_path, replace(CONFIGURED, configuration='{"model_type": "gpt2"}'))
    assert len({job["model"]["digest"] for job in registry.jobs}) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"configuration": "{}"},
        {"architecture": "llama"},
        {"phase": "decode"},
        {"generation": {"concurrency": 32}},
        {"runtime": "vllm"},
        {"path": "original"},
    ],
    ids=str,
)
def test_all_that_a_forecast_depends_on_makes_another_request(changes: dict[str, Any]) -> None:
    assert replace(HUB, **changes).hash != HUB.hash


@pytest.mark.parametrize(
    "changes", [{"architecture": "llama"}, {"phase": "decode"}, {"generation": {"concurrency": 32}}], ids=str
)
def test_another_generation_of_a_model_is_priced_again_and_not_fetched(
    registry: Registry, tmp_path: Path, changes: dict[str, Any]
) -> None:
    ask(tmp_path, HUB)
    ask(tmp_path, replace(HUB, **changes))
    assert [registry.count(operation) for operation in ("fetch", "forecast")] == [1, 2]
    assert registry.jobs[-1].items() >= changes.items()


APP, SIDECAR = "registry.example/app:1", "registry.example/sidecar:1"
SEVERAL = replace(REQUEST, image=APP, alternatives=(SIDECAR, REQUEST.image))


def test_the_next_image_is_tried_where_one_holds_no_model(registry: Registry, tmp_path: Path) -> None:
    registry.barren = {APP, SIDECAR}
    (outcome,) = ask(tmp_path, SEVERAL)
    assert isinstance(outcome, Forecast)
    assert outcome.image == REQUEST.image
    assert [job["image"] for job in registry.jobs if job["operation"] == "fetch"] == [APP, SIDECAR, REQUEST.image]


def test_the_likeliest_image_with_a_model_is_taken_alone(registry: Registry, tmp_path: Path) -> None:
    (outcome,) = ask(tmp_path, SEVERAL)
    assert isinstance(outcome, Forecast)
    assert outcome.image == APP
    assert {job["image"] for job in registry.jobs if "image" in job} == {APP}


def test_no_image_with_a_model_is_said_of_all(registry: Registry, tmp_path: Path) -> None:
    registry.barren = {APP, SIDECAR, REQUEST.image}
    (outcome,) = ask(tmp_path, SEVERAL)
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.image) == ("ModelNotFound", APP)
    assert outcome.message == f"{APP} holds no /models; there is none in {SIDECAR}, {REQUEST.image} either"


def test_only_a_missing_model_leads_on_to_the_next_image(registry: Registry, tmp_path: Path) -> None:
    registry.private = True
    (outcome,) = ask(tmp_path, replace(SEVERAL, missing_secrets=("joulecast may not read Secret 'pull'",)))
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.image) == ("Unauthorized", APP)
    assert outcome.message == "the registry wants to know who asks; joulecast may not read Secret 'pull'"
    assert registry.count("resolve") == 1


def test_an_image_without_a_model_is_read_once(registry: Registry, tmp_path: Path) -> None:
    registry.barren = {REQUEST.image}

    async def run() -> list[Outcome]:
        forecasts = Forecaster(Settings(cache_dir=tmp_path))
        return [await forecasts.forecast(REQUEST, fresh=True) for _ in range(3)]

    first, *others = asyncio.run(run())
    assert isinstance(first, Failure)
    assert others == [first, first]
    assert (registry.count("resolve"), registry.count("fetch")) == (3, 1)
    registry.barren, registry.digest = set(), "sha256:" + "ef" * 32
    assert isinstance(ask(tmp_path, REQUEST)[0], Forecast)


def test_a_look_that_is_asked_for_now_does_not_join_one_that_began_before(registry: Registry, tmp_path: Path) -> None:
    async def run() -> tuple[Outcome, Outcome]:
        forecasts = Forecaster(Settings(cache_dir=tmp_path))
        earlier = asyncio.create_task(forecasts.forecast(REQUEST))
        while not registry.jobs:
            await asyncio.sleep(0)
        later = await forecasts.forecast(REQUEST, fresh=True)
        return await earlier, later

    asyncio.run(run())
    assert registry.count("resolve") == 2


def test_a_moved_tag_is_another_model(registry: Registry, tmp_path: Path) -> None:
    ask(tmp_path, REQUEST)
    registry.digest = "sha256:" + "ef" * 32
    (outcome,) = ask(tmp_path, REQUEST, fresh=True)
    assert isinstance(outcome, Forecast)
    assert outcome.digest == registry.digest
    assert registry.count("fetch") == 2


def test_the_profiler_gets_no_credentials(registry: Registry, tmp_path: Path) -> None:
    ask(tmp_path, replace(REQUEST, docker_config=json.dumps({"auths": {"h": {"auth": "c2VjcmV0"}}})))
    assert "c2VjcmV0" not in json.dumps([job for job in registry.jobs if job["operation"] == "forecast"])


def test_a_lost_skeleton_is_fetched_again(registry: Registry, tmp_path: Path) -> None:
    ask(tmp_path, REQUEST)
    for path in tmp_path.iterdir():
        if path.read_bytes() in (b"skeleton", b"profile"):
            path.unlink()
    (outcome,) = ask(tmp_path, REQUEST)
    assert isinstance(outcome, Forecast)
    assert registry.count("fetch") == 2


def test_nothing_priced_is_a_failure_that_names_the_first_reason(registry: Registry, tmp_path: Path) -> None:
    nothing = {"results": [], "unavailable": {"X": {"reason": "UnknownAccelerator", "message": "no X"}}}

    async def run(header: Mapping[str, Any], body: bytes = b"") -> tuple[Header, bytes]:
        answer, rest = await Registry.run(registry, header, body)
        return (answer | nothing if header["operation"] == "forecast" else answer), rest

    registry.run = run  # type: ignore[method-assign]
    (outcome,) = ask(tmp_path, REQUEST)
    assert isinstance(outcome, Failure)
    assert (outcome.stage, outcome.reason, outcome.transient) == ("price", "UnknownAccelerator", False)


def test_a_folder_without_room_is_said(registry: Registry, tmp_path: Path) -> None:
    async def run() -> Outcome:
        return await Forecaster(Settings(cache_dir=tmp_path / "x", cache_bytes=0)).forecast(REQUEST)

    outcome = asyncio.run(run())
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.transient) == ("CacheFailed", True)


def test_errors_of_workers_are_failures_not_exceptions(registry: Registry, tmp_path: Path) -> None:
    async def run(*_: Any) -> tuple[Header, bytes]:
        raise JoulecastError("no room", reason="QueueFull", transient=True)

    registry.run = run  # type: ignore[method-assign]
    assert all(isinstance(outcome, Failure) for outcome in ask(tmp_path, REQUEST, REQUEST))


@pytest.mark.parametrize("operation", ["resolve", "fetch", "forecast"])
def test_work_ends_with_the_last_who_asked_for_it(registry: Registry, tmp_path: Path, operation: str) -> None:
    ended: list[str] = []

    async def run(header: Mapping[str, Any], body: bytes = b"") -> tuple[Header, bytes]:
        if header["operation"] != operation:
            return await Registry.run(registry, header, body)
        registry.jobs.append(dict(header))
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(operation)
        raise AssertionError

    async def leave() -> None:
        forecasts = Forecaster(Settings(cache_dir=tmp_path))
        tasks = [asyncio.create_task(forecasts.forecast(REQUEST)) for _ in range(2)]
        while not registry.count(operation):
            await asyncio.sleep(0.001)
        for task, left in zip(tasks, ([], [operation]), strict=True):
            task.cancel()
            await asyncio.wait({task})
            await asyncio.sleep(0.01)
            assert ended == left

    registry.run = run  # type: ignore[method-assign]
    asyncio.run(leave())
