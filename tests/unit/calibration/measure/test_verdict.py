from __future__ import annotations

from typing import Any

import pytest

from joulecast.calibration.measure.configuration import Configuration
from joulecast.calibration.measure.finding import Finding
from joulecast.calibration.measure.smoke import STEPS
from joulecast.calibration.measure.verdict import judge
from joulecast.calibration.rows.journals import Rows
from tests.unit.calibration.measure.handmade import HandmadeSuite

SUITE = HandmadeSuite()
(SUM_OF,) = SUITE.additivity()


def layer(digest: str = "d", joules: float | None = 1.0, **more: Any) -> dict[str, Any]:
    configuration = Configuration(
        kind="layer", slice="layers", name="torch.add", digest=digest, op_type="Add", runtime="torch-cudagraph",
        l2_state="rotated", **{name: more.pop(name) for name in ("repeat", "anchor") if name in more},
    )  # fmt: skip
    return _row(configuration, joules, more)


def network(joules: float | None = 1.0, **more: Any) -> dict[str, Any]:
    own = {name: more.pop(name) for name in ("runtime", "window", "repeat") if name in more}
    kind = "window" if own.get("window") else "network"
    configuration = Configuration(kind=kind, slice="networks", name="torchvision:n000", batch_size=32, **own)
    return _row(configuration, joules, more)


def _row(configuration: Configuration, joules: float | None, more: dict[str, Any]) -> dict[str, Any]:
    measured = {"run_id": "r", "process": 1, "identity": configuration.identity, "joules": joules, "valid": True,
                "watts": 100.0, "power_limit_watts": 700.0, "steady": True, "throttle_reasons": []}  # fmt: skip
    return {"kind": configuration.kind, **configuration.columns(), **measured, **more}


def finding(name: str, *rows: dict[str, Any], damaged: tuple[str, ...] = ()) -> Finding:
    found = judge(Rows(rows=rows, damaged=damaged), (SUM_OF,))
    return next(each for each in found if each.name.startswith(name))


def test_without_rows_nothing_is_claimed() -> None:
    outcomes = {each.name: each.outcome for each in judge(Rows(rows=()), (SUM_OF,))}
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


def layers_of_the_sum(joules: float) -> list[dict[str, Any]]:
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
    codecarbon = {"joules": 1.0, "codecarbon_joules": 1.01}
    assert finding("CodeCarbon", layer(codecarbon=codecarbon)).outcome == "holds"
    assert finding("usual windows", network(1.05), network(1.0, window="long")).figure.startswith("median +5.0 %")


def test_a_row_of_another_graph_is_good_where_the_journal_holds_that_graph() -> None:
    other = network(digest="sha256:traced", digest_expected="sha256:x")
    graph = {"kind": "graph", "digest": "sha256:traced", "run_id": "r", "process": 1}
    found = finding("each row has its graph", graph, other, layer())
    assert (found.outcome, found.figure) == ("holds", "1 differ from the suite's")
    lacking = finding("each row has its graph", other, layer())
    wanted = "1 differ from the suite's; the journal lacks the graph of torchvision:n000 batch 32"
    assert (lacking.outcome, lacking.figure) == ("fails", wanted)


def test_rows_may_be_fitted_unless_a_check_of_all_rows_fails() -> None:
    rows = [layer(f"d{number}", seconds=1e-3, simulated=False) for number in range(10)]
    assert finding("rows may be fitted", *rows).figure == "10 layers and networks"
    assert finding("rows may be fitted", *rows).outcome == "holds"
    few = finding("rows may be fitted", *rows[1:])
    assert (few.outcome, few.figure) == ("fails", "9 valid layers and networks, and a fit needs 10")
    off = finding("rows may be fitted", *(dict(row, power_joules=1.2) for row in rows))
    assert off.outcome == "fails"
    assert off.figure == "integrated power against the counter: median +20.0 %, largest +20.0 %, of 10"
    capped = finding("rows may be fitted", *rows, layer("x", watts=800.0, seconds=1e-3))
    assert capped.outcome == "holds"
    made_up = finding("rows may be fitted", *rows, layer("x", simulated=True))
    assert made_up.figure == "they are simulated"


