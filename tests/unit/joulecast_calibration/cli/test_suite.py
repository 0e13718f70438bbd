"""``joulecast suite`` on an index made by hand."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from joulecast_calibration.cli import suite as command_module
from joulecast_calibration.suite import index as index_module
from joulecast_calibration.suite.index import SuiteIndex, write_index
from joulecast_calibration.suite.survey.rebuild import Rebuilt
from tests.contract.command_line import CommandLine
from tests.unit.api.test_documents import validate
from tests.unit.joulecast_calibration.suite.records import linear, record, relu
from tests.unit.joulecast_calibration.suite.survey.test_assembly import assembled

DIGEST = "sha256:" + 64 * "0"


def records() -> list[dict[str, Any]]:
    sizes = [2**step for step in range(4, 10)]
    made = [record(f"timm:net{size}", [linear(32, size, 64), relu(32, size)], family="nets") for size in sizes]
    made += [record("hf:voice", [linear(7, 7, 7)], task="audio", family="voices")]
    return [each | {"digest": DIGEST[:-3] + f"{place:03}"} for place, each in enumerate(made)]


def written(folder: Path, *more: dict[str, Any]) -> SuiteIndex:
    write_index(folder, assembled(*records(), *more).parts({"torch": "2.0"}))
    return SuiteIndex(folder)


@pytest.fixture
def joulecast(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    folder = tmp_path / "committed"
    skip = {"name": "timm:odd", "task": "vision", "family": "odds", "reason": "RuntimeError: odd"}
    made = written(folder, skip)
    monkeypatch.setattr(index_module, "FOLDER", folder)
    monkeypatch.setattr(index_module, "committed", lambda: made)
    return CommandLine(capsys, monkeypatch)


def test_the_document_fulfils_its_schema(joulecast: CommandLine) -> None:
    done = joulecast("suite", "-o", "json")
    assert (done.code, done.err) == (0, "")
    validate(done.document)
    totals = done.document["totals"]
    assert totals == {"architectures": 7, "executed_layers": 13, "distinct_layers": 13, "sampled_layers": 13}
    assert [each["name"] for each in done.document["skipped"]] == ["timm:odd"]


def test_tables_tell_totals_and_skips(joulecast: CommandLine) -> None:
    shown = joulecast("suite").out
    assert "skipped: timm:odd: RuntimeError: odd" in shown
    assert "hf:voice" in shown


def test_a_choice_leaves_the_totals(joulecast: CommandLine) -> None:
    document = joulecast("suite", "--task", "Audio", "-o", "json").document
    assert [each["name"] for each in document["architectures"]] == ["hf:voice"]
    assert document["skipped"] == []
    assert document["totals"]["architectures"] == 7
    rows = list(csv.DictReader(io.StringIO(joulecast("suite", "--family", "nets", "-o", "csv").out)))
    assert len(rows) == 6


def test_an_unknown_choice_is_told_the_known_ones(joulecast: CommandLine) -> None:
    done = joulecast("suite", "--task", "smell")
    assert (done.code, done.out) == (1, "")
    assert "choose one of audio, vision" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_coverage_is_drawn(joulecast: CommandLine, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"coverage.{suffix}"
    assert joulecast("suite", "--plot", path, "-o", "json").code == 0
    assert path.stat().st_size > 1000
    again = tmp_path / f"again.{suffix}"
    joulecast("suite", "--plot", again, "-o", "json")
    assert path.read_bytes() == again.read_bytes()


def test_an_unknown_picture_format_is_refused(joulecast: CommandLine, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = joulecast("suite", "--plot", tmp_path / "coverage.doc")
    assert done.code == 1
    assert "end its name in .svg or .png" in done.err


def test_a_rebuild_says_how_it_differs(joulecast: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import Counter

    from joulecast_calibration.suite.survey import rebuild as rebuild_module

    def traced(folder: Path, entries: Any, **_: Any) -> Rebuilt:
        return Rebuilt(index=written(folder, record("timm:new", [relu(3)])), unsupported=Counter({"aten:odd": 3}))

    monkeypatch.setattr(rebuild_module, "rebuild", traced)
    done = joulecast("suite", "--rebuild", "--out", tmp_path / "out", "-o", "json")
    assert done.code == 0
    assert "1 added: timm:new" in done.err
    assert "without a counting rule: aten:odd (3)" in done.err
    assert f"written to {tmp_path / 'out'}" in done.err


def test_out_without_rebuild_is_wrong_usage(joulecast: CommandLine, tmp_path: Path) -> None:
    assert joulecast("suite", "--out", tmp_path).code == 2


def test_an_installed_package_is_not_written_to(joulecast: CommandLine) -> None:
    done = joulecast("suite", "--rebuild")
    assert done.code == 2
    assert "--out DIR" in done.err


def test_progress_without_a_terminal_is_a_line_a_tenth(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with command_module._advancing(25) as advanced:
        for number in range(25):
            advanced(f"net{number}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[-1] == "traced 25 of 25, last net24"


def test_a_folder_that_cannot_be_written_is_refused_first(joulecast: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = joulecast("suite", "--rebuild", "--out", str(tmp_path / "file" / "inside"))
    assert done.code == 2
    assert "cannot be made" in done.err
