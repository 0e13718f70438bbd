from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.measure.report.smoke import STEPS, Finding
from joulecast_calibration.measure.report.verdict import judge
from joulecast_calibration.rows.journals import Placed, Rows
from joulecast_calibration.rows.typed import TypedRow, row_of
from tests.unit.joulecast_calibration.measure.handmade import HandmadeSuite
from tests.unit.joulecast_calibration.rows import made

SUITE = HandmadeSuite()
(SUM_OF,) = SUITE.additivity


def layer(digest: str = "d", joules: float = 1.0, **more: Any) -> TypedRow:
    configuration = Configuration(
        kind="layer", slice="layers", name="torch.add", digest=digest, op_type="Add", runtime="torch-cudagraph",
        l2_state="rotated", **{name: more.pop(name) for name in ("repeat", "anchor") if name in more},
    )  # fmt: skip
    return _row(configuration, joules, more)


def network(joules: float = 1.0, **more: Any) -> TypedRow:
    own = {name: more.pop(name) for name in ("runtime", "window", "repeat") if name in more}
    kind = "window" if own.get("window") else "network"
    configuration = Configuration(kind=kind, slice="networks", name="torchvision:n000", batch_size=32, **own)
    return _row(configuration, joules, more)


def _row(configuration: Configuration, joules: float, more: dict[str, Any]) -> TypedRow:
    whole = {"layer": made.layer, "network": made.network, "window": made.window}[configuration.kind]()
    known = configuration.columns() | {"identity": configuration.identity}
    return row_of(whole | known | {"joules": joules} | more)


def rows_of(*rows: TypedRow, damaged: tuple[str, ...] = ()) -> Rows:
    placed = tuple(Placed(path=Path("a.jsonl"), line=line, row=row) for line, row in enumerate(rows, 1))
    return Rows(placed=placed, damaged=damaged)


def finding(name: str, *rows: TypedRow, damaged: tuple[str, ...] = ()) -> Finding:
    found = judge(rows_of(*rows, damaged=damaged), (SUM_OF,))
    return next(each for each in found if each.name.startswith(name))


def test_without_rows_nothing_is_claimed() -> None:
    outcomes = {each.name: each.outcome for each in judge(Rows(), (SUM_OF,))}
    compared = ("repeats", "anchors", "additivity", "energy", "integrated", "CodeCarbon", "usual", "steady")
    assert {outcome for name, outcome in outcomes.items() if name.startswith(compared)} == {"unknown"}


@pytest.mark.parametrize(("second", "outcome"), [(1.01, "holds"), (0.97, "fails")])
def test_repeats_show_the_noise_floor(second: float, outcome: str) -> None:
    found = finding("repeats", layer(), layer(joules=second, repeat=1))
    assert found.outcome == outcome
    assert "of 1" in found.figure


def test_a_repeat_in_another_run_or_an_anchor_is_no_repeat() -> None:
    assert finding("repeats", layer(), layer(repeat=1, run_id="other")).outcome == "unknown"
    assert finding("repeats", layer(anchor="start"), layer(repeat=1)).outcome == "unknown"


@pytest.mark.parametrize(("end", "outcome"), [(0.99, "holds"), (1.05, "fails")])
def test_anchors_show_drift(end: float, outcome: str) -> None:
    found = finding("anchors", layer(anchor="start"), layer(joules=end, anchor="end"))
    assert (found.outcome, found.figure.split(",")[0]) == (outcome, f"median {100 * (end - 1):+.1f} %")


def layers_of_the_sum(joules: float) -> list[TypedRow]:
    return [layer(each.digest, joules) for each, _ in SUM_OF.layers]


@pytest.mark.parametrize(("joules", "outcome"), [(0.05, "holds"), (0.054, "holds"), (0.056, "fails"), (0.04, "fails")])
def test_layers_must_sum_to_their_network(joules: float, outcome: str) -> None:
    whole = network(1.0, runtime="torch-cudagraph")
    assert finding("additivity", whole, *layers_of_the_sum(joules)).outcome == outcome


