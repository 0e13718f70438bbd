"""One program as a process."""

import sys
from pathlib import Path

import pytest

from tests.harness import processes, reaper
from tests.harness.processes import Process, ProcessError
from tests.waiting import eventually

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


def runs(pid: int) -> bool:
    """Whether `pid` is a process that is no zombie: whoever adopted it may be slow to ask for it."""
    start = reaper.start_of(pid)
    return bool(start) and processes.is_alive(pid, start)


def test_it_starts_once_and_stops_with_its_exit_code(tmp_path: Path) -> None:
    log = tmp_path / "sleeper.log"
    process = Process("sleeper", SLEEP, directory=tmp_path, is_ready=lambda: log.read_text() == "up\n")
    with process.start():
        assert reaper.start_of(process.pid)
        with pytest.raises(ProcessError, match="sleeper runs already"):
            process.start()
        assert process.stop() == -15
        assert not process.is_running
        with pytest.raises(ProcessError, match="sleeper is not running"):
            _ = process.pid
    assert process.stop() == -15


def test_a_crash_is_a_kill(tmp_path: Path) -> None:
    process = Process("sleeper", SLEEP, directory=tmp_path).start()
    before = process.pid
    assert process.kill() == -9
    assert process.start().pid != before
    process.stop()


def test_its_children_end_with_it(tmp_path: Path) -> None:
    code = "import subprocess, sys, time; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); time.sleep(600)"
    log = tmp_path / "parent.log"
    argv = [sys.executable, "-c", code, "sleep", "600"]
    with Process("parent", argv, directory=tmp_path, is_ready=lambda: log.read_text().endswith("\n")).start():
        child = int(log.read_text())
        assert reaper.start_of(child)
    assert eventually(lambda: not runs(child))


def test_one_that_ends_by_itself_shows_its_log(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('no such database')"]
    with pytest.raises(ProcessError, match=r"broken ended \(exit code 1\)[\s\S]*no such database"):
        Process("broken", argv, directory=tmp_path, is_ready=lambda: False).start()


def test_one_that_never_answers_is_ended(tmp_path: Path) -> None:
    process = Process("mute", SLEEP, directory=tmp_path, is_ready=lambda: False).start(wait=False)
    with pytest.raises(ProcessError, match="mute gave no answer in 0 s"):
        process.wait_ready(seconds=0.1)
    assert not process.is_running
