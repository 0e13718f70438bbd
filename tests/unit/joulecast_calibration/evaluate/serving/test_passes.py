"""The seconds of a model with each different layer once are those of the whole model."""

from __future__ import annotations

import pytest

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.generation import forecast_passes
from joulecast.energy.engines.pricing import price_passes
from joulecast.serving.execution import executed_on
from joulecast.serving.outline import Outline
from joulecast.serving.passes import decode, prefill
from joulecast.serving.rows import rows
from joulecast_calibration.evaluate.serving.models import published


@pytest.mark.parametrize(
    ("name", "mode", "kinds"),
    [("Qwen/Qwen3-32B", "", 1), ("openai/gpt-oss-120b", "nvfp4", 2), ("moonshotai/Kimi-K2.5", "int4_wo", 2)],
)
def test_seconds_are_those_of_the_whole_model(name: str, mode: str, kinds: int) -> None:
    card = accelerator_named("NVIDIA-H200")
    model = executed_on(published()[name].stored_as(mode), architecture=card.architecture, product=card.product)
    assert len(Outline.of(model).counts) == kinds
    for run in (prefill(1, 512), decode(16, 2048)):
        (whole,) = price_passes([rows(model, run, cards=8)], card, cards=8)
        (priced,) = forecast_passes(model, [run], card, cards=8)
        assert priced.busy_seconds == pytest.approx(whole.busy_seconds, rel=1e-9)
