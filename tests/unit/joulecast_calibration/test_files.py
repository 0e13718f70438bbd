from __future__ import annotations

from pathlib import Path

import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.files import write_together, write_whole


@pytest.mark.parametrize("content", ["Joule ², äöü\n", b"\x1f\x8b\x00\xff"])
def test_what_is_written_is_there_and_nothing_beside_it(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "made" / "file"
    write_whole(path, "before")
    write_whole(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [each.name for each in path.parent.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_files_that_belong_together_change_together_or_stay(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_together({first: "1", second: "1"})
    (tmp_path / "file").touch()
    with pytest.raises(MeasurementError, match=r"file/inside cannot be written \(") as caught:
        write_together({first: "2", second: "2", tmp_path / "file" / "inside": "2"})
    assert caught.value.reason == "NotWritable"
    assert (first.read_text(), second.read_text()) == ("1", "1")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "first", "second"]


def test_a_folder_in_the_place_of_the_file_is_said_and_stays(tmp_path: Path) -> None:
    (tmp_path / "profile.json" / "kept").mkdir(parents=True)
    with pytest.raises(MeasurementError, match=r"profile\.json cannot be written"):
        write_whole(tmp_path / "profile.json", "{}")
    assert [each.name for each in tmp_path.iterdir()] == ["profile.json"]
