"""Test that models are kept by content, and claims by registry and credentials."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from joulecast.sources import FetchedModel
from joulecast_operator.workers.cache import Cache
from joulecast_operator.workers.stored_models import StoredModel, StoredModels

FACTS = {"path": "models/m.onnx", "format": "onnx", "verification": "Manifest"}
PASSWORD = json.dumps({"auths": {"registry.example": {"auth": "dTpw"}}})


@pytest.fixture
def stored(tmp_path: Path) -> StoredModels:
    return StoredModels(Cache(tmp_path, capacity_bytes=10_000))


def keep(stored: StoredModels, claim: str, skeleton: bytes) -> StoredModel:
    return asyncio.run(stored.keep(claim, FACTS, skeleton))


def test_a_model_is_found_again_under_its_claim(stored: StoredModels, tmp_path: Path) -> None:
    claim = stored.claim("registry.example", PASSWORD, "sha256:ab")
    model = keep(stored, claim, b"skeleton")
    assert model.content == f"sha256:{hashlib.sha256(b'skeleton').hexdigest()}"
    restarted = StoredModels(Cache(tmp_path, capacity_bytes=10_000))
    assert restarted.find(restarted.claim("registry.example", PASSWORD, "sha256:ab")) == model
    assert restarted.skeleton(model) == b"skeleton"


def test_registry_credential_and_digest_make_a_claim(stored: StoredModels) -> None:
    asked = [(host, password) for host in ("a.example", "b.example") for password in ("", PASSWORD)]
    claims = {stored.claim(host, password, digest) for host, password in asked for digest in ("sha256:1", "sha256:2")}
    assert len(claims) == 8


def test_profiles_belong_to_the_content(stored: StoredModels) -> None:
    mine, other = (keep(stored, claim, text) for claim, text in (("a", b"skeleton"), ("b", b"another")))
    stored.keep_profiles(mine, ["w"], {"1": 3, "null": 4}, b"onenone")
    assert stored.profiles(mine, ["w"], (1, None, 8)) == {"1": b"one", "null": b"none"}
    assert stored.profiles(other, ["w"], (1, None)) == {}
    assert stored.profiles(mine, ["v"], (1, None)) == {}


def test_a_model_can_be_profiled_while_its_skeleton_or_all_profiles_are_there(
    stored: StoredModels, tmp_path: Path
) -> None:
    model = keep(stored, "claim", b"skeleton")
    stored.keep_profiles(model, [], {"1": 3}, b"one")
    assert stored.can_profile(model, [], (1, 8))
    next(path for path in tmp_path.iterdir() if path.read_bytes() == b"skeleton").unlink()
    assert stored.can_profile(model, [], (1,))
    assert not stored.can_profile(model, [], (1, 8))


def test_what_a_profiler_is_given_names_no_image(stored: StoredModels) -> None:
    model = keep(stored, "claim", b"skeleton")
    fetched = FetchedModel(**model.nameless, skeleton=b"skeleton")
    assert (fetched.reference, fetched.digest, fetched.path) == (model.content, model.content, "")
