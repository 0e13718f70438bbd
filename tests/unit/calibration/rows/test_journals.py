"""Measured rows as a killed process leaves them; simulated ones are never fitted."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.calibration.rows.journals import measured_rows, read_rows
from joulecast.errors import MeasurementError


def row(kind, sequence, process=0, run_id="run", simulated=False, **columns):
    every = {"schema": 1, "run_id": run_id, "process": process, "sequence": sequence, "at_seconds": 0.1 * sequence}
    return {"kind": kind, **every, "simulated": simulated, **columns}


def session(sequence=0, accelerator="NVIDIA-H100-80GB-HBM3", **columns):
    return row("session", sequence, accelerator=accelerator, card="salted", driver="570", **columns)


def layer(sequence, valid=True, **columns):
    return row("layer", sequence, name=f"layer {sequence}", joules=0.5, valid=valid, **columns)


def write(folder, rows, name="run.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows), encoding="utf-8")
    return path


def test_rows_know_their_session_and_their_place(tmp_path):
    path = write(tmp_path, [session(), layer(1), layer(2)])
    rows = read_rows(tmp_path).rows
    assert [each["kind"] for each in rows] == ["session", "layer", "layer"]
    assert rows[1]["accelerator"] == "NVIDIA-H100-80GB-HBM3"
    assert rows[2].get("driver") == "570"
    assert rows[2].get("absent", 7) == 7
    assert (rows[2].path, rows[2].line, rows[2].place) == (path, 3, f"{path}, line 3")


def test_columns_of_a_session_do_not_hide_those_of_a_row(tmp_path):
    write(tmp_path, [session(host={"a": 1}), layer(1, host="own")])
    assert read_rows(tmp_path).rows[1]["host"] == "own"


def test_several_processes_and_runs_keep_apart(tmp_path):
    chained = [session(), layer(1), session(process=1, budget_seconds=5), layer(1, process=1)]
    other = [session(run_id="other", accelerator="NVIDIA-H200"), layer(1, run_id="other")]
    write(tmp_path, chained, "a.jsonl")
    write(tmp_path, other, "b.jsonl")
    rows = read_rows(tmp_path).rows
    assert len(rows) == 6
    assert [each.get("budget_seconds") for each in rows if each["kind"] == "layer"] == [None, 5, None]
    assert rows[-1]["accelerator"] == "NVIDIA-H200"


def test_a_file_copied_twice_counts_once(tmp_path):
    write(tmp_path, [session(), layer(1)], "a.jsonl")
    write(tmp_path, [session(), layer(1), layer(2)], "b.jsonl")
    assert [each["sequence"] for each in measured_rows(tmp_path)] == [1, 2]


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
    assert [each["kind"] for each in journal.rows] == ["session", "layer"]


def test_only_valid_layers_and_networks_are_to_be_fitted(tmp_path):
    rows = [
        session(),
        layer(1),
        layer(2, valid=False),
        layer(3, valid=None),
        row("constants", 4),
        row("network", 5, valid=True),
    ]
    write(tmp_path, rows)
    assert [each["sequence"] for each in measured_rows(tmp_path)] == [1, 5]


@pytest.mark.parametrize(
    "rows",
    [
        [session(simulated=True), layer(1, simulated=True)],
        [session(), layer(1, simulated=True)],
        [session(accelerator="simulated-hopper"), layer(1)],
        [session(), {name: value for name, value in layer(1).items() if name != "simulated"}],
        [session(), layer(1, simulated=0)],
        [session(), layer(1, simulated="false")],
        [session(), layer(1), row("constants", 2, simulated=True)],
    ],
)
def test_a_simulated_row_is_never_fitted(tmp_path, rows):
    good = write(tmp_path, [session(run_id="good"), layer(1, run_id="good")], "a.jsonl")
    bad = write(tmp_path, rows, "b.jsonl")
    with pytest.raises(MeasurementError, match=r"b\.jsonl, line [123]: this row was not measured.*take the file out"):
        measured_rows(tmp_path)
    assert len(read_rows(tmp_path).rows) == 2 + len(rows)  # reading, to go on with a run, is not fitting
    bad.unlink()
    assert [each.path for each in measured_rows(tmp_path)] == [good]


def test_a_row_of_no_session_is_not_fitted(tmp_path):
    write(tmp_path, [layer(1)])
    with pytest.raises(MeasurementError, match="line 1: this row belongs to no session"):
        measured_rows(tmp_path)


def test_no_folder_is_said(tmp_path):
    assert read_rows(tmp_path / "nowhere").rows == ()
    with pytest.raises(MeasurementError, match="is not a folder"):
        measured_rows(tmp_path / "nowhere")


def test_an_empty_folder_has_no_rows(tmp_path):
    assert measured_rows(tmp_path) == ()


def test_a_newer_schema_is_read_and_not_fitted(tmp_path):
    write(tmp_path, [session() | {"schema": 99}])
    assert len(read_rows(tmp_path).rows) == 1
    with pytest.raises(MeasurementError, match="line 1: schema 99 is newer than 1"):
        measured_rows(tmp_path)


def test_a_file_too_large_is_refused(tmp_path):
    with (tmp_path / "run.jsonl").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(MeasurementError, match="split it by lines"):
        read_rows(tmp_path)
