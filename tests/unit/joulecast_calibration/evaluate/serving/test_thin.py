"""The seconds of a model with each different layer once are those of the whole model."""

from __future__ import annotations

import pytest

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.energy.engines.pricing import price_passes
from joulecast.serving.execution import executed_on
from joulecast.serving.passes import decode, prefill
from joulecast.serving.rows import rows
from joulecast_calibration.evaluate.serving.models import published
from joulecast_calibration.evaluate.serving.thin import thinned


@pytest.mark.parametrize(
    ("name", "mode", "kinds"),
    [("Qwen/Qwen3-32B", "", 1), ("openai/gpt-oss-120b", "nvfp4", 2), ("moonshotai/Kimi-K2.5", "int4_wo", 2)],
)
def test_seconds_are_those_of_the_whole_model(name: str, mode: str, kinds: int) -> None:
    card = accelerator_named("NVIDIA-H200")
    model = executed_on(published()[name].stored_as(mode), architecture=card.architecture, product=card.product)
    thin = thinned(model)
    assert len(thin.times) == kinds
    for run in (prefill(1, 512), decode(16, 2048)):
        (whole,) = price_passes([rows(model, run, cards=8)], card, cards=8)
        assert thin.seconds(run, card, engine="vllm", cards=8) == pytest.approx(whole.busy_seconds, rel=1e-9)
