"""Jobs of the worker that reads registries."""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import Any

import pytest

from joulecast import sources
from joulecast.errors import ModelFetchError, ModelReferenceError
from joulecast.sources import FetchedModel
from joulecast.sources.registries.address import DENIED_NETWORKS
from joulecast_operator.workers import fetcher

IMAGE = "registry.example/models/detector:1"


def job(operation: str, **changes: Any) -> dict[str, Any]:
    return {
        "operation": operation, "image": IMAGE, "platform": "linux/amd64", "path": None, "format": None,
        "digest": "sha256:1", "access": {}, "fetched_bytes": 1000, "wall_seconds": 1.0,
    } | changes  # fmt: skip


def fetched(**changes: Any) -> FetchedModel:
    own: dict[str, Any] = {
        "reference": IMAGE, "format": "onnx", "path": "m.onnx", "digest": "sha256:1", "layer_digest": None,
        "bytes_fetched": 10, "image_bytes": 20, "verification": None, "skeleton": b"model",
    }  # fmt: skip
    known = {field.name for field in fields(FetchedModel)}
    return FetchedModel(**{name: value for name, value in (own | changes).items() if name in known})


def test_a_workers_access_is_closed_to_private_addresses_and_local_files() -> None:
    found = fetcher.access_of({"denied_networks": ["198.51.100.0/24"], "insecure_registries": ["a:5000"]})
    assert found.denied_networks == (*DENIED_NETWORKS, "198.51.100.0/24")
    assert found.insecure_registries == ("a:5000",)
    assert found.hides_private_addresses
    assert not found.local_paths


def test_a_digest_is_looked_up_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def resolve(image: str, **options: Any) -> str:
        asked.update(options, image=image)
        return "sha256:1"

    monkeypatch.setattr(sources, "resolve", resolve)
    assert fetcher.work(job("resolve"), b"") == ({"digest": "sha256:1"}, b"")
    assert (asked["image"], asked["platform"], asked["budget"].fetched_bytes) == (IMAGE, "linux/amd64", 1000)


def test_a_model_is_handed_over_beside_its_skeleton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "fetch", lambda image, **_: fetched())
    header, body = fetcher.work(job("fetch"), b"")
    assert body == b"model"
    assert (header["model"]["path"], header["model"]["digest"]) == ("m.onnx", "sha256:1")
    assert "skeleton" not in header["model"]


def test_an_image_that_changed_since_it_was_looked_up_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "fetch", lambda image, **_: fetched(digest="sha256:2"))
    with pytest.raises(ModelReferenceError, match="changed while it was read") as caught:
        fetcher.work(job("fetch"), b"")
    assert (caught.value.reason, caught.value.transient) == ("ImageChanged", True)


def test_what_is_hidden_from_tenants_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def resolve(image: str, **_: Any) -> str:
        raise ModelFetchError("it cannot be used") from ModelFetchError("10.0.0.1 refused", reason="Forbidden")

    monkeypatch.setattr(sources, "resolve", resolve)
    with caplog.at_level(logging.WARNING), pytest.raises(ModelFetchError, match="it cannot be used"):
        fetcher.work(job("resolve"), b"")
    (line,) = caplog.records
    assert "10.0.0.1 refused" in line.getMessage()
    assert (vars(line)["reason"], vars(line)["image"]) == ("Forbidden", IMAGE)
