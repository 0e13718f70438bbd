from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.measure.plan.history import History, current_run
from joulecast_calibration.meter.sensor import Card
from joulecast_calibration.rows.typed import TypedRow, row_of
from tests.unit.joulecast_calibration.rows import made

LAYER = Configuration(kind="layer", slice="layers", name="torch.add", digest="d1", op_type="Add", l2_state="rotated")
CARD = Card(accelerator="A", card="c", driver="1", power_limit_watts=None, memory_bytes=1, simulated=False)
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def row(configuration: Configuration, **more: Any) -> TypedRow:
    return row_of(made.layer() | configuration.columns() | {"identity": configuration.identity, **more})


def failed(configuration: Configuration, reason: str) -> TypedRow:
    return row(configuration, kind="failure", reason=reason, message="")


def crash(configuration: Configuration) -> TypedRow:
    return failed(configuration, "Crash")


def test_what_is_measured_is_not_wanted_again() -> None:
    assert History().wants(LAYER)
    assert not History([row(LAYER)]).wants(LAYER)
    assert History([row(LAYER)]).wants(replace(LAYER, l2_state="hot"))
    assert History([row(LAYER)]).wants(replace(LAYER, precision="bf16"))


def test_a_failure_is_an_answer_but_a_crash_only_the_second_time() -> None:
    assert not History([failed(LAYER, "OutOfMemory")]).wants(LAYER)
    assert History([crash(LAYER)]).wants(LAYER)
    assert not History([crash(LAYER), crash(LAYER)]).wants(LAYER)


def test_a_counter_that_failed_says_nothing_of_what_it_should_have_measured() -> None:
    assert History([failed(LAYER, "CounterSilent")]).wants(LAYER)


def test_what_is_invalid_is_an_answer_unless_a_foreign_process_was_there() -> None:
    assert not History([row(LAYER, valid=False, invalid_reason="not finite")]).wants(LAYER)
    assert History([row(LAYER, valid=False, invalid_reason="foreign process")]).wants(LAYER)


def test_the_name_of_a_foreign_process_in_earlier_journals_is_understood() -> None:
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


def session(**more: Any) -> TypedRow:
    own = {"started_at": NOW.isoformat(), "accelerator": "A", "card": "c", "driver": "1", "host": {"boot": "b"}}
    return row_of(made.session(**own | more))


def test_a_run_goes_on_while_the_card_is_held() -> None:
    constants = row_of(made.constants(at_seconds=60.0))
    opened = row(replace(LAYER, anchor="start"), at_seconds=300.0)
    run = current_run([session(), constants, opened], CARD, "b", NOW + timedelta(minutes=12))
    assert run is not None
    assert (run.run_id, run.process, run.continues) == ("run", 2, True)
    assert run.constants == constants
    assert run.opened == {replace(LAYER, anchor="start").key}


def test_a_row_that_is_refused_counts_as_not_measured_and_the_others_stay_done(tmp_path: Path) -> None:
    other = replace(LAYER, l2_state="hot")
    columns = [made.layer() | each.columns() | {"identity": each.identity} for each in (LAYER, other)]
    found = made.read(tmp_path, [made.session(), made.constants(), columns[0] | {"joules": -1}, columns[1]])
    history = History(found.rows)
    assert (history.wants(LAYER), history.wants(other)) == (True, False)
    card = replace(CARD, accelerator=made.ACCELERATOR, card="salted", driver="570")
    run = current_run(found.rows, card, "b", NOW)
    assert run is not None
    assert (run.run_id, run.process, run.constants) == ("run", 2, found.rows[1])


def test_another_card_driver_or_start_of_the_machine_begins_another_run() -> None:
    assert current_run([session()], CARD, "b", NOW) is not None
    for change in ({"card": "x"}, {"driver": "2"}, {"accelerator": "B"}):
        assert current_run([session()], replace(CARD, **change), "b", NOW) is None
    assert current_run([session()], CARD, "x", NOW) is None


def test_a_card_let_go_of_for_long_begins_another_run() -> None:
    assert current_run([session()], CARD, "b", NOW + timedelta(minutes=11)) is None
    assert current_run([], CARD, "b", NOW) is None


def test_a_run_that_another_card_followed_is_over() -> None:
    assert current_run([session(), session(run_id="s", card="x")], CARD, "b", NOW) is None
