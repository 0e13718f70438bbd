"""The table of the hub says whether a figure meets what is wanted."""

from __future__ import annotations

import pytest

from benchmarks.hub import row


@pytest.mark.parametrize(("seconds", "verdict"), [(0.5, "met"), (2.0, "met"), (2.01, "missed")])
def test_a_figure_is_met_or_missed(seconds: float, verdict: str) -> None:
    assert row("a model", seconds, 2.0) == f"| a model | {seconds:.2f} s | ≤ 2 s | {verdict} |"


def test_what_has_no_target_is_not_judged() -> None:
    assert row("a model", 5.0, None).endswith("| 5.00 s | – | |")