def test_a_sum_with_a_layer_missing_is_unknown() -> None:
    found = finding("additivity", network(1.0, runtime="torch-cudagraph"), *layers_of_the_sum(0.05)[1:])
    assert (found.outcome, found.figure) == ("unknown", "9 of 10 layers measured, the network 1 times")
    assert finding("additivity", network(1.0), *layers_of_the_sum(0.05)).outcome == "unknown"  # eager is not the whole


def test_more_power_than_the_card_may_draw_is_found() -> None:
    assert finding("energy", layer(watts=700.0)).outcome == "holds"
    assert finding("energy", layer(watts=730.0), layer("e")).figure == "1 of 2 rows above; the highest at 104% of it"


def test_cross_checks_are_compared_with_the_counter() -> None:
    assert finding("integrated", layer(power_joules=1.03)).outcome == "holds"
    assert finding("integrated", layer(power_joules=0.9)).outcome == "fails"
    codecarbon = {
        "name": "n", "check": "codecarbon", "codecarbon": "3", "executions": 4000, "seconds": 1e-3, "joules": 1.0,
        "joules_standard_error": None, "codecarbon_joules": 1.01, "codecarbon_seconds": 4.0, "counter_joules": None,
        "codecarbon_difference": 0.01,
    }  # fmt: skip
    compared = row_of(made.window(window="codecarbon", codecarbon=codecarbon))
    assert finding("CodeCarbon", compared).outcome == "holds"
    assert finding("usual windows", network(1.05), network(1.0, window="long")).figure.startswith("median +5.0 %")


def test_a_row_of_another_graph_is_good_where_the_journal_holds_that_graph() -> None:
    other = network(digest="sha256:traced", digest_expected="sha256:x")
    graph = row_of(made.graph(digest="sha256:traced"))
    found = finding("each row has its graph", graph, other, layer())
    assert (found.outcome, found.figure) == ("holds", "1 differ from the suite's")
    lacking = finding("each row has its graph", other, layer())
    wanted = "1 differ from the suite's; the journal lacks the graph of torchvision:n000 batch 32"
    assert (lacking.outcome, lacking.figure) == ("fails", wanted)


def test_rows_may_be_fitted_unless_a_check_of_all_rows_fails() -> None:
    rows = [layer(f"d{number}") for number in range(10)]
    assert finding("rows may be fitted", *rows).figure == "10 layers and networks"
    assert finding("rows may be fitted", *rows).outcome == "holds"
    few = finding("rows may be fitted", *rows[1:])
    assert (few.outcome, few.figure) == ("fails", "9 valid layers and networks, and a fit needs 10")
    off = finding("rows may be fitted", *(replace(row, power_joules=1.2) for row in rows))
    assert off.outcome == "fails"
    assert off.figure == "integrated power against the counter: median +20.0 %, largest +20.0 %, of 10"
    capped = finding("rows may be fitted", *rows, layer("x", watts=800.0, seconds=1e-3))
    assert capped.outcome == "holds"
    made_up = finding("rows may be fitted", *rows, layer("x", simulated=True))
    assert made_up.figure == "they are simulated"


def test_what_is_invalid_or_failed_is_counted_by_reason() -> None:
    invalid = layer("e", valid=False, invalid_reason="not finite")
    memory, crash = row_of(made.failure()), row_of(made.failure(reason="Crash"))
    assert finding("valid", layer(), invalid).figure == "1 invalid: not finite 1"
    assert finding("nothing failed", memory).outcome == "holds"
    assert finding("nothing failed", memory, crash).outcome == "fails"
    assert finding("repeats", invalid, layer("e", repeat=1)).outcome == "unknown"


@pytest.mark.parametrize(("kind", "outcome"), [("network", "holds"), ("layer", "fails")])
def test_some_networks_cannot_be_captured_but_every_layer_can(kind: str, outcome: str) -> None:
    failure = row_of(made.failure(reason="CaptureFailed", measured_kind=kind))
    found = finding("nothing failed", failure)
    assert (found.outcome, found.figure) == (outcome, "1 failed: CaptureFailed 1")


