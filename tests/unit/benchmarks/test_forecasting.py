"""The table of forecasts: what is measured, and what is said of it."""

from __future__ import annotations

import pytest

from benchmarks.forecasting import LAYERS, commands, different_layers, fitting_row, row
from tests.harness.environment import ROOT


def test_no_two_layers_are_alike() -> None:
    layers = different_layers()
    assert len({repr(layer) for layer in layers}) == LAYERS


@pytest.mark.parametrize(("met", "verdict"), [(True, "met"), (False, "missed")])
def test_a_figure_is_met_or_missed(met: bool, verdict: str) -> None:
    assert row("a forecast", "2.0 ms", "≤ 3 ms", met=met) == f"| a forecast | 2.0 ms | ≤ 3 ms | {verdict} |"


def test_without_published_tables_the_line_is_left_open() -> None:
    assert fitting_row(None).endswith("| not measured: BENCH_DATA names no folder | ≤ 15 min | |")


def test_profiles_and_scores_are_the_commands_of_the_manual() -> None:
    fit, evaluate = commands(ROOT / "tables", ROOT / "scratch")
    manual = (ROOT / "docs" / "measuring.md").read_text("utf-8")
    assert (fit[0], evaluate[0]) == ("fit", "evaluate")
    assert "joulecast fit --data DIR --measured data/measurements --out" in manual
