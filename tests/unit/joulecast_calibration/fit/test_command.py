"""``joulecast fit`` in its two forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from joulecast.energy.profile import AcceleratorProfile
from tests.contract.command_line import CommandLine, Finished


@pytest.fixture
def joulecast(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


def test_rows_become_a_profile(joulecast: CommandLine, measured: Path, allowed: None, tmp_path: Path) -> None:
    out = tmp_path / "made" / "profile.json"
    done = joulecast("fit", measured, "--out", out)
    assert done.code == 0, done.err
    assert AcceleratorProfile.from_json(out.read_text("utf-8")).simulated
    assert "NVIDIA-H100-80GB-HBM3, SIMULATED: good for tests alone" in done.out
    assert "each by a fit without it" in done.out
    assert "split-conformal over families of networks" in done.out
    assert json.loads(out.read_text("utf-8"))["held_out"]["families"] > 20


def test_simulated_rows_are_refused_and_nothing_is_written(
    joulecast: CommandLine, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOULECAST_ALLOW_SIMULATED_PROFILES", raising=False)
    out = tmp_path / "profile.json"
    done = joulecast("fit", measured, "--out", out)
    assert done.code == 1
    assert "simulated-hopper is simulated" in done.err
    assert done.err.count("\n") == 1
    assert not out.exists()


def words_of(done: Finished) -> str:
    """What stands in the box of an error, on one line."""
    assert done.code == 2
    return " ".join(done.err.replace("│", " ").split())


def test_one_form_or_the_other(joulecast: CommandLine, measured: Path, tmp_path: Path) -> None:
    for words in (("--data", tmp_path, measured), ()):
        done = joulecast("fit", *words, "--out", tmp_path / "out")
        assert "one of the two" in words_of(done)
    assert list(tmp_path.iterdir()) == []


def test_measured_rows_go_with_published_ones(joulecast: CommandLine, measured: Path, tmp_path: Path) -> None:
    done = joulecast("fit", measured, "--measured", measured, "--out", tmp_path / "out")
    assert "--measured goes with --data" in words_of(done)
    assert list(tmp_path.iterdir()) == []


def test_measured_rows_are_fitted_after_the_published_ones(
    joulecast: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, ...]] = []
    monkeypatch.setattr("joulecast_calibration.fit.profiles.write", lambda *paths: asked.append(paths) or [tmp_path])
    done = joulecast("fit", "--data", tmp_path, "--measured", tmp_path, "--out", tmp_path / "out")
    assert (done.code, done.out) == (0, f"{tmp_path}\n")
    assert asked == [(tmp_path, tmp_path / "out", tmp_path)]


def test_a_folder_is_no_profile_and_a_file_no_folder(joulecast: CommandLine, measured: Path, tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.write_text("as it was", "utf-8")
    assert "give the file of the profile" in words_of(joulecast("fit", measured, "--out", folder))
    assert "a folder for many profiles" in words_of(joulecast("fit", "--data", tmp_path, "--out", file))
    assert file.read_text("utf-8") == "as it was"


def test_rows_that_are_none(joulecast: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, says in (("empty", "holds no measured rows"), ("nowhere", "does not exist")):
        done = joulecast("fit", tmp_path / name, "--out", tmp_path / "profile.json")
        assert done.code == 1
        assert says in done.err
    assert not (tmp_path / "profile.json").exists()
