from __future__ import annotations

import errno
import json
import os
import random
import stat
from pathlib import Path

import numpy as np
import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.run.journal import JournalWriter
from joulecast_calibration.rows.journals import read_rows
from joulecast_calibration.rows.measured import EVERY
from joulecast_calibration.rows.typed import EndRow, InvalidRow
from tests.unit.joulecast_calibration.measure.command import written
from tests.unit.joulecast_calibration.rows.made import layer


def journal(path: Path, process: int = 1) -> JournalWriter:
    return JournalWriter(path, run_id="r", process=process, simulated=True, seconds=lambda: 1.5)


def write(path: Path, count: int, process: int = 1) -> None:
    with journal(path, process) as rows:
        for number in range(count):
            rows.record("end", {"reason": f"{number} größer\n"})


def numbers(folder: Path) -> list[int]:
    rows = read_rows(folder).rows
    assert all(isinstance(row, EndRow) for row in rows)
    return [int(row.reason.split()[0]) for row in rows if isinstance(row, EndRow)]


def test_every_row_has_the_columns_of_every_row(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", 2)
    rows = written(tmp_path)
    assert [row["sequence"] for row in rows] == [0, 1]
    assert all(set(EVERY) <= set(row) for row in rows)
    assert rows[0]["simulated"] is True


def test_what_json_cannot_say_is_unknown(tmp_path: Path) -> None:
    with journal(tmp_path / "a.jsonl") as rows:
        rows.record("end", {"reason": "r", "joules": float("inf"), "list": (float("nan"), 1.0)})
    (row,) = written(tmp_path)
    assert (row["joules"], row["list"]) == (None, [None, 1.0])


def test_a_file_cut_at_any_byte_reads_up_to_its_last_whole_line_and_can_be_continued(tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "a.jsonl"
    whole.parent.mkdir()
    write(whole, 3)
    content = whole.read_bytes()
    for cut in range(len(content) + 1):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        (folder / "a.jsonl").write_bytes(content[:cut])
        kept = content[:cut].count(b"\n")
        assert numbers(folder) == [0, 1, 2][:kept]
        write(folder / "a.jsonl", 1, process=2)
        rows = read_rows(folder)
        assert [row.process for row in rows.rows] == [1] * kept + [2]
        assert rows.damaged == ()


def test_lines_that_are_no_rows_are_named_and_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", 2)
    lines = (tmp_path / "a.jsonl").read_bytes().splitlines(keepends=True)
    odd = [b"\0" * 40 + b"\n", b"[1]\n", b'{"no": "kind"}\n', b"[" * 100_000 + b"\n"]
    (tmp_path / "a.jsonl").write_bytes(lines[0] + b"".join(odd) + lines[1])
    rows = read_rows(tmp_path)
    assert numbers(tmp_path) == [0, 1]
    assert rows.damaged == tuple(f"{tmp_path / 'a.jsonl'}, line {number}" for number in (2, 3, 4, 5))


def test_random_damage_never_stops_reading(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", 5)
    content = bytearray((tmp_path / "a.jsonl").read_bytes())
    drawn = random.Random(0)
    for _ in range(200):
        damaged = bytearray(content)
        damaged[drawn.randrange(len(damaged))] = drawn.randrange(256)
        (tmp_path / "a.jsonl").write_bytes(damaged)
        assert len(read_rows(tmp_path).lines) >= 3


def test_a_folder_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "absent").rows == ()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_file_as_it_was_before_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = os.write
    with journal(tmp_path / "a.jsonl") as rows:
        rows.record("end", {"reason": "0"})
        before = (tmp_path / "a.jsonl").read_bytes()
        calls = iter([lambda file, data: real(file, data[:10])])

        def full(file: int, data: bytes) -> int:
            try:
                return next(calls)(file, data)
            except StopIteration:
                raise OSError(number, os.strerror(number)) from None

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(MeasurementError, match="is full: rows so far are kept") as refused:
            rows.record("end", {"reason": "1"})
        monkeypatch.undo()
        assert refused.value.reason == "DiskFull"
        assert (tmp_path / "a.jsonl").read_bytes() == before
        rows.record("end", {"reason": "2"})
    assert numbers(tmp_path) == [0, 2]


def test_a_real_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to("/dev/full")
    if not Path("/dev/full").exists() or not stat.S_ISCHR(Path("/dev/full").stat().st_mode):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(MeasurementError) as refused, journal(tmp_path / "a.jsonl") as rows:
        rows.record("end", {"reason": "complete"})
    assert refused.value.reason in ("DiskFull", "FolderNotWritable")


def test_a_row_is_one_line_of_plain_json(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", 1)
    (line,) = (tmp_path / "a.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["reason"] == "0 größer\n"


def test_what_is_written_is_what_its_readers_accept(tmp_path: Path) -> None:
    with journal(tmp_path / "a.jsonl") as rows:
        found = rows.record("layer", {**layer(), "simulated": True, "joules": float("inf")})
        with pytest.raises(MeasurementError, match="a constants row: key is missing") as refused:
            rows.record("constants", {})
        rows.record("end", {"reason": "complete"})
    assert refused.value.reason == "InvalidRow"
    assert isinstance(found, InvalidRow)
    assert (found.invalid_reason, found.message) == ("refused", "joules is null: give a finite number above 0 J")
    assert read_rows(tmp_path).rows[0] == found
    assert len(read_rows(tmp_path).lines) == 2


def test_texts_and_numbers_of_other_classes_are_those_of_json(tmp_path: Path) -> None:
    """torch's version is a text of its own class."""

    class Version(str):
        pass

    with journal(tmp_path / "a.jsonl") as rows:
        found = rows.record("end", {"reason": Version("2.15"), "at_seconds": np.float64(2.5)})
    assert read_rows(tmp_path).rows == (found,)
    assert isinstance(found, EndRow)
    assert (type(found.reason), found.at_seconds) == (str, 2.5)
