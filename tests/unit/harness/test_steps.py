"""A long command says what it does and where its log is."""

import re
import sys
from pathlib import Path

import pytest

from tests.harness import processes, reaper, steps
from tests.harness.steps import StepError, run_step
from tests.waiting import eventually


def test_it_reports_its_progress_its_log_and_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "REPORT_EVERY_SECONDS", 0.0)
    lines: list[str] = []
    log = tmp_path / "logs" / "step.log"
    run_step("sleeping", [sys.executable, "-c", "print('slept')"], log, report=lines.append)
    assert re.fullmatch(rf"sleeping: \d+:\d\d, log {re.escape(str(log))}", lines[0])
    assert re.fullmatch(r"sleeping: done in \d+:\d\d", lines[-1])
    assert log.read_text() == "slept\n"


def test_a_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    code = "import sys; print(*range(100), sep='\\n'); sys.exit(3)"
    with pytest.raises(StepError) as failed:
        run_step("counting", [sys.executable, "-c", code], tmp_path / "log", report=lambda line: None)
    assert str(failed.value).startswith(f"counting failed (exit code 3). The end of {tmp_path / 'log'}:\n80\n81")
    assert str(failed.value).endswith("\n99")


def test_an_interrupt_ends_the_command_and_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "REPORT_EVERY_SECONDS", 0.0)
    code = "import subprocess; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); child.wait()"
    log = tmp_path / "log"

    def interrupt(line: str) -> None:
        if log.read_text().endswith("\n"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step("sleeping", [sys.executable, "-c", code], log, report=interrupt)
    child = int(log.read_text())
    assert eventually(lambda: not processes.is_alive(child, reaper.start_of(child) or "gone"))
