from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from joulecast_calibration.measure.plan.allocation import allocate
from joulecast_calibration.measure.plan.configuration import SLICES
from joulecast_calibration.measure.plan.history import History
from joulecast_calibration.measure.plan.plan import BLOCK, LONG_SECONDS, PlanOptions, make_plan, smallest
from joulecast_calibration.measure.report.smoke import STEPS, step_of
from joulecast_calibration.suite import committed
from tests.unit.joulecast_calibration.measure.handmade import HandmadeSuite

SUITE = HandmadeSuite()


@pytest.fixture(scope="module")
def first():
    return make_plan(SUITE, PlanOptions())


def order(plan):
    return list(dict.fromkeys(row.slice for row in plan.rows))


def test_the_first_run_follows_the_published_order(first) -> None:
    assert first.opening[0].kind == "constants"
    assert order(first)[:8] == [
        "smoke", "llm", "networks", "cudagraph", "layers", "repeats", "additivity", "crosscheck",
    ]  # fmt: skip


def test_a_run_without_slices_goes_on_with_the_rest(first) -> None:
    assert order(first)[8:] == ["serving", "bf16", "compile", "hot"]
    rows = [row for row in first.rows if row.precision == "default" and row.l2_state == "rotated" and not row.repeat]
    layers = {row.digest for row in rows if row.kind == "layer"}
    assert {layer.digest for layer in SUITE.layers} <= layers


