from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from joulecast.cli.tables.estimates import estimate_tables
from joulecast.cli.tables.explanation import causes
from joulecast.cli.tables.profiles import profile_tables
from joulecast.layers import Coverage
from tests.unit.handmade import COSTLIER, ESTIMATE, PROFILE


def text(renderables: list[RenderableType]) -> str:
    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as captured:
        for renderable in renderables:
            console.print(renderable, highlight=False)
    return captured.get()


def line(shown: str, word: str) -> str:
    """The first line of a table that has ``word``."""
    return next(line for line in shown.splitlines() if word in line)


def test_a_profile_tells_what_it_is_and_its_sums() -> None:
    shown = text(profile_tables(PROFILE, top=10))
    assert PROFILE.digest in shown
    assert "4.75 MiB read" in shown
    assert "x 1×16×32×32, sr ()" in shown
    assert "sr = 16000" in shown
    assert "1.18 MMAC (1 MAC = 2 FLOPs); ops that carry any: 1" in shown
    assert "100 % of FLOPs, 66.7 % of ops" in line(shown, "coverage")
    assert "not covered: Exotic has no counting rule: its bytes are in the figures" in shown


def test_a_profile_has_a_line_per_op_type_and_leaves_free_ops_out() -> None:
    shown = text(profile_tables(PROFILE, top=10))
    assert line(shown, "Conv ").split()[:5] == ["Conv", "counted", "1", "1.18", "100"]
    assert "zero" in line(shown, "Relu")
    assert "Flatten" not in shown
    assert "1 (constants, views" in line(shown, "free ops")


def test_top_limits_the_layers_and_zero_shows_all() -> None:
    one = text(profile_tables(PROFILE, top=1))
    assert "(1 of 3)" in one
    assert "/stem/Conv" in one
    assert "/stem/Relu" not in one
    everything = text(profile_tables(PROFILE, top=0))
    assert "/stem/Relu" in everything
    assert "/head/Exotic (× 3)" in everything
    assert "1×16×32×32, 32×4×3×3 → 1×32×32×32" in everything


def test_a_forecast_shows_interval_coverage_and_origin() -> None:
    shown = text(estimate_tables(PROFILE, [ESTIMATE], explain=False, top=10))
    row = line(shown, "NVIDIA-H200")
    assert "0.42 J (0.39–0.46)" in row
    assert "350 100 % public" in " ".join(row.split())
    assert "torch-eager, default precision" in shown
    assert row.rstrip().endswith("public")
    assert "in 90 % of cases, not guaranteed" in shown
    assert "· no layer rows of this accelerator" in shown
    assert "Where the joules go" not in shown


def test_inputs_name_the_batch_size_they_are_of_where_there_are_several() -> None:
    assert "sr () (at batch size 1)" in text(estimate_tables(PROFILE, [ESTIMATE], explain=False, top=10))
    assert "at batch size" not in text(estimate_tables(PROFILE, [COSTLIER], explain=False, top=10))


def test_unpriced_ops_are_listed() -> None:
    partial = replace(ESTIMATE, coverage=Coverage(flops=0.5, ops=0.25, unsupported=("Exotic", "Odd")))
    shown = text(estimate_tables(PROFILE, [partial], explain=False, top=10))
    assert "50 % / 25 %" in shown
    assert "not covered: Exotic, Odd" in shown


def test_an_explanation_splits_the_joules_by_cause_op_type_and_layer() -> None:
    shown = text(estimate_tables(PROFILE, [ESTIMATE], explain=True, top=1))
    assert "50 %" in line(shown, "arithmetic")  # 0.21 of 0.42 J
    assert "20 mJ" in line(shown, "launches")
    assert line(shown, "Conv ").split()[:3] == ["Conv", "1", "300"]
    assert "71.4 %" in line(shown, "/stem/Conv")
    assert "/stem/Relu" not in shown
    assert "(1 of 2)" in shown


def test_the_causes_sum_to_the_batch() -> None:
    assert sum(joules for _, joules, _ in causes(ESTIMATE)) == pytest.approx(ESTIMATE.joules_per_batch)


def test_a_row_that_nothing_prices_says_so() -> None:
    unpriced = replace(ESTIMATE, layers=(replace(ESTIMATE.layers[0], priced=False),))
    assert "/stem/Conv (not priced)" in text(estimate_tables(PROFILE, [unpriced], explain=True, top=0))


def test_names_of_a_model_are_shown_escaped() -> None:
    name = "\x1b[31mstem\nfake row"
    layers = (replace(PROFILE.layers[0], name=name), *PROFILE.layers[1:])
    odd = replace(
        PROFILE, source="m\x1b[2J.onnx", layers=layers, coverage=Coverage(flops=1, ops=0.5, unsupported=(name,))
    )
    priced = replace(ESTIMATE, layers=(replace(ESTIMATE.layers[0], name=name), *ESTIMATE.layers[1:]))
    for tables in (
        profile_tables(odd, top=0),
        estimate_tables(odd, [priced], explain=True, top=0),
        estimate_tables(odd, [priced, COSTLIER], explain=False, top=0),
    ):
        shown = text(tables)
        assert shown.replace("\n", "").isprintable()
        assert "\\x1b[2J" in shown
    assert "\\x1b[31mstem\\nfake" in text(profile_tables(odd, top=0))
