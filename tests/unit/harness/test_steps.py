"""A long command says what it does and where its log is."""

import re
import sys
from pathlib import Path

import pytest

from tests.harness import processes, reaper
from tests.harness.steps import Printer, Standing, StepError, run_step
from tests.waiting import eventually


def test_it_reports_its_progress_its_log_and_its_end(tmp_path: Path) -> None:
    lines: list[str] = []
    log = tmp_path / "logs" / "step.log"
    run_step(
        "sleeping", [sys.executable, "-c", "print('slept')"], log, report=lambda standing: lines.append(str(standing))
    )
    assert re.fullmatch(rf"sleeping: \d+:\d\d, log {re.escape(str(log))}", lines[0])
    assert re.fullmatch(r"sleeping: done in \d+:\d\d", lines[-1])
    assert log.read_text() == "slept\n"


def test_it_counts_the_lines_of_its_log_as_parts(tmp_path: Path) -> None:
    told: list[Standing] = []
    go_on = tmp_path / "go-on"
    code = f"""
import os, time
print(1, 2, sep="\\n", flush=True)
while not os.path.exists({str(go_on)!r}):
    time.sleep(0.05)
"""

    def note(standing: Standing) -> None:
        told.append(standing)
        if standing.done == 2:
            go_on.touch()

    run_step("building", [sys.executable, "-c", code], tmp_path / "log", report=note, total=1500, parts="packages")
    assert [standing.done for standing in told] == sorted(standing.done for standing in told)
    assert re.fullmatch(r"building: 2 of 1,500 packages, \d+:\d\d, log .+", str(told[-2]))
    assert re.fullmatch(r"building: done in \d+:\d\d", str(told[-1]))


def test_without_a_terminal_the_line_is_printed_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer()
    for seconds in (0.5, 1.0, 1.5):
        printer(Standing(title="building", log=Path("log"), elapsed_seconds=seconds))
    printer(Standing(title="building", log=Path("log"), elapsed_seconds=62, outcome="done in"))
    assert capsys.readouterr().out == "building: 0:00, log log\nbuilding: done in 1:02\n"


def test_on_a_terminal_the_line_is_written_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    printer = Printer()
    printer(Standing(title="building", log=Path("log"), elapsed_seconds=1))
    printer(Standing(title="building", log=Path("log"), elapsed_seconds=2, outcome="done in"))
    assert capsys.readouterr().out == "\r\x1b[Kbuilding: 0:01, log log\r\x1b[Kbuilding: done in 0:02\n"


def test_a_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    code = "import sys; print(*range(100), sep='\\n'); sys.exit(3)"
    with pytest.raises(StepError) as failed:
        run_step("counting", [sys.executable, "-c", code], tmp_path / "log", report=lambda standing: None)
    assert str(failed.value).startswith(f"counting failed (exit code 3). The end of {tmp_path / 'log'}:\n80\n81")
    assert str(failed.value).endswith("\n99")


def test_an_interrupt_ends_the_command_and_its_children(tmp_path: Path) -> None:
    code = "import subprocess; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); child.wait()"
    log = tmp_path / "log"

    def interrupt(standing: Standing) -> None:
        if log.read_text().endswith("\n"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step("sleeping", [sys.executable, "-c", code], log, report=interrupt)
    child = int(log.read_text())
    assert eventually(lambda: not processes.is_alive(child, reaper.start_of(child) or "gone"))
