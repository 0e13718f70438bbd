"""Test that a registry with false digests neither reveals another tenant's model nor replaces it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from joulecast.errors import JoulecastError
from joulecast_operator.estimates.forecasts import Forecaster
from joulecast_operator.estimates.outcomes import Failure, Forecast, Outcome
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.settings import Settings
from joulecast_operator.workers import pool
from joulecast_operator.workers.frames import Header
from tests.unit.joulecast_operator.samples.estimates import DIGEST, REQUEST, row

LAYER = "sha256:" + "cd" * 32
OTHER_DIGEST = "sha256:" + "ef" * 32
TENANT = replace(REQUEST, image="registry.example/secret/detector:1")
LIAR = replace(REQUEST, image="liar.example/x/y:1")
PASSWORD = replace(TENANT, docker_config=json.dumps({"auths": {"registry.example": {"auth": "dTpw"}}}))
BOTH_ORDERS = pytest.mark.parametrize("liar_first", [False, True])


class Registries:
    """Stands for both pools. ``digests`` and ``skeletons``: what each image's registry claims and what it serves.

    A profile is the skeleton's text, and a price names it, so that a test sees whose model an answer is of.
    """

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.profiled: list[bytes] = []
        self.headers: list[Header] = []
        self.digests = {TENANT.image: DIGEST, LIAR.image: DIGEST}
        self.skeletons = {TENANT.image: b"tenant's", LIAR.image: b"liar's"}
        self.fails = False

    async def run(self, header: Mapping[str, Any], body: bytes = b"") -> tuple[Header, bytes]:
        await asyncio.sleep(0.01)
        if header["operation"] == "resolve":
            return {"digest": self.digests[header["image"]]}, b""
        if header["operation"] == "fetch":
            return self._fetched(header["image"])
        return self._priced(header, body)

    def _fetched(self, image: str) -> tuple[Header, bytes]:
        self.fetched.append(image)
        claimed = {"digest": self.digests[image], "layer_digest": LAYER, "verification": "Manifest"}
        plain = {"reference": image, "format": "onnx", "path": "models/m.onnx", "bytes_fetched": 1, "image_bytes": 2}
        return {"model": plain | claimed}, self.skeletons[image]

    def _priced(self, header: Mapping[str, Any], body: bytes) -> tuple[Header, bytes]:
        self.headers.append(dict(header))
        if self.fails:
            name = header["model"]["reference"]
            raise JoulecastError(f"{name} has no input 'x'", reason="WorkloadInvalid", transient=False)
        if header["skeleton_bytes"]:
            self.profiled.append(body)
        layer = {"name": body.decode(), "opType": "Conv", "joules": 0.2, "share": 0.5}
        why = {"reason": "NothingPriced", "message": f"nothing of {header['model']['reference']} can be priced"}
        answer = {
            "results": [row()],
            "top_layers": [layer],
            "unavailable": {"X": why},
            "totals": {"macs": 1, "params": 1, "activations": 1, "bytes_moved": 1},
            "unsupported": [],
            "notes": [],
        }
        made = {json.dumps(size): len(body) for size in header["batch_sizes"] if header["skeleton_bytes"]}
        return answer | {"made": made}, body * len(made)


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> Registries:
    found = Registries()
    monkeypatch.setattr(pool.Pool, "run", lambda _, header, body=b"": found.run(header, body))
    return found


def ask(folder: Path, *requests: ForecastRequest) -> list[Outcome]:
    """Return the answers of one controller to successive requests; the next call starts another controller."""

    async def run() -> list[Outcome]:
        forecasts = Forecaster(Settings(cache_dir=folder))
        return [await forecasts.forecast(request, fresh=True) for request in requests]

    return asyncio.run(run())


def ask_at_once(folder: Path, *requests: ForecastRequest) -> list[Outcome]:
    async def run() -> list[Outcome]:
        forecasts = Forecaster(Settings(cache_dir=folder))
        return await asyncio.gather(*(forecasts.forecast(request) for request in requests))

    return asyncio.run(run())


def model_of(outcome: Outcome) -> str:
    """Return from whose skeleton an answer was made."""
    assert isinstance(outcome, Forecast), outcome
    return str(outcome.top_layers[0]["name"])


def ordered(liar_first: bool) -> tuple[list[ForecastRequest], list[str]]:
    """Return pairs of a requester, and the owner of the model that it must get."""
    pairs = [(TENANT, "tenant's"), (LIAR, "liar's")]
    turned = pairs[::-1] if liar_first else pairs
    return [request for request, _ in turned], [name for _, name in turned]


@BOTH_ORDERS
@pytest.mark.parametrize("claims_manifest", [False, True])
def test_a_claimed_digest_leads_to_nobody_elses_model(
    registries: Registries, tmp_path: Path, liar_first: bool, claims_manifest: bool
) -> None:
    registries.digests[LIAR.image] = DIGEST if claims_manifest else OTHER_DIGEST
    requests, models = ordered(liar_first)
    assert [model_of(outcome) for outcome in ask(tmp_path, *requests)] == models
    assert [model_of(outcome) for outcome in ask(tmp_path, *requests)] == models, "after a restart"
    assert sorted(registries.fetched) == sorted({TENANT.image, LIAR.image}), "each is read once"


@BOTH_ORDERS
@pytest.mark.parametrize("claims_manifest", [False, True])
def test_a_claim_at_the_same_moment_joins_nobody_elses_work(
    registries: Registries, tmp_path: Path, liar_first: bool, claims_manifest: bool
) -> None:
    registries.digests[LIAR.image] = DIGEST if claims_manifest else OTHER_DIGEST
    requests, models = ordered(liar_first)
    assert [model_of(outcome) for outcome in ask_at_once(tmp_path, *requests)] == models


@pytest.mark.parametrize("first", [TENANT, PASSWORD])
def test_another_credential_reads_the_model_itself(
    registries: Registries, tmp_path: Path, first: ForecastRequest
) -> None:
    second = TENANT if first is PASSWORD else PASSWORD
    ask(tmp_path, first)
    ask(tmp_path, second)
    assert registries.fetched == [TENANT.image] * 2
    ask(tmp_path, first, second)
    assert registries.fetched == [TENANT.image] * 2, "known by now to both"


def test_the_same_content_is_profiled_once_whoever_read_it(registries: Registries, tmp_path: Path) -> None:
    registries.skeletons[LIAR.image] = registries.skeletons[TENANT.image]
    outcomes = ask(tmp_path, TENANT, LIAR)
    assert [model_of(outcome) for outcome in outcomes] == ["tenant's"] * 2
    assert registries.fetched == [TENANT.image, LIAR.image]
    assert len(registries.headers) == 1


def test_a_tag_and_a_digest_of_one_image_are_read_once(registries: Registries, tmp_path: Path) -> None:
    pinned = replace(TENANT, image=f"registry.example/secret/detector@{DIGEST}")
    registries.digests[pinned.image], registries.skeletons[pinned.image] = DIGEST, b"tenant's"
    for outcome in ask(tmp_path, TENANT, pinned, TENANT):
        assert model_of(outcome) == "tenant's"
    assert registries.fetched == [TENANT.image]


def test_a_registry_that_serves_other_bytes_under_its_digest_has_its_own_model(
    registries: Registries, tmp_path: Path
) -> None:
    ask(tmp_path, TENANT)
    for path in tmp_path.iterdir():
        if path.read_bytes() == b"tenant's":
            path.unlink()
    registries.skeletons[TENANT.image] = b"another"
    (outcome,) = ask(tmp_path, TENANT)
    assert model_of(outcome) == "another"


@pytest.mark.parametrize("at_once", [False, True])
def test_a_shared_answer_names_nobody_elses_image(registries: Registries, tmp_path: Path, at_once: bool) -> None:
    registries.skeletons[LIAR.image] = registries.skeletons[TENANT.image]
    outcomes = (ask_at_once if at_once else ask)(tmp_path, TENANT, LIAR)
    for request, outcome in zip((TENANT, LIAR), outcomes, strict=True):
        assert isinstance(outcome, Forecast)
        assert outcome.unavailable["X"]["message"] == f"nothing of {request.image} can be priced"
    told = json.dumps(registries.headers)
    assert TENANT.image not in told
    assert LIAR.image not in told


def test_a_shared_failure_names_nobody_elses_image(registries: Registries, tmp_path: Path) -> None:
    registries.skeletons[LIAR.image] = registries.skeletons[TENANT.image]
    registries.fails = True
    for request, outcome in zip((TENANT, LIAR), ask_at_once(tmp_path, TENANT, LIAR), strict=True):
        assert isinstance(outcome, Failure)
        assert outcome.message == f"{request.image} has no input 'x'"


def test_nothing_on_disk_tells_the_credential(registries: Registries, tmp_path: Path) -> None:
    ask(tmp_path, PASSWORD)
    kept = b"".join(path.name.encode() + path.read_bytes() for path in tmp_path.iterdir())
    assert b"dTpw" not in kept
