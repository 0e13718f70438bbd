from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from joulecast.calibration.measure.configuration import Configuration
from joulecast.calibration.measure.history import History, Holder, current_run

LAYER = Configuration(kind="layer", slice="layers", name="torch.add", digest="d1", op_type="Add", l2_state="rotated")
HOLDER = Holder(accelerator="A", card="c", driver="1", boot="b")
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def row(configuration: Configuration, **more: Any) -> dict[str, Any]:
    columns = configuration.columns() | {"identity": configuration.identity, "run_id": "r", "process": 1}
    return {"kind": configuration.kind, **columns, **more}


def crash(configuration: Configuration) -> dict[str, Any]:
    return row(configuration) | {"kind": "failure", "reason": "Crash"}


def test_what_is_measured_is_not_wanted_again() -> None:
    assert History().wants(LAYER)
    assert not History([row(LAYER)]).wants(LAYER)
    assert History([row(LAYER)]).wants(replace(LAYER, l2_state="hot"))
    assert History([row(LAYER)]).wants(replace(LAYER, precision="bf16"))


def test_a_failure_is_an_answer_but_a_crash_only_the_second_time() -> None:
    failed = row(LAYER) | {"kind": "failure", "reason": "OutOfMemory"}
    assert not History([failed]).wants(LAYER)
    assert History([crash(LAYER)]).wants(LAYER)
    assert not History([crash(LAYER), crash(LAYER)]).wants(LAYER)


def test_a_counter_that_failed_says_nothing_of_what_it_should_have_measured() -> None:
    assert History([row(LAYER) | {"kind": "failure", "reason": "CounterSilent"}]).wants(LAYER)


def test_what_is_invalid_is_an_answer_unless_a_stranger_was_there() -> None:
    assert not History([row(LAYER, valid=False, invalid_reason="not finite")]).wants(LAYER)
    assert History([row(LAYER, valid=False, invalid_reason="stranger")]).wants(LAYER)


def test_a_repeat_waits_for_a_valid_first() -> None:
    repeat = replace(LAYER, repeat=1)
    assert not History().wants(repeat)
    assert not History([row(LAYER, valid=False, invalid_reason="not finite")]).wants(repeat)
    assert History([row(LAYER)]).wants(repeat)
    assert not History([row(LAYER), row(repeat)]).wants(repeat)


def test_anchors_are_never_done_with_and_no_anchor_stands_for_its_layer() -> None:
    anchor = replace(LAYER, anchor="start")
    assert History([row(anchor)]).wants(anchor)
    assert History([row(anchor)]).wants(LAYER)


def session(**more: Any) -> dict[str, Any]:
    return {
        "kind": "session", "run_id": "r", "process": 1, "at_seconds": 0.0, "started_at": NOW.isoformat(),
        "accelerator": "A", "card": "c", "driver": "1", "host": {"boot": "b"}, **more,
    }  # fmt: skip


def test_a_run_goes_on_while_the_card_is_held() -> None:
    constants = {"kind": "constants", "run_id": "r", "process": 1, "at_seconds": 60.0, "key": "constants"}
    opened = row(replace(LAYER, anchor="start"), at_seconds=300.0)
    run = current_run([session(), constants, opened], HOLDER, NOW + timedelta(minutes=12))
    assert run is not None
    assert (run.run_id, run.process, run.continues) == ("r", 2, True)
    assert run.constants == constants
    assert run.opened == {replace(LAYER, anchor="start").key}


def test_another_card_driver_or_start_of_the_machine_begins_another_run() -> None:
    for change in ({"card": "x"}, {"driver": "2"}, {"boot": "x"}, {"accelerator": "B"}):
        assert current_run([session()], replace(HOLDER, **change), NOW) is None


def test_a_card_let_go_of_for_long_begins_another_run() -> None:
    assert current_run([session()], HOLDER, NOW + timedelta(minutes=11)) is None
    assert current_run([], HOLDER, NOW) is None


def test_a_run_that_another_card_followed_is_over() -> None:
    assert current_run([session(), session(run_id="s", card="x")], HOLDER, NOW) is None
