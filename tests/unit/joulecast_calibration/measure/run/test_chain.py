"""The whole command in real processes, on a device in virtual time."""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from joulecast_calibration import suite
from joulecast_calibration.measure.run import chain
from joulecast_calibration.measure.run.chain import perform
from joulecast_calibration.measure.run.progress import PlainReporter
from joulecast_calibration.measure.run.request import MeasurementRequest
from tests.unit.joulecast_calibration.measure.command import Measuring
from tests.unit.joulecast_calibration.measure.handmade import HandmadeSuite, layer
from tests.unit.joulecast_calibration.measure.handmade_site import environment
from tests.waiting import eventually

LAYERS = 24
VICTIM = layer(7).digest


@pytest.fixture
def measuring(tmp_path: Path) -> Measuring:
    return Measuring(folder=tmp_path / "rows", environment=environment(tmp_path / "site", layers=LAYERS))


def run_ids(measuring: Measuring) -> set[str]:
    return {row["run_id"] for row in measuring.rows()}


@pytest.mark.slow
def test_a_run_measures_everything_once_and_says_that_it_is_simulated(measuring: Measuring) -> None:
    done = measuring("--budget", "6m", "--slice", "layers", "--slice", "repeats")
    assert done.returncode == 0, done.stderr
    assert "everything asked for is measured" in done.stdout
    assert "SIMULATED" in done.stdout
    assert sum("repeat" not in key for key in list(measuring.keys())) == LAYERS
    assert set(measuring.keys().values()) == {1}
    assert {row["simulated"] for row in measuring.rows()} == {True}
    assert {row["accelerator"] for row in measuring.rows("session")} == {"simulated-hopper"}
    assert [row["anchor"] for row in measuring.measured() if row["anchor"]] == ["start"] * 12 + ["end"] * 12
    assert measuring.rows()[0]["kind"] == "session"
    assert (measuring.rows()[-1]["kind"], measuring.rows()[-1]["reason"]) == ("end", "complete")


@pytest.mark.slow
def test_a_second_command_on_what_is_complete_measures_nothing(measuring: Measuring) -> None:
    measuring("--budget", "6m", "--slice", "layers")
    before = len(measuring.measured())
    done = measuring("--budget", "6m", "--slice", "layers")
    assert done.returncode == 0, done.stderr
    assert len(measuring.measured()) == before


