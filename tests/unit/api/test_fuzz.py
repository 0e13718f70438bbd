"""Whatever configuration, headers and GGUF files hold, it gives a forecast of finite numbers or one clear error."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.generation import forecast_generation
from joulecast.api.weights.headers import as_stored
from joulecast.errors import ModelFormatError, WorkloadError
from joulecast.readers.huggingface import read
from joulecast.serving.requests import GenerationRequest
from joulecast.sources.facts.model_facts import StoredTensor
from tests import checkpoints
from tests.unit.api.fuzz import CARDS, models, outcome

REASONS = {
    "forecast", "InvalidModelFormat", "UnknownArchitecture", "UnsupportedQuantisation", "InvalidWorkload",
    "UnsupportedOnAccelerator", "NotCalibrated", "DoesNotFit",
}  # fmt: skip


def test_every_model_gives_a_forecast_or_one_error() -> None:
    drawn = random.Random(3)
    found = Counter(outcome(each, drawn) for each in models(2500, seed=3))
    assert set(found) <= REASONS
    assert found["forecast"] > 100
    assert found["InvalidModelFormat"] > 500


def test_the_most_layers_and_experts_do_not_fit() -> None:
    model = read(
        {"model_type": "qwen3_moe", "num_hidden_layers": 1024, "num_experts": 10**6, "num_experts_per_tok": 1000}
    )
    with pytest.raises(WorkloadError, match="and 8 cards do not do either"):
        forecast_generation(model, accelerator_named(CARDS[0]), GenerationRequest())


@pytest.mark.parametrize("number", [7, 999_999])
def test_the_number_of_a_layer_is_not_a_count_of_layers(number: int) -> None:
    stored = {
        name.replace("layers.1.", f"layers.{number}."): StoredTensor(dtype=dtype, shape=shape)
        for name, (dtype, shape) in checkpoints.tensors().items()
    }
    with pytest.raises(ModelFormatError, match=f"the files hold 2 layers, numbered up to {number}, where"):
        as_stored(read(dict(checkpoints.CONFIG)), stored)
