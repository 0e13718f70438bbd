from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from joulecast_calibration.cli.measurement import RichReporter
from joulecast_calibration.measure.plan.configuration import SLICES
from joulecast_calibration.measure.report.text import clock
from joulecast_calibration.measure.run.progress import PlainReporter
from tests.contract.command_line import CommandLine
from tests.unit.joulecast_calibration.measure.handmade import HandmadeSuite

BEGIN = {"key": "k", "label": "Conv 00ff", "slice": "layers", "rows_left": 10, "seconds_left": 61.0}
ROW = {"key": "k", "label": "Conv 00ff", "slice": "layers", "kind": "layer", "joules": 0.5, "seconds": 0.002,
       "watts": 250.0}  # fmt: skip
INVALID = {**ROW, "valid": False, "invalid_reason": "foreign process"}


@pytest.fixture
def joulecast(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    from joulecast_calibration import suite

    made = HandmadeSuite(12, 60)
    monkeypatch.setattr(suite, "committed", lambda: made)
    return CommandLine(capsys, monkeypatch)


def test_a_plan_is_printed_without_a_gpu(joulecast: CommandLine) -> None:
    done = joulecast("measure", "--dry-run", "--budget", "10m")
    assert done.code == 0, done.err
    assert "rows are left for later runs" in done.out


def test_the_help_names_every_slice(joulecast: CommandLine) -> None:
    shown = " ".join(joulecast("measure", "--help").out.replace("│", " ").split())
    assert f"Any of {', '.join(name for name in SLICES if name != 'constants')}." in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--slice", "layer"], "unknown slice"),
        (["--budget", "soon"], "cannot be read as a length of time"),
        ([], "the folder for the rows is missing"),
    ],
)
def test_wrong_usage_ends_with_two(joulecast: CommandLine, arguments: list[str], sentence: str) -> None:
    done = joulecast("measure", *arguments)
    assert (done.code, done.out) == (2, "")
    assert sentence in " ".join(done.err.split())


def test_what_cannot_be_done_is_one_sentence(joulecast: CommandLine, tmp_path: Path) -> None:
    done = joulecast("measure", "--report", tmp_path)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith(" [NoRows]\n")
    assert done.err.count("\n") == 1


def test_plain_progress_is_a_line_a_row() -> None:
    stream = io.StringIO()
    reporter = PlainReporter(lambda line: stream.write(f"{line}\n"))
    reporter.event("begin", BEGIN, 1.0)
    reporter.event("row", ROW, 62.4)
    reporter.event("row", INVALID, 63.0)
    reporter.event("unheard of", {}, 64.0)
    assert stream.getvalue().splitlines() == [
        "[01:02]    1 layers: Conv 00ff: 0.5 J, 2 ms, 250 W · 01:01 left",
        "[01:03]    2 layers: Conv 00ff: 0.5 J, 2 ms, 250 W (foreign process) · 01:01 left",
    ]


def test_progress_on_a_terminal_keeps_what_went_wrong_above_the_bar() -> None:
    stream = io.StringIO()
    with RichReporter(Console(file=stream, force_terminal=True, width=100, color_system=None)) as reporter:
        reporter.event("begin", BEGIN, 1.0)
        reporter.event("row", ROW, 2.0)
        reporter.event("row", INVALID, 3.0)
        reporter.event("note", {"text": "waiting for [it] to leave"}, 4.0)
        reporter.keep("the table\n")
    shown = stream.getvalue()
    assert "Conv 00ff" in shown
    assert "(foreign process)" in shown
    assert "waiting for [it] to leave" in shown
    assert "the table" not in shown
    assert reporter.kept == "the table\n"


def test_a_clock_has_minutes_beyond_the_hour() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 3725, -3)] == ["00:00", "01:00", "62:05", "00:00"]
