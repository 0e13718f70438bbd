"""Workers that crash, hang, or are ended; their part is played by small programs."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from joulecast.readers.named.entry import Entry
from joulecast_calibration.suite.survey.worker import at_most
from joulecast_calibration.suite.survey.workers import _Worker, surveyed
from tests.waiting import eventually

PROGRAM = """
import json, os, signal, sys, time
print("noise", file=sys.stderr)
for line in sys.stdin:
    name = line.strip().partition(":")[2]
    open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
    if name == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "fault":
        sys.exit("Aborted: no such thing")
    if name == "half":
        sys.stdout.write('{"name"')
        sys.stdout.flush()
        sys.exit(3)
    if name == "hang":
        time.sleep(600)
    print(json.dumps({"name": line.strip()}), flush=True)
"""


def entries(*names: str) -> list[Entry]:
    return [Entry(library="timm", name=name, task="vision", family="f", inputs={}) for name in names]


def answers(folder: Path, *names: str, seconds: float = 600.0, workers: int = 2) -> dict[str, str]:
    command = (sys.executable, "-c", PROGRAM, str(folder / "pids"))
    found = surveyed(entries(*names), workers=workers, command=command, longest_seconds=seconds)
    return {each["name"].partition(":")[2]: each.get("reason", "") for each in found}


def alive(folder: Path) -> list[int]:
    return [pid for pid in started(folder) if runs_python(pid)]


def started(folder: Path) -> set[int]:
    return {int(line) for line in (folder / "pids").read_text().split()}


def runs_python(pid: int) -> bool:
    try:
        return "python" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def test_a_crash_costs_the_architecture_at_hand_and_no_other(tmp_path: Path) -> None:
    found = answers(tmp_path, "a", "crash", "b", "fault", "half", "c", "d")
    assert found == {
        "a": "", "b": "", "c": "", "d": "",
        "crash": "the tracing process ended by signal SIGKILL: noise",
        "fault": "the tracing process ended with code 1: Aborted: no such thing",
        "half": "the tracing process ended with code 3: noise",
    }  # fmt: skip
    assert alive(tmp_path) == []


@pytest.mark.slow
def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    assert answers(tmp_path, "hang", "b", seconds=5.0, workers=1) == {"hang": "took longer than 5 s", "b": ""}


def test_time_counts_while_it_is_spent_on_the_processor() -> None:
    """How long an architecture takes on a busy machine does not decide whether the index has it."""
    with at_most(0.2):
        time.sleep(0.5)
    with pytest.raises(TimeoutError, match=r"took longer than 0\.2 s of processor time"), at_most(0.2):
        while True:
            pass


def test_sets_have_the_same_order_in_every_worker(tmp_path: Path) -> None:
    program = "import json, sys\nfor line in sys.stdin: print(json.dumps({'name': hash(line.strip())}), flush=True)"
    found = [
        [each["name"] for each in surveyed(entries("a"), workers=1, command=(sys.executable, "-c", program))]
        for _ in range(2)
    ]
    assert found[0] == found[1] != []


def test_whoever_stops_listening_ends_the_workers(tmp_path: Path) -> None:
    command = (sys.executable, "-c", PROGRAM, str(tmp_path / "pids"))
    found = surveyed(entries("a", "hang", "hang"), workers=2, command=command)
    assert next(found)["name"] == "timm:a"
    assert eventually(lambda: len(started(tmp_path)) == 2)
    found.close()
    assert alive(tmp_path) == []


def test_no_worker_is_left_where_the_last_answer_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = _Worker._end

    def late(worker: _Worker) -> None:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.5)  # as on a busy machine
        end(worker)

    monkeypatch.setattr(_Worker, "_end", late)
    before = threading.active_count()
    assert answers(tmp_path, "a", "b", "c") == {"a": "", "b": "", "c": ""}
    assert threading.active_count() == before
    assert alive(tmp_path) == []


@pytest.mark.slow
def test_a_worker_ends_with_whoever_started_it(tmp_path: Path) -> None:
    from joulecast_calibration.suite.survey import worker

    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        parent = os.getpid()
        if os.fork() == 0:
            os.close(reader)
            worker.end_with(parent)
        os._exit(0)
    os.close(writer)
    os.waitpid(middle, 0)
    assert os.read(reader, 1) == b""  # the last holder of the other end is gone