def test_passes_of_decoders_come_in_two_rounds_and_share_builds() -> None:
    rows = make_plan(committed(), PlanOptions(slices=("serving",))).rows
    short = [row for row in rows if row.forward_seconds <= LONG_SECONDS]
    assert len(rows) == len(committed().decoders.passes)
    assert {row.name for row in short[: len(short) // 2]} == {row.name for row in short}
    builds = sum(row.group != before.group for before, row in pairwise(short))
    assert builds == 17  # of 9 decoders, twice
    assert {(row.kind, row.runtime, row.precision) for row in rows} == {("network", "torch-cudagraph", "bf16")}
    assert {row.phase for row in rows[:8]} == {"prefill", "decode"}


def test_a_pass_has_a_key_and_a_name_of_its_own() -> None:
    rows = make_plan(committed(), PlanOptions(slices=("serving",))).rows
    row = next(row for row in rows if (row.name, row.phase, row.batch_size) == ("decoder:qwen2-7b", "decode", 8))
    assert row.key == f"network|decoder:qwen2-7b|b8|decode|c{row.context_tokens}|torch-cudagraph|bf16"
    assert row.label == f"decoder:qwen2-7b decode of {row.context_tokens} tokens batch 8 torch-cudagraph bf16"
    columns = row.columns()
    assert (columns["phase"], columns["context_tokens"]) == ("decode", row.context_tokens)
    assert "phase" not in make_plan(SUITE, PlanOptions(slices=("networks",))).rows[0].columns()


def test_the_first_run_is_as_large_as_said(first) -> None:
    counts = Counter(row.slice for row in first.rows[: order_of(first, "additivity")])
    smoked = Counter(step_of(row.key) for row in first.rows if row.slice == "smoke")
    assert counts["llm"] == 9 - smoked["language model"]
    assert counts["networks"] == 288 - smoked["network, torch-eager"]
    assert counts["cudagraph"] in (29, 30)  # one may be smoked
    assert counts["layers"] in (199, 200)


def order_of(plan, name: str) -> int:
    return next(position for position, row in enumerate(plan.rows) if row.slice == name)


def test_the_first_minutes_are_short_and_try_each_kind_of_row(first) -> None:
    smoke = first.rows[: order_of(first, "llm")]
    assert [step_of(row.key) for row in smoke] == list(STEPS)
    assert sum(row.expected_seconds for row in smoke) <= 45


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_window_may_be_cut_anywhere_without_losing_a_task_a_batch_or_a_runtime(seed: int) -> None:
    rows = make_plan(SUITE, PlanOptions(seed=seed)).rows
    start = order_of(make_plan(SUITE, PlanOptions(seed=seed)), "networks")
    for length in (20, 50, 100, 200, 400):
        cut = rows[start : start + length]
        networks = [row for row in cut if row.kind == "network"]
        assert {row.batch_size for row in networks} == {1, 32, 128}
        assert {row.task for row in networks} == {network.task for network in SUITE.networks}
        assert {row.runtime for row in networks} == {"torch-eager", "torch-cudagraph"}
        assert 0.15 * length <= sum(row.kind == "layer" for row in cut) <= 0.6 * length


def test_a_captured_network_shares_the_build_of_its_batches(first) -> None:
    places = {row.key: place for place, row in enumerate(first.rows)}
    captured = [row for row in first.rows if row.slice == "cudagraph" and not row.repeat]
    before = [first.rows[places[row.key] - 1] for row in captured]
    assert sum(row.group == one.group for row, one in zip(captured, before, strict=True)) >= 0.9 * len(captured)


def test_most_repeats_come_soon_after_what_they_repeat(first) -> None:
    place = {row.identity: position for position, row in enumerate(first.rows) if not row.repeat}
    early = first.rows[: order_of(first, "additivity")]
    repeats = [(position, row) for position, row in enumerate(early) if row.repeat]
    assert repeats
    assert all(0 < position - place[row.identity] <= 2 * BLOCK for position, row in repeats)


def test_no_row_is_planned_twice(first) -> None:
    keys = [row.key for row in (*first.opening, *first.rows, *first.closing)]
    assert len(keys) == len(set(keys))


def test_anchors_open_and_close_every_run_whatever_its_seed(first) -> None:
    assert len(first.closing) == 12
    other = make_plan(SUITE, PlanOptions(seed=7, slices=("networks",)))
    assert [row.identity for row in other.closing] == [row.identity for row in first.closing]
    assert [row.identity for row in first.opening[1:]] == [row.identity for row in first.closing]


def test_the_plan_depends_on_nothing_but_suite_and_wish() -> None:
    assert make_plan(SUITE, PlanOptions(seed=3)) == make_plan(HandmadeSuite(), PlanOptions(seed=3))
    assert make_plan(SUITE, PlanOptions(seed=3)).rows != make_plan(SUITE, PlanOptions(seed=4)).rows


@pytest.mark.parametrize("seed", range(3))
def test_any_prefix_of_layers_is_a_prefix_of_the_coverage_order_up_to_a_block(seed: int) -> None:
    rows = make_plan(SUITE, PlanOptions(slices=("layers",), seed=seed)).rows
    coverage = [layer.digest for layer in SUITE.layers]
    for length in range(0, len(rows), 37):
        taken = {row.digest for row in rows[:length]}
        whole = BLOCK * (length // BLOCK)
        assert set(coverage[:whole]) <= taken <= set(coverage[: whole + BLOCK])


def test_inside_a_block_the_order_is_drawn() -> None:
    rows = make_plan(SUITE, PlanOptions(slices=("layers",))).rows
    assert [row.digest for row in rows[:BLOCK]] != [layer.digest for layer in SUITE.layers[:BLOCK]]


def test_batches_of_a_network_share_its_build_and_come_in_a_drawn_order() -> None:
    rows = make_plan(SUITE, PlanOptions(slices=("networks",))).rows
    short = [row for row in rows if row.forward_seconds <= LONG_SECONDS and row.name != "timm:huge"]
    names = [row.name for row in short]
    assert all(len({*names[start : start + 3]}) == 1 for start in range(0, len(names), 3))
    assert len({tuple(row.batch_size for row in short[start : start + 3]) for start in range(0, len(short), 3)}) > 3
    assert short[1].expected_seconds < short[0].expected_seconds


def test_long_rows_come_last_but_those_of_the_language_models_last_of_theirs(first) -> None:
    usual = [row for row in first.rows if row.slice != "llm"]
    long = [row.forward_seconds > LONG_SECONDS for row in usual]
    assert any(long)
    assert long == sorted(long)
    llm = [row.forward_seconds > LONG_SECONDS for row in first.rows if row.slice == "llm"]
    assert any(llm)
    assert llm == sorted(llm)


def test_a_tenth_is_repeated_and_only_what_is_measured(first) -> None:
    repeats = [row for row in first.rows if row.repeat]
    candidates = 3 * 121 + 30 + 1000
    assert 0.07 * candidates < len(repeats) < 0.13 * candidates
    history = History()
    assert not any(history.wants(row) for row in repeats)
    history.suppose(replace(repeats[0], repeat=0))
    assert [row for row in repeats if history.wants(row)] == [repeats[0]]


def test_every_tenth_layer_is_measured_hot_as_well() -> None:
    hot = make_plan(SUITE, PlanOptions(slices=("hot",))).rows
    assert [row.digest for row in hot] == [layer.digest for layer in SUITE.layers[::10]]
    assert {row.l2_state for row in hot} == {"hot"}
    assert not {row.key for row in hot} & {row.key for row in make_plan(SUITE, PlanOptions(slices=("layers",))).rows}


def test_cross_checks_have_enough_windows_of_the_right_length(first) -> None:
    windows = [row for row in first.rows if row.kind == "window"]
    assert sum(row.window == "long" and row.forward_seconds > 0.01 for row in windows) >= 5
    assert sum(row.window == "codecarbon" and row.forward_seconds <= 0.0025 for row in windows) >= 10


def test_a_named_precision_and_runtime_replace_the_slices_own() -> None:
    rows = make_plan(
        SUITE, PlanOptions(slices=("networks", "layers"), precision="tf32", runtime="onnxruntime-cuda")
    ).rows
    assert {row.precision for row in rows} == {"tf32"}
    assert {row.runtime for row in rows if row.kind == "network"} == {"onnxruntime-cuda"}
    assert {row.runtime for row in rows if row.kind == "layer"} == {"torch-cudagraph"}


@pytest.mark.parametrize("name", SLICES[1:])
def test_every_slice_has_rows_of_its_own(name: str) -> None:
    rows = make_plan(SUITE, PlanOptions(slices=(name,))).rows
    assert rows
    assert {row.slice for row in rows} == {name}


def test_slices_keep_their_order_however_they_are_named() -> None:
    assert order(make_plan(SUITE, PlanOptions(slices=("layers", "networks")))) == ["networks", "layers"]


def test_twenty_five_minutes_buy_what_is_promised() -> None:
    suite = HandmadeSuite(200, 2000)
    allocated = allocate(make_plan(suite, PlanOptions(slices=("networks",))), 1500, 570)
    assert sum(row.kind == "network" for row in allocated.rows) >= 350
    allocated = allocate(make_plan(suite, PlanOptions(slices=("layers",))), 1500, 570)
    assert sum(row.slice == "layers" for row in allocated.rows) >= 900


@pytest.mark.parametrize("budget", [200.0, 600.0, 1500.0, 6000.0])
def test_what_is_bought_never_exceeds_the_budget(first, budget: float) -> None:
    allocated = allocate(first, budget, 570)
    assert allocated.seconds <= budget
    assert allocated.left + len(allocated.rows) >= 25


def test_a_check_runs_each_network_of_the_first_run_once_at_its_smallest_batch() -> None:
    rows = smallest(make_plan(SUITE, PlanOptions(rest=False))).rows
    networks = [row for row in rows if row.kind == "network"]
    assert {row.batch_size for row in networks} == {1}
    assert len({row.name for row in networks}) == len(networks) == 96 + 3
    assert {row.runtime for row in networks} == {"torch-eager"}
    assert sum(row.kind == "layer" for row in rows) == 210 + 1  # one is measured hot as well


def test_a_smoke_run_has_each_kind_once_and_nothing_else() -> None:
    plan = make_plan(SUITE, PlanOptions(slices=("smoke",)))
    assert [step_of(row.key) for row in plan.rows] == list(STEPS)
    assert [row.kind for row in plan.opening] == ["constants"]
    assert plan.closing == ()
    assert sum(row.expected_seconds for row in (*plan.opening, *plan.rows)) <= 105


def test_a_smoke_slice_beside_others_has_their_anchors() -> None:
    plan = make_plan(SUITE, PlanOptions(slices=("smoke", "layers")))
    assert len(plan.closing) == 12


@pytest.mark.parametrize("name", ["layers", "networks"])
def test_a_slice_that_outlasts_its_budget_has_its_repeats_all_the_same(name: str) -> None:
    rows = make_plan(SUITE, PlanOptions(slices=(name, "repeats"))).rows
    own = [position for position, row in enumerate(rows) if row.slice == name]
    repeats = [row for row in rows[: own[3 * BLOCK]] if row.repeat]
    assert 0.05 * 3 * BLOCK <= len(repeats) <= 0.2 * 3 * BLOCK
    places = {row.identity: position for position, row in enumerate(rows) if not row.repeat}
    assert all(places[row.identity] < rows.index(row) for row in repeats)
    assert len({row.key for row in rows}) == len(rows)


def test_what_is_left_of_the_first_run_buys_repeats_and_cross_checks_alike(first) -> None:
    start = order_of(first, "crosscheck")
    measured = {row.identity for row in first.rows[:start]}
    own = sum(row.repeat and row.identity in measured for row in first.rows[start:])
    slices = Counter(row.slice for row in first.rows[start : start + (own + 18) // 2])
    assert slices["crosscheck"] == pytest.approx(9, abs=2)
    assert slices["repeats"] == pytest.approx(own / 2, abs=2)