@pytest.mark.slow
def test_a_budget_is_a_chain_of_processes_of_one_run(measuring: Measuring) -> None:
    done = measuring("--budget", "8m", "--process-minutes", "2.5", "--slice", "layers", "--slice", "networks")
    assert done.returncode == 0, done.stderr
    sessions = measuring.rows("session")
    assert [row["process"] for row in sessions] == [1, 2, 3, 4][: len(sessions)]
    assert len(sessions) >= 2
    assert len(run_ids(measuring)) == 1
    assert len(measuring.rows("constants")) == 1
    assert len([row for row in measuring.rows() if row.get("anchor") == "start"]) == 12
    assert set(measuring.keys().values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("budget", [180, 260, 400])
def test_a_budget_is_kept_and_nothing_is_cut(measuring: Measuring, budget: int) -> None:
    done = measuring("--budget", f"{budget}s", "--process-minutes", "2.5")
    assert done.returncode == 0, done.stderr
    ends = measuring.rows("end")
    assert sum(row["at_seconds"] for row in ends) <= budget
    assert len(ends) == len(measuring.rows("session"))
    assert [row["anchor"] for row in measuring.measured()[-12:]] == ["end"] * 12


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_and_repeats_nothing(measuring: Measuring) -> None:
    drawn = random.Random(20)
    for _ in range(4):
        enough = written(measuring) + drawn.randrange(20_000)  # of 75,000 bytes, at any of them
        started = measuring.start("--budget", "6m", "--slice", "layers", "--seed", "5")
        assert eventually(lambda: written(measuring) > enough or started.poll() is not None)  # noqa: B023  # at once
        started.send_signal(signal.SIGKILL)
        started.wait()
        started.stdout.close()
        started.stderr.close()
        wait_until_free(measuring)
    done = measuring("--budget", "6m", "--slice", "layers", "--seed", "5")
    assert done.returncode == 0, done.stderr
    assert len(measuring.keys()) == LAYERS
    assert set(measuring.keys().values()) == {1}
    assert "0 unreadable" in done.stdout


def wait_until_free(measuring: Measuring) -> None:
    """A child dies with its parent: nobody holds the folder any more."""
    import fcntl

    def is_free() -> bool:
        with (measuring.folder / ".lock").open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            return True

    assert eventually(is_free)


def written(measuring: Measuring) -> int:
    """Bytes of rows so far."""
    return sum(journal.stat().st_size for journal in measuring.folder.glob("*.jsonl"))


@pytest.mark.slow
def test_rows_cut_at_any_byte_are_measured_again(measuring: Measuring) -> None:
    measuring("--budget", "6m", "--slice", "layers")
    (path,) = measuring.folder.glob("*.jsonl")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    left = len(measuring.keys())
    assert 0 < left < LAYERS
    done = measuring("--budget", "6m", "--slice", "layers")
    assert done.returncode == 0, done.stderr
    assert len(measuring.keys()) == LAYERS
    assert set(measuring.keys().values()) == {1}


@pytest.mark.slow
def test_a_configuration_that_ends_its_process_costs_one_row(measuring: Measuring) -> None:
    done = measuring(
        "--budget", "8m", "--slice", "layers", "--fault", f"crash={VICTIM}|torch-cudagraph|default|rotated"
    )
    assert done.returncode == 0, done.stderr
    crashes = [row for row in measuring.rows("failure") if row["reason"] == "Crash"]
    by_key = {row["key"]: row["crashes"] for row in crashes}
    assert by_key[f"layer|{VICTIM}|torch-cudagraph|default|rotated"] == 2
    assert len(measuring.keys()) == LAYERS - 1
    assert set(measuring.keys().values()) == {1}
    before = len(measuring.rows("failure"))
    measuring("--budget", "6m", "--slice", "layers")
    assert len(measuring.rows("failure")) == before


@pytest.mark.slow
def test_a_row_that_does_not_fit_is_a_row(measuring: Measuring) -> None:
    done = measuring("--budget", "6m", "--slice", "layers", "--fault", f"out-of-memory={VICTIM}")
    assert done.returncode == 0, done.stderr
    failures = [row for row in measuring.rows("failure") if not row["anchor"]]
    assert [(row["reason"], row["digest"]) for row in failures] == [("OutOfMemory", VICTIM)]
    assert len(measuring.keys()) == LAYERS - 1
    assert f"failed: OutOfMemory {len(measuring.rows('failure'))}" in done.stdout


@pytest.mark.slow
def test_a_foreign_process_that_leaves_costs_the_rows_in_between(measuring: Measuring) -> None:
    done = measuring("--budget", "6m", "--slice", "layers", "--fault", "foreign-process=100-112")
    assert done.returncode == 0, done.stderr
    invalid = [row for row in measuring.rows("layer") if row.get("valid") is False]
    assert invalid
    assert {row["invalid_reason"] for row in invalid} == {"foreign process"}
    assert len(measuring.keys()) == LAYERS
    assert f"{len(invalid)} invalid: foreign process {len(invalid)}" in done.stdout


@pytest.mark.slow
def test_a_foreign_process_that_stays_ends_the_run_and_nothing_is_lost(measuring: Measuring) -> None:
    done = measuring("--budget", "6m", "--slice", "layers", "--fault", "foreign-process=100")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: another process stays on the GPU")
    assert 0 < len(measuring.keys()) < LAYERS
    after = measuring("--budget", "6m", "--slice", "layers")
    assert after.returncode == 0, after.stderr
    assert len(measuring.keys()) == LAYERS
    assert set(measuring.keys().values()) == {1}


@pytest.mark.slow
def test_what_is_not_finite_is_invalid_and_not_tried_again(measuring: Measuring) -> None:
    measuring("--budget", "6m", "--slice", "layers", "--fault", f"broken={VICTIM}")
    measuring("--budget", "6m", "--slice", "layers")
    rows = [row for row in measuring.rows("layer") if row["digest"] == VICTIM and not row["anchor"]]
    assert [(row["valid"], row["invalid_reason"]) for row in rows] == [(False, "not finite")]


@pytest.mark.slow
def test_a_row_that_is_refused_is_measured_again_and_nothing_else_is(measuring: Measuring) -> None:
    measuring("--budget", "6m", "--slice", "layers")
    before = measuring.rows()
    (victim,) = (row["key"] for row in before if row.get("digest") == VICTIM and not row["anchor"])
    (path,) = measuring.folder.glob("*.jsonl")
    spoilt = [row | ({"watts": -5.0} if row.get("key") == victim else {}) for row in before]
    path.write_text("".join(json.dumps(row) + "\n" for row in spoilt), "utf-8")
    done = measuring("--budget", "6m", "--slice", "layers")
    assert done.returncode == 0, done.stderr
    assert len(run_ids(measuring)) == 1
    assert measuring.keys() == Counter({row["key"]: 1 for row in measuring.measured() if not row["anchor"]}) + Counter(
        {victim: 1}
    )
    assert [row["watts"] > 0 for row in measuring.measured() if row["key"] == victim] == [False, True]
    assert "FAIL lines are rows: 0 unreadable; 1 refused: " in done.stdout
    assert "watts is -5.0: give a finite number above 0 W" in done.stdout


@pytest.mark.slow
def test_another_kind_of_card_needs_another_folder(measuring: Measuring) -> None:
    measuring("--budget", "3m", "--slice", "layers")
    before = measuring.rows()
    done = measuring("--budget", "3m", "--slice", "layers", simulate="volta")
    assert done.returncode == 1
    assert "holds rows of simulated-hopper, and the card here is simulated-volta: give another folder" in done.stderr
    assert measuring.rows() == before


@pytest.mark.slow
def test_one_process_at_a_time_with_the_same_command(measuring: Measuring) -> None:
    command = ("--budget", "8m", "--process-minutes", "2", "--one-process", "--continues", "--slice", "layers")
    first = measuring(*command)
    assert first.returncode == 0, first.stderr
    assert len(measuring.rows("session")) == 1
    for _ in range(3):
        measuring(*command)
    assert len(measuring.keys()) == LAYERS
    assert set(measuring.keys().values()) == {1}
    assert len(run_ids(measuring)) == 1
    assert not [row for row in measuring.measured() if row["anchor"] == "end"]


def test_two_measurements_cannot_share_a_folder(measuring: Measuring) -> None:
    measuring.folder.mkdir()
    import fcntl

    with (measuring.folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = measuring("--budget", "3m")
    assert done.returncode == 1
    assert "another measurement is writing to" in done.stderr


_STOPS = """
import time
from joulecast_calibration.measure.run.journal import JournalWriter
_write = JournalWriter._write
def write(self, row):
    _write(self, row)
    if self._sequence == 10:
        time.sleep(3600)
JournalWriter._write = write
"""
"""Code of a process that measures ten rows and then no more, so that it cannot be done before it is interrupted."""


@pytest.mark.slow
def test_an_interrupt_keeps_the_rows_and_says_so(measuring: Measuring) -> None:
    with (Path(measuring.environment["PYTHONPATH"]) / "sitecustomize.py").open("a") as code:
        code.write(_STOPS)
    started = measuring.start("--budget", "6m", "--slice", "layers")
    assert eventually(lambda: measuring.folder.exists() and len(measuring.rows()) >= 10)
    told = interrupted(started)
    assert started.returncode == 130
    assert "rows so far are kept" in told
    assert len(measuring.rows()) == 10


def interrupted(process: subprocess.Popen[str]) -> str:
    """Interrupt a process, again where it had not begun to sleep, and return what it told."""
    for _ in range(15):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=20)[1]
    raise AssertionError("the process does not end")


@pytest.mark.slow
def test_networks_and_cross_checks_pass_through_the_same_chain(tmp_path: Path) -> None:
    site = environment(tmp_path / "site", networks=4, layers=20)
    measuring = Measuring(folder=tmp_path / "rows", environment=site)
    done = measuring("--budget", "20m")
    assert done.returncode == 0, done.stderr
    slices = {row["slice"] for row in measuring.measured()}
    assert {"llm", "networks", "cudagraph", "additivity", "layers", "repeats", "crosscheck", "bf16", "hot"} <= slices
    assert "additivity of torchvision:n000, batch 32: Σ layers" in done.stdout
    assert "usual windows against 8 s: median" in done.stdout
    windows = [row for row in measuring.measured() if row["window"] == "long"]
    assert min(row["window_seconds"] for row in windows) > 7
    assert next(measuring.folder.glob("*.jsonl")).stat().st_size < 2_000 * len(measuring.rows())


@pytest.mark.slow
def test_a_configuration_that_hangs_is_ended_and_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = environment(tmp_path / "site", layers=14)
    monkeypatch.setenv("PYTHONPATH", site["PYTHONPATH"])
    monkeypatch.setattr(suite, "committed", HandmadeSuite)
    victim = layer(13).digest
    request = MeasurementRequest(
        folder=tmp_path / "rows", slices=("layers",), budget_seconds=600.0, device="simulated:hopper",
        faults={"hang": victim},
    )  # fmt: skip
    told = io.StringIO()

    class Impatient(PlainReporter):
        """Lets every process be silent for as long as it needs, but for the one that has come to hang."""

        def event(self, name: str, columns: Mapping[str, Any], elapsed_seconds: float) -> None:
            hangs = name == "begin" and victim in columns["key"]
            monkeypatch.setattr(chain, "_SILENCE_SECONDS", 0.5 if hangs else 600.0)
            super().event(name, columns, elapsed_seconds)

    ending = perform(request, Impatient(lambda line: told.write(f"{line}\n")))
    assert ending.reason == "complete"
    measuring = Measuring(folder=tmp_path / "rows", environment=site)
    crashes = measuring.rows("failure")
    assert [(row["reason"], row["message"], row["crashes"]) for row in crashes] == [
        ("Crash", "it hung and was ended", 1), ("Crash", "it hung and was ended", 2),
    ]  # fmt: skip
    assert len(measuring.keys()) == 13
    assert "given up" in told.getvalue()


def test_processes_that_die_before_they_measure_end_the_chain_with_their_last_words(tmp_path: Path) -> None:
    site = environment(tmp_path / "site", more="import sys\nif '--job' in sys.argv: sys.exit('no such luck')\n")
    done = Measuring(folder=tmp_path / "rows", environment=site)("--budget", "5m")
    assert done.returncode == 1
    assert "ended before it measured anything; see its last output: SystemExit: no such luck" in done.stderr
