"""``joulecast calibrate`` as a process of its own, on a simulated card: it is killed, and goes on."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from joulecast.energy.profile import SIMULATED_ALLOWED, AcceleratorProfile
from joulecast_calibration.calibrate.calibration import QUICK_SECONDS
from joulecast_calibration.calibrate.summary import PREFIX
from joulecast_calibration.measure.report.gain import gain
from joulecast_calibration.rows.journals import read_rows
from joulecast_calibration.rows.typed import LayerRow, NetworkRow
from tests.contract.command_line import CommandLine

# A process that looks from outside may come too late: a quick calibration of a simulated card takes seconds.
DIES = """
import os, signal, sys
if "calibrate" in sys.orig_argv:
    from joulecast_calibration.calibrate.summary import CalibrationState
    write = CalibrationState.write

    def last(self, path):
        write(self, path)
        if self.rows >= {rows}:
            os.kill(os.getpid(), signal.SIGKILL)

    CalibrationState.write = last
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    folder: Path

    @property
    def summary(self) -> Path:
        return self.folder / "summary.json"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, SIMULATED_ALLOWED: "1"}

    def words(self, *more: str) -> list[str]:
        place = ["--folder", str(self.folder / "rows"), "--summary", str(self.summary)]
        return [sys.executable, "-m", "joulecast", "calibrate", *place, "--simulate", "hopper", *more]

    def __call__(self, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*more), env=self.environment, text=True, capture_output=True, timeout=1800, check=False
        )

    def die(self, *more: str, rows: int) -> int:
        """Run until ``rows`` rows are told of, and be killed at that moment. Returns the exit code."""
        site = self.folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(DIES.format(rows=rows))
        path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
        environment = self.environment | {"PYTHONPATH": path}
        return subprocess.run(
            self.words(*more), env=environment, capture_output=True, timeout=1800, check=False
        ).returncode

    def state(self) -> Any:
        return json.loads(self.summary.read_text("utf-8")) if self.summary.exists() else {}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, Any]:
    """A quick calibration that was killed in the middle, and what its summary said then."""
    command = Command(folder=tmp_path_factory.mktemp("calibration"))
    assert command.die("--quick", rows=3) == -signal.SIGKILL
    return command, command.state()


@pytest.fixture(scope="module")
def resumed(killed: tuple[Command, Any]) -> tuple[Command, subprocess.CompletedProcess[str]]:
    command, _ = killed
    return command, command("--quick")


@pytest.mark.slow
def test_a_kill_leaves_a_state_that_can_be_read(killed: tuple[Command, Any]) -> None:
    _, state = killed
    assert state["phase"] in ("measuring", "fitting")
    assert state["simulated"] is True
    assert state["accelerator"] == "NVIDIA-H100-80GB-HBM3"
    assert 0 < state["progress"] < 1
    assert (state["better"], state["profile_digest"]) == (None, None)


@pytest.mark.slow
def test_the_same_command_goes_on_and_ends(resumed: tuple[Command, subprocess.CompletedProcess[str]]) -> None:
    command, done = resumed
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith(PREFIX)
    state = json.loads(last.removeprefix(PREFIX))
    assert state == command.state()
    assert (state["phase"], state["progress"], state["better"]) == ("done", 1.0, True)
    assert state["says"] == "no old profile was given"
    assert state["networks"] > 10
    assert state["rows"] == state["networks"] + state["layers"]
    assert state["held_out"]["median_ape"] < 0.05
    assert state["held_out"]["families"] >= 3
    assert {check["state"] for check in state["verdict"]} <= {"ok", "FAIL", "?"}
    fitted = {row.digest for row in read_rows(command.folder / "rows").rows if isinstance(row, LayerRow)}
    assert len(fitted) >= 15  # how many more depends on the moment of the kill
    assert [step["layers"] for step in state["learning"]] == [size for size in (0, 15, 50) if size <= len(fitted)]


@pytest.mark.slow
def test_what_was_measured_is_not_measured_again(
    resumed: tuple[Command, subprocess.CompletedProcess[str]],
) -> None:
    command, _ = resumed
    rows = read_rows(command.folder / "rows").rows
    times = Counter(row.key for row in rows if isinstance(row, LayerRow | NetworkRow) and not row.anchor)
    assert set(times.values()) == {1}


@pytest.mark.slow
def test_a_quick_calibration_costs_five_minutes_of_a_gpu_in_all(
    resumed: tuple[Command, subprocess.CompletedProcess[str]],
) -> None:
    command, _ = resumed
    assert 60 * gain(read_rows(command.folder / "rows").rows).minutes <= QUICK_SECONDS * 1.05


@pytest.mark.slow
def test_the_profile_is_the_one_that_the_summary_names(
    resumed: tuple[Command, subprocess.CompletedProcess[str]],
) -> None:
    command, _ = resumed
    text = (command.folder / "rows" / "profile.json").read_text("utf-8")
    assert hashlib.sha256(text.encode()).hexdigest() == command.state()["profile_digest"]
    assert AcceleratorProfile.from_json(text).simulated


@pytest.mark.slow
def test_done_is_done_and_an_old_profile_as_good_stays(
    resumed: tuple[Command, subprocess.CompletedProcess[str]],
) -> None:
    """Nothing is measured any more; the profile that the same rows gave is no worse than the new one."""
    command, _ = resumed
    before = len(read_rows(command.folder / "rows").rows)
    old, new = command.folder / "old.json", command.folder / "new.json"
    (command.folder / "rows" / "profile.json").rename(old)
    done = command("--quick", "--against", str(old), "--out", str(new))
    assert done.returncode == 0, done.stderr
    assert len(read_rows(command.folder / "rows").rows) == before
    state = command.state()
    assert state["better"] is False
    assert "is not at least" in state["says"]
    assert state["against"]["median_ape"] < 0.05
    assert new.read_text("utf-8") == old.read_text("utf-8")


@pytest.fixture
def joulecast(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.delenv(SIMULATED_ALLOWED, raising=False)
    return CommandLine(capsys, monkeypatch)


def test_a_simulated_card_is_refused_unasked(joulecast: CommandLine, tmp_path: Path) -> None:
    rows, summary = tmp_path / "rows", tmp_path / "summary.json"
    done = joulecast("calibrate", "--folder", rows, "--summary", summary, "--quick", "--simulate", "hopper")
    assert done.code == 1
    assert "a simulated device cannot be calibrated for use" in done.err
    state = json.loads(done.out.splitlines()[-1].removeprefix(PREFIX))
    assert (state["phase"], state["profile_digest"]) == ("failed", None)
    assert state == json.loads(summary.read_text("utf-8"))
    assert not rows.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--quick", "--slice", "layers"), "--quick and --slice both choose what is measured"),
        (("--budget", "soon"), "--budget"),
        (("--slice", "everything"), "everything"),
        (("--against", "nowhere.json"), "nowhere.json"),
    ],
)
def test_wrong_words_end_with_usage(joulecast: CommandLine, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    done = joulecast("calibrate", "--folder", tmp_path / "rows", "--simulate", "hopper", *words)
    assert done.code == 2
    assert says in " ".join(done.err.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_an_old_profile_that_is_none(joulecast: CommandLine, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("{}", "utf-8")
    done = joulecast("calibrate", "--folder", tmp_path / "rows", "--quick", "--against", old)
    assert done.code == 1
    assert "is not an accelerator profile" in done.err
    assert not (tmp_path / "rows").exists()