def test_what_is_invalid_or_failed_is_counted_by_reason() -> None:
    invalid = layer("e", valid=False, invalid_reason="not finite")
    memory = {"kind": "failure", "reason": "OutOfMemory", "key": "k"}
    crash = {"kind": "failure", "reason": "Crash", "key": "k"}
    assert finding("valid", layer(), invalid).figure == "1 invalid: not finite 1"
    assert finding("nothing failed", memory).outcome == "holds"
    assert finding("nothing failed", memory, crash).outcome == "fails"
    assert finding("repeats", invalid, layer("e", repeat=1)).outcome == "unknown"


@pytest.mark.parametrize(("kind", "outcome"), [("network", "holds"), ("layer", "fails")])
def test_some_networks_cannot_be_captured_but_every_layer_can(kind: str, outcome: str) -> None:
    failure = {"kind": "failure", "reason": "CaptureFailed", "key": "k", "measured_kind": kind}
    found = finding("nothing failed", failure)
    assert (found.outcome, found.figure) == (outcome, "1 failed: CaptureFailed 1")


def test_unsteady_and_throttled_windows_are_counted() -> None:
    rows = [layer(str(number), steady=number > 1, throttle_reasons=["sw_power_cap"]) for number in range(10)]
    found = finding("steady", *rows)
    assert (found.outcome, found.figure) == ("fails", "2 of 10 are not, sw_power_cap in 10")


def test_lines_that_are_no_rows_are_named() -> None:
    assert finding("lines", layer(), damaged=("a.jsonl:7",)).figure == "1 unreadable: a.jsonl:7"


def constants(**more: Any) -> dict[str, Any]:
    return {"kind": "constants", "key": "constants|constants", "lag_seconds": 0.25, **more}


def test_parts_of_the_constants_that_are_missing_are_named() -> None:
    assert finding("constants").outcome == "unknown"
    assert finding("constants", constants()).outcome == "holds"
    found = finding("constants", constants(gap_error="no pause", ceilings_error=None))
    assert (found.outcome, found.figure) == ("fails", "gap_error: no pause")


def test_a_cross_check_without_codecarbon_says_that_it_was_skipped() -> None:
    row = layer(kind="window", window="codecarbon", codecarbon=None, codecarbon_missing="CodeCarbon is not installed")
    found = finding("CodeCarbon", row)
    assert (found.outcome, found.figure) == ("unknown", "skipped: CodeCarbon is not installed")


def test_a_network_without_a_trace_is_told_beside_the_digests() -> None:
    untraced = network(digest=None, digest_expected="sha256:x", untraced_reason="it steers")
    found = finding("each row has its graph", untraced)
    lacks = "the journal lacks the graph of torchvision:n000 batch 32"
    assert (found.outcome, found.figure) == ("fails", f"1 differ from the suite's; {lacks}; 1 without a trace")


def smoking(*rows: dict[str, Any]) -> dict[str, Finding]:
    found = judge(Rows(rows=rows), (SUM_OF,))
    return {each.name.removeprefix("smoke: "): each for each in found if each.name.startswith("smoke: ")}


def test_a_smoke_run_says_which_step_did_not_work() -> None:
    assert smoking(layer()) == {}
    crash = {"kind": "failure", "slice": "smoke", "key": "network|torchvision:n000|b32|torch-cudagraph|default",
             "reason": "Crash", "message": "it said nothing"}  # fmt: skip
    invalid = network(slice="smoke", valid=False, invalid_reason="not finite", runtime="torch-eager")
    found = smoking(layer(slice="smoke", seconds=0.001), crash, invalid)
    assert list(found) == list(STEPS)
    assert found["layer"] == Finding(name="smoke: layer", outcome="holds", figure="1 J, 1 ms, 100 W")
    assert (found["network, torch-cudagraph"].outcome, found["network, torch-cudagraph"].figure) == (
        "fails", "Crash: it said nothing",
    )  # fmt: skip
    assert found["network, torch-eager"].figure == "not finite: see its row"
    assert found["language model"].outcome == "unknown"


def test_the_last_row_of_a_step_is_judged() -> None:
    failed = layer(slice="smoke", kind="failure", reason="LoadStalled", message="it hangs")
    assert smoking(failed)["layer"].outcome == "fails"
    assert smoking(failed, layer(slice="smoke", seconds=0.001))["layer"].outcome == "holds"
