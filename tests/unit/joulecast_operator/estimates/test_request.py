"""What decides a forecast, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.profiles.usable import Override

REQUEST = ForecastRequest(image="i", accelerators=("a",))


def test_credentials_are_no_part_of_the_identity_nor_of_what_is_printed() -> None:
    first = ForecastRequest(image="i", accelerators=("a",), docker_config='{"auths": {"h": {"auth": "c2VjcmV0"}}}')
    assert first.hash == ForecastRequest(image="i", accelerators=("a",)).hash
    assert "c2VjcmV0" not in repr(first)


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "j"}, {"alternatives": ("j",)}, {"path": "m.onnx"}, {"format": "onnx"}, {"batch_sizes": (2,)},
        {"input_shapes": {"x": [1]}}, {"input_values": {"x": 1}}, {"precision": "fp16"},
        {"runtime": "onnxruntime-cuda"}, {"accelerators": ("b",)},
        {"overrides": (Override(product="a", runtime="torch-eager", digest="sha256:1", document="{}"),)},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_everything_that_changes_a_forecast_changes_the_identity(changes: dict[str, Any]) -> None:
    assert replace(REQUEST, **changes).hash != REQUEST.hash


@pytest.mark.parametrize("changes", [{"missing_secrets": ("no Secret s",)}, {"refresh": "again"}])
def test_who_asks_and_how_often_changes_nothing(changes: dict[str, Any]) -> None:
    assert replace(REQUEST, **changes).hash == REQUEST.hash


def test_the_likeliest_image_comes_first() -> None:
    assert replace(REQUEST, alternatives=("j", "k")).images == ("i", "j", "k")
