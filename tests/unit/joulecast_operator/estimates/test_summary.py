"""Test the texts of the columns of `kubectl get`."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.results import EstimateSummary
from joulecast_operator.estimates.summary import summary_of
from tests.unit.joulecast_operator.samples.estimates import generation, row


@pytest.mark.parametrize(
    ("result", "load", "energy", "interval"),
    [
        (row(), "batch of 32", "0.421 J/batch", "0.379–0.463 J"),
        (row() | {"phase": "forward"}, "batch of 32", "0.421 J/batch", "0.379–0.463 J"),
        (generation(), "512 → 256 tokens, 32 at once, on 2", "3.1 J/request", "2.6–3.7 J"),
        (row() | {"powerLimitWatts": 200}, "batch of 32, at 200 W", "0.421 J/batch", "0.379–0.463 J"),
        (generation(clockMHz=900), "512 → 256 tokens, 32 at once, on 2, at 900 MHz", "3.1 J/request", "2.6–3.7 J"),
        (generation(parallel=1, concurrency=1), "512 → 256 tokens, 1 at once", "3.1 J/request", "2.6–3.7 J"),
        (generation(phase="prefill"), "512 tokens, 32 at once, on 2", "0.001 J/input token", "0.0009–0.0011 J"),
        (generation(phase="decode"), "after 512 tokens, 32 at once, on 2", "0.012 J/output token", "0.01–0.014 J"),
    ],
)
def test_a_summary(result: dict[str, Any], load: str, energy: str, interval: str) -> None:
    found = summary_of(result, "meta-llama/Llama-3.1-8B")
    assert (found["load"], found["joules"], found["interval"]) == (load, energy, interval)
    assert found["accelerator"] == "NVIDIA-H200"
    EstimateSummary.model_validate(found)


def test_a_generation_has_no_batch_size() -> None:
    assert "batchSize" not in summary_of(generation(), "m")
    assert summary_of(row(), "m")["batchSize"] == "32"
