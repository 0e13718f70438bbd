"""Measured rows as a killed process leaves them; simulated ones are never fitted."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.errors import MeasurementError
from joulecast_calibration.rows.journals import is_executed, is_served, left_out, read_rows, refusal_of
from joulecast_calibration.rows.typed import LayerRow, SessionRow
from tests.unit.joulecast_calibration.rows.made import (
    constants,
    graph,
    layer,
    measured_rows,
    network,
    read,
    session,
    write,
)


def test_rows_know_their_session_and_their_place(tmp_path):
    path = write(tmp_path, [session(), layer(1), layer(2)])
    placed = read_rows(tmp_path).placed
    assert [each.kind for each in placed] == ["session", "layer", "layer"]
    assert placed[1].accelerator == "NVIDIA-H100-80GB-HBM3"
    assert placed[2].session.driver == "570"
    assert not hasattr(placed[2].row, "driver")
    assert (placed[2].path, placed[2].line, placed[2].place) == (path, 3, f"{path}, line 3")


def test_columns_of_a_session_do_not_hide_those_of_a_row(tmp_path):
    write(tmp_path, [session(power_limit_watts=700.0), layer(1, power_limit_watts=350.0)])
    (own,) = measured_rows(tmp_path)
    assert (own.row.power_limit_watts, own.session.power_limit_watts) == (350.0, 700.0)


def test_several_processes_and_runs_keep_apart(tmp_path):
    chained = [session(), layer(1), session(process=2, budget_seconds=5), layer(1, process=2)]
    other = [session(run_id="other", accelerator="NVIDIA-H200"), layer(1, run_id="other")]
    write(tmp_path, chained, "a.jsonl")
    write(tmp_path, other, "b.jsonl")
    placed = read_rows(tmp_path).placed
    assert len(placed) == 6
    assert [each.session.budget_seconds for each in placed if each.kind == "layer"] == [570, 5, 570]
    assert placed[-1].accelerator == "NVIDIA-H200"


def test_a_file_copied_twice_counts_once(tmp_path):
    write(tmp_path, [session(), layer(1)], "a.jsonl")
    write(tmp_path, [session(), layer(1), layer(2)], "b.jsonl")
    assert [each.row.sequence for each in measured_rows(tmp_path)] == [1, 2]


def test_the_same_number_with_other_content_is_another_row(tmp_path):
    write(tmp_path, [session(), layer(1), layer(1) | {"joules": 0.6}])
    assert len(measured_rows(tmp_path)) == 2


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1))
def test_a_file_cut_at_any_byte_gives_its_whole_lines(share, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut")
    path = write(folder, [session(), layer(1, function="größe"), layer(2)])
    whole = path.read_bytes()
    kept = whole[: round(share * len(whole))]
    path.write_bytes(kept)
    lines = kept.count(b"\n")
    assert len(read_rows(folder).rows) == lines, "the last line is whole only with its end"
    path.write_bytes(kept + b"\n" + whole)  # the next process goes on, on a new line
    assert len(read_rows(folder).rows) == 3


def test_what_is_no_row_is_named(tmp_path):
    path = tmp_path / "run.jsonl"
    lines = [json.dumps(session()), '{"kind": "layer", "joul', "[1]", '{"kind": "layer", "schema": NaN}', "[" * 50_000]
    path.write_text("\n".join([*lines, "", json.dumps(layer(1))]) + "\n")
    journal = read_rows(tmp_path)
    assert journal.damaged == tuple(f"{path}, line {number}" for number in (2, 3, 4, 5))
    assert [each.kind for each in journal.rows] == ["session", "layer"]


def test_only_valid_layers_and_networks_are_to_be_fitted(tmp_path):
    rows = [
        session(),
        layer(1),
        layer(2, valid=False),
        layer(3, valid=None),
        constants(4),
        network(5, valid=True),
    ]
    write(tmp_path, rows)
    assert [each.row.sequence for each in measured_rows(tmp_path)] == [1, 5]


@pytest.mark.parametrize(
    "rows",
    [
        [session(simulated=True), layer(1, simulated=True)],
        [session(), layer(1, simulated=True)],
        [session(accelerator="simulated-hopper"), layer(1)],
        [session(), {name: value for name, value in layer(1).items() if name != "simulated"}],
        [session(), layer(1, simulated=0)],
        [session(), layer(1, simulated="false")],
        [session(), layer(1), constants(2, simulated=True)],
    ],
)
def test_a_simulated_row_is_never_fitted(tmp_path, rows):
    good = write(tmp_path, [session(run_id="good"), layer(1, run_id="good")], "a.jsonl")
    bad = write(tmp_path, rows, "b.jsonl")
    with pytest.raises(MeasurementError, match=r"b\.jsonl, line [123]: this row was not measured.*take the file out"):
        measured_rows(tmp_path)
    assert len(read_rows(tmp_path).lines) == 2 + len(rows)  # reading, to go on with a run, is not fitting
    bad.unlink()
    assert [each.path for each in measured_rows(tmp_path)] == [good]


def test_a_row_of_no_session_is_not_fitted(tmp_path):
    write(tmp_path, [layer(1)])
    with pytest.raises(MeasurementError, match="line 1: this row belongs to no session"):
        measured_rows(tmp_path)


def test_a_missing_folder_has_no_rows(tmp_path):
    assert read_rows(tmp_path / "nowhere").rows == ()


def test_an_empty_folder_has_no_rows(tmp_path):
    assert measured_rows(tmp_path) == ()


def test_a_newer_schema_is_read_and_not_fitted(tmp_path):
    write(tmp_path, [session() | {"schema": 99}])
    assert len(read_rows(tmp_path).lines) == 1
    with pytest.raises(MeasurementError, match="line 1: schema 99 is newer than 1"):
        measured_rows(tmp_path)


def test_a_file_too_large_is_refused(tmp_path):
    with (tmp_path / "run.jsonl").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(MeasurementError, match="split it by lines"):
        read_rows(tmp_path)


def counted(found):
    return dict(left_out(found.lines, found.damaged))


def test_a_row_that_nothing_can_have_measured_is_counted_by_its_column_and_the_others_are_read(tmp_path):
    lines = [session(), layer(1), layer(2, joules=-1), layer(3, joules=0), network(4, sm_clock_mhz=0.0), network(5)]
    found = read(tmp_path, lines)
    assert [each.sequence for each in found.rows] == [0, 1, 5]
    assert [each.flaw.column for each in found.refused] == ["joules", "joules", "sm_clock_mhz"]
    assert counted(found) == {
        "layer rows, the first at run.jsonl, line 3: joules is -1: give a finite number above 0 J": 2,
        "network rows, the first at run.jsonl, line 5: sm_clock_mhz is 0.0: give a finite number above 0 MHz": 1,
    }
    assert [each.row.sequence for each in measured_rows(tmp_path)] == [1, 5]


def test_no_line_is_dropped_without_being_counted(tmp_path):
    """Lines of other kinds, lines that are no rows, and invalid layers and networks are told too."""
    path = write(tmp_path, [session(), graph(1, contents=None), layer(2, valid=False, invalid_reason="not finite")])
    path.write_bytes(path.read_bytes() + b"[1]\n{}\n")
    assert list(counted(read_rows(tmp_path)).items()) == [
        ("invalid: not finite", 1),
        (
            "graph rows, the first at run.jsonl, line 2: contents is null: give text of 0 to 4194304 characters",
            1,
        ),
        ("lines that cannot be read as rows, the first at run.jsonl, line 4", 2),
    ]


def test_rows_of_a_session_that_is_refused_are_kept_and_not_fitted(tmp_path):
    """Nobody can tell what they were measured on, and they are not measured again."""
    lines = [session(seed="none"), layer(1), session(process=2), layer(2, process=2)]
    found = read(tmp_path, lines)
    assert [type(each) for each in found.rows] == [LayerRow, SessionRow, LayerRow]
    reason = 'their session, run.jsonl line 1, is refused: seed is "none": give a whole number'
    assert refusal_of(found.placed[0]) == reason
    assert counted(found)[reason] == 1
    assert [each.row.sequence for each in measured_rows(tmp_path)] == [2]


def test_columns_of_any_type_never_stop_reading(tmp_path):
    odd = [None, True, -1, 1e400, "x", [], [[]], {}, {"a": [1]}]
    lines = [layer(1) | {name: value} for name in (*layer(1), "run_id", "process") for value in odd if name != "kind"]
    found = read(tmp_path, [session(), *lines])
    assert len(found.lines) + len(found.damaged) > 200
    assert sum(counted(found).values()) >= len(found.refused)


def test_a_kind_of_a_later_version_is_counted(tmp_path):
    found = read(tmp_path, [session(), layer(1), layer(2) | {"kind": "abacus"}, layer(3) | {"kind": "x" * 10_000}])
    ((reason, number),) = counted(found).items()
    assert (reason.partition(": give one of")[0], number) == (
        "unknown rows, the first at run.jsonl, line 3: kind is 'abacus'",
        2,
    )


def test_a_pass_of_a_decoder_is_no_forward_pass_and_old_rows_have_no_phase(tmp_path):
    old, own = network(2), network(3, phase="decode", context_tokens=1024)
    wrong = network(4, phase="encode", context_tokens=1024)
    found = read(tmp_path, [session(), old, own, wrong])
    assert [line.row.sequence for line in found.placed if is_executed(line)] == [2]
    (served,) = filter(is_served, found.placed)
    assert (served.row.phase, served.row.context_tokens) == ("decode", 1024)
    (refused,) = found.refused
    assert refused.flaw.column == "phase"
