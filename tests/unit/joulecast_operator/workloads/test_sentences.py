"""Test what is said of a result in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.workloads.sentences import forecast
from tests.unit.joulecast_operator.samples.workloads import A100, H100, estimate, generation, row


def said(*rows: dict[str, Any]) -> str:
    """Return what is said of the first row before the estimate that it is from."""
    head, _, source = forecast(rows[0], estimate(rows=rows)).partition("; ")
    assert source.startswith('by the estimate "detector", precision ')
    return head


def test_a_request_is_said_with_its_tokens_load_and_cards() -> None:
    assert said(generation()) == (
        "3.1 J per request (512 → 256 tokens, 32 at once) on 2 × NVIDIA-H100-80GB-HBM3 (2.6–3.7, transferred):"
        " 0.012 J per output token"
    )


def test_the_caps_of_the_cards_are_said() -> None:
    capped = row(powerLimitWatts=200, clockMHz=900)
    assert said(capped).startswith("0.421 J per batch of 32 on NVIDIA-H200 at 200 W and 900 MHz (")


def test_tokens_that_are_cached_are_said() -> None:
    text = said(generation(cachedTokens=128, parallel=1))
    assert text.startswith("3.1 J per request (512 → 256 tokens, 128 cached, 32 at once) on NVIDIA-H100-80GB-HBM3 (")


@pytest.mark.parametrize(
    ("phase", "text"),
    [
        (
            {"phase": "prefill", "joulesPerOutputToken": 0.0},
            f"3.1 J per input (512 tokens, 32 at once) on 2 × {H100} (2.6–3.7, transferred): 0.0006 J per input token",
        ),
        (
            {"phase": "decode", "joulesPerInputToken": 0.0},
            f"0.012 J per output token (512 → 256 tokens, 32 at once) on 2 × {H100} (0.01–0.014, transferred)",
        ),
    ],
)
def test_each_phase_is_said_by_its_own_figure(phase: dict[str, Any], text: str) -> None:
    assert said(generation(**phase)) == text


def test_one_pass_of_a_language_model_is_said_with_its_tokens() -> None:
    text = said(row(phase="forward", inputTokens=128))
    assert text.startswith("0.421 J per batch of 32 of 128 tokens on NVIDIA-H200 (0.392–0.463, public)")


def test_a_request_is_compared_with_the_same_request_on_another_accelerator() -> None:
    rows = [
        generation(),
        generation(A100, joules=6.2),
        generation("NVIDIA-B200", joules=1.0, concurrency=64),
        generation("NVIDIA-L40S", joules=1.0, parallel=4),
    ]
    assert said(*rows).endswith(": 0.012 J per output token, 50 % below NVIDIA-A100-SXM4-80GB")