def test_unsteady_and_throttled_windows_are_counted() -> None:
    rows = [layer(str(number), steady=number > 1, throttle_reasons=["sw_power_cap"]) for number in range(10)]
    found = finding("steady", *rows)
    assert (found.outcome, found.figure) == ("fails", "2 of 10 are not, sw_power_cap in 10")


def test_lines_that_are_no_rows_are_named() -> None:
    assert finding("lines", layer(), damaged=("a.jsonl:7",)).figure == "1 unreadable: a.jsonl:7"


def test_rows_that_are_refused_are_named_with_what_is_wrong(tmp_path: Path) -> None:
    found = made.read(tmp_path, [made.session(), made.layer(1), made.layer(2, joules=-1)])
    verdict = {each.name: each for each in judge(found, (SUM_OF,))}["lines are rows"]
    where = f"{tmp_path / 'run.jsonl'}, line 3"
    figure = f"0 unreadable; 1 refused: {where}, joules is -1: give a finite number above 0 J"
    assert (verdict.outcome, verdict.figure) == ("fails", figure)


def constants(**more: Any) -> TypedRow:
    return row_of(made.constants(**more))


def test_parts_of_the_constants_that_are_missing_are_named() -> None:
    assert finding("constants").outcome == "unknown"
    assert finding("constants", constants()).outcome == "holds"
    found = finding("constants", constants(gap={"gap_error": "no pause"}, ceilings_error=None))
    assert (found.outcome, found.figure) == ("fails", "gap_error: no pause")
    found = finding("constants", constants(host_constants={"host_error": "too busy"}, ceilings_error="no room"))
    assert (found.outcome, found.figure) == ("fails", "ceilings_error: no room; host_error: too busy")


def test_a_cross_check_without_codecarbon_says_that_it_was_skipped() -> None:
    missing = "CodeCarbon is not installed"
    row = row_of(made.window(window="codecarbon", codecarbon=None, codecarbon_missing=missing))
    found = finding("CodeCarbon", row)
    assert (found.outcome, found.figure) == ("unknown", "skipped: CodeCarbon is not installed")


def test_a_network_without_a_trace_is_told_beside_the_digests() -> None:
    untraced = network(digest=None, digest_expected="sha256:x", untraced_reason="it steers")
    found = finding("each row has its graph", untraced)
    lacks = "the journal lacks the graph of torchvision:n000 batch 32"
    assert (found.outcome, found.figure) == ("fails", f"1 differ from the suite's; {lacks}; 1 without a trace")


def smoking(*rows: TypedRow) -> dict[str, Finding]:
    found = judge(rows_of(*rows), (SUM_OF,))
    return {each.name.removeprefix("smoke: "): each for each in found if each.name.startswith("smoke: ")}


def test_a_smoke_run_says_which_step_did_not_work() -> None:
    assert smoking(layer()) == {}
    key = "network|torchvision:n000|b32|torch-cudagraph|default"
    crash = row_of(made.failure(slice="smoke", key=key, reason="Crash", message="it did not print anything"))
    invalid = network(slice="smoke", valid=False, invalid_reason="not finite", runtime="torch-eager")
    found = smoking(layer(slice="smoke", seconds=0.001), crash, invalid)
    assert list(found) == list(STEPS)
    assert found["layer"] == Finding(name="smoke: layer", outcome="holds", figure="1 J, 1 ms, 100 W")
    assert (found["network, torch-cudagraph"].outcome, found["network, torch-cudagraph"].figure) == (
        "fails", "Crash: it did not print anything",
    )  # fmt: skip
    assert found["network, torch-eager"].figure == "not finite: see its row"
    assert found["language model"].outcome == "unknown"


def test_the_last_row_of_a_step_is_judged() -> None:
    failed = layer(slice="smoke", kind="failure", reason="LoadStalled", message="it hangs")
    assert smoking(failed)["layer"].outcome == "fails"
    assert smoking(failed, layer(slice="smoke", seconds=0.001))["layer"].outcome == "holds"
