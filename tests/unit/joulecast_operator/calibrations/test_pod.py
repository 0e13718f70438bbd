"""Test what runs in the pod: the command, and its reports to an API server that may be unavailable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from joulecast_operator.calibrations import pod as calibration_pod
from joulecast_operator.calibrations.pod import ResultReporter, against, run
from tests.waiting import eventually

WRITES = """
import json, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
(folder / "summary.json").write_text(json.dumps({"phase": "done", "progress": 1.0}))
(folder / "profile.json").write_text("{}")
sys.exit(int(sys.argv[2]))
"""


class Server:
    """Accepts patches, after it has refused the first ``away`` ones."""

    def __init__(self, away: int = 0) -> None:
        self.taken: list[dict[str, str]] = []
        self._away = away

    def patch(self, data: dict[str, str]) -> None:
        if self._away:
            self._away -= 1
            raise ConnectionRefusedError("nobody there")
        self.taken.append(data)


def reporter(server: Server, folder: Path) -> ResultReporter:
    return ResultReporter(server, folder, "3")  # type: ignore[arg-type]


def command(folder: Path, code: int = 0) -> list[str]:
    return [sys.executable, "-c", WRITES, str(folder), str(code)]


def test_the_end_is_reported_with_the_profile(tmp_path: Path) -> None:
    server = Server()
    assert run(command(tmp_path), reporter(server, tmp_path)) == 0
    assert server.taken[-1]["run"] == "3"
    assert json.loads(server.taken[-1]["summary.json"])["phase"] == "done"
    assert server.taken[-1]["profile.json"] == "{}"


def test_a_server_that_is_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(away=2)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    (tmp_path / "summary.json").write_text("{}")
    assert reporter(server, tmp_path).result(None)
    assert len(server.taken) == 1


def test_a_server_that_stays_away_fails_the_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration_pod, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    assert run(command(tmp_path), reporter(Server(away=100), tmp_path)) == 1


def test_a_command_that_fails_says_so_and_hands_over_no_profile(tmp_path: Path) -> None:
    server = Server()
    assert run(command(tmp_path, 2), reporter(server, tmp_path)) == 2
    said = json.loads(server.taken[-1]["summary.json"])
    assert (said["phase"], said["schema_version"]) == ("failed", 1)
    assert "exit code 2" in said["message"]
    assert "profile.json" not in server.taken[-1]


def test_its_own_words_for_a_failure_stand(tmp_path: Path) -> None:
    server, own = Server(), {"phase": "failed", "message": "the GPU is shared"}
    (tmp_path / "summary.json").write_text(json.dumps(own))
    reporter(server, tmp_path).result("exit code 1")
    assert json.loads(server.taken[-1]["summary.json"]) == own


def test_progress_is_reported_once_and_what_is_too_large_never(tmp_path: Path) -> None:
    server = Server(away=1)
    telling = reporter(server, tmp_path)
    telling.progress()
    (tmp_path / "summary.json").write_text('{"progress": 0.1}')
    for _ in range(3):
        telling.progress()
    assert [each["summary.json"] for each in server.taken] == ['{"progress": 0.1}']
    (tmp_path / "summary.json").write_text("x" * (calibration_pod.SUMMARY_BYTES + 1))
    telling.progress()
    assert len(server.taken) == 1


def test_a_pod_that_is_stopped_stops_its_command_and_reports_no_end(tmp_path: Path) -> None:
    child = "import pathlib, sys, time; pathlib.Path(sys.argv[1], 'begun').touch(); time.sleep(600)"
    pod = f"""
import pathlib, sys
from joulecast_operator.calibrations.pod import ResultReporter, run
class Server:
    def patch(self, data):
        print("reported", data)
folder = pathlib.Path({str(tmp_path)!r})
sys.exit(run([sys.executable, "-c", {child!r}, str(folder)], ResultReporter(Server(), folder, "1")))
"""
    process = subprocess.Popen([sys.executable, "-c", pod], stdout=subprocess.PIPE, env={**os.environ})
    assert eventually((tmp_path / "begun").exists)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"failed" not in output


def test_the_profile_to_compare_with(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text("{}")
    assert against(own, "NVIDIA-L40S", "torch-eager", tmp_path) == ["--against", str(own)]
    option, shipped = against(None, "NVIDIA-L40S", "torch-eager", tmp_path)
    document: dict[str, Any] = json.loads(Path(shipped).read_text())
    assert (option, document["product"]) == ("--against", "NVIDIA-L40S")
    assert against(None, "NVIDIA-X9000", "torch-eager", tmp_path) == []


def test_it_needs_no_kubernetes_library() -> None:
    code = "import sys, joulecast_operator.calibrations.pod; print({'kopf', 'aiohttp', 'pydantic'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
