"""What a worker's child may do, and how its errors are told."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from joulecast.errors import ModelFormatError
from joulecast_operator.workers.sandbox import failure, told

HOOKED = """
import ctypes, json, os, socket, subprocess, sys
from joulecast_operator.workers.sandbox import forbid
actions = json.loads(sys.argv[1])
forbid()
for action in actions:
    try:
        exec(action)
    except PermissionError as error:
        print("refused" if "a model's reader may not do this" in str(error) else error)
    else:
        print("done")
"""


def answers(*actions: str) -> list[str]:
    """Run each action in a process with the audit hook; say whether it was refused or done."""
    command = [sys.executable, "-c", HOOKED, json.dumps(actions)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=300, check=True)
    return done.stdout.splitlines()


def test_sockets_programs_and_files_to_write_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    actions = (
        "socket.socket()",
        "subprocess.run(['true'])",
        "os.fork()",
        "os.system('true')",
        "ctypes.CDLL(None)",
        "open('written', 'w')",
        "open('written', 'a+')",
        "os.open('written', os.O_WRONLY | os.O_CREAT)",
    )
    assert answers(*actions) == ["refused"] * len(actions)
    assert list(tmp_path.iterdir()) == []


def test_files_may_be_read() -> None:
    assert answers(f"open({__file__!r}).read()", f"os.open({__file__!r}, os.O_RDONLY)") == ["done", "done"]


def test_a_child_without_memory_is_reported_as_one_that_was_killed() -> None:
    assert failure(MemoryError()) == {"killed": "memory"}


def test_an_error_of_the_input_keeps_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    error = ModelFormatError("it is cut off", reason="Truncated")
    assert failure(error) == {"error": told(error)}
    assert told(error) == {"reason": "Truncated", "message": "it is cut off", "transient": False}
    assert caplog.records == []


def test_a_defects_traceback_is_in_the_log_under_the_id_of_its_message(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        found = told(KeyError("rows"))
    (line,) = caplog.records
    assert found["reason"] == "InternalError"
    assert vars(line)["defect"] in found["message"]
    assert line.exc_info
