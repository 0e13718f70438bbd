"""``scripts/measure-window`` as a process, in virtual time and with processes that misbehave."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from joulecast.energy.profile import SIMULATED_ALLOWED
from joulecast_calibration.evaluate.evaluation import Unscored
from joulecast_calibration.evaluate.folder import NamedJournal, read_journals
from joulecast_calibration.fit.journal import read
from joulecast_calibration.fit.table import table_of
from joulecast_calibration.measure.run import window
from joulecast_calibration.rows.journals import read_rows
from joulecast_calibration.rows.typed import ConstantsRow, SessionRow
from tests.unit.joulecast_calibration.measure.command import written

SCRIPT = Path(__file__).resolve().parents[5] / "scripts" / "measure-window"
CARD = "simulated-hopper"
UNCOUNTED = ("hf:dac_24khz",)  # it has operators without a counting rule, so the suite has no contents of it


def command(out: Path, *options: object) -> list[str]:
    return [sys.executable, str(SCRIPT), str(out), *map(str, options)]


def measured(out: Path, *options: object, rows: Path | None = None) -> subprocess.CompletedProcess[str]:
    where = () if rows is None else ("--rows", rows)
    done = subprocess.run(command(out, "--simulate", *where, *options), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def keys(folder: Path) -> Counter[str]:
    return Counter(row["key"] for row in written(folder / CARD, "layer", "network") if not row["anchor"])


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for path in (folder / CARD).glob("*.jsonl") for line in path.read_text("utf-8").splitlines()
    ]


def files(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("first")
    measured(out, "--seconds", "570", rows=out / "none")
    return out


@pytest.mark.slow
def test_a_window_leaves_few_small_files_and_says_what_it_gained(first: Path) -> None:
    journal = next((first / CARD).glob("*.jsonl"))
    assert files(first) == ["report.txt", f"{CARD}/{journal.name}", f"{CARD}/process.log.gz"]
    assert all(path.stat().st_size < 16 << 20 for path in first.rglob("*") if path.is_file())
    assert gzip.decompress((first / CARD / "process.log.gz").read_bytes()) is not None
    last = (first / "report.txt").read_text("utf-8").splitlines()[-1]
    assert last.startswith("gained ")
    assert "Rows may be fitted: no" in last and "they are simulated" in last


@pytest.mark.slow
def test_a_window_covers_every_task_batch_and_runtime(first: Path) -> None:
    networks = written(first / CARD, "network")
    assert {row["task"] for row in networks} == {"vision", "nlp", "audio"}
    assert {row["batch_size"] for row in networks} == {1, 32, 128}
    assert {row["runtime"] for row in networks} == {"torch-eager", "torch-cudagraph"}


@pytest.mark.slow
def test_each_row_of_a_window_has_its_graph(first: Path) -> None:
    rows = lines_of(first)
    seen: set[str] = set()
    for row in rows:
        if row["kind"] == "graph":
            assert row["digest"] not in seen
            seen.add(row["digest"])
        if row["kind"] in ("layer", "network") and row["name"] not in UNCOUNTED:
            assert row["digest"] in seen, row["key"]


@pytest.mark.slow
def test_every_row_of_a_window_is_fitted_and_scored_or_left_out_for_a_reason(
    first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SIMULATED_ALLOWED, "1")
    executed = sum(row["kind"] in ("layer", "network") for row in lines_of(first))
    journal = read([first / CARD])
    table = table_of(journal)
    left_out = dict(journal.refused) | dict(table.left_out)
    assert table.size + sum(left_out.values()) == executed
    assert all(left_out)
    found = list(read_journals(first / CARD))
    scored = [table_of(each.journal) for each in found if isinstance(each, NamedJournal)]
    unscored = [each for each in found if isinstance(each, Unscored)]
    assert sum(one.size + sum(one.left_out.values()) for one in scored) + sum(each.n for each in unscored) == executed
    assert all(each.reason for each in unscored)


@pytest.mark.slow
def test_the_next_window_goes_on_where_the_rows_stop(first: Path, tmp_path: Path) -> None:
    measured(tmp_path, "--seconds", "240", rows=first)
    before, after = keys(first), keys(tmp_path)
    assert after and not {key for key in after if key in before and after[key] > before[key]}
    assert set(after) - set(before)


@pytest.mark.slow
def test_only_the_journal_that_the_window_added_to_is_brought_back(first: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier" / CARD
    earlier.mkdir(parents=True)
    (journal,) = (first / CARD).glob("*.jsonl")
    lines = journal.read_text("utf-8").splitlines(keepends=True)
    (earlier / "00000000T000000Z-aaaaaa.jsonl").write_text(lines[0].replace(journal.stem, "00000000T000000Z-aaaaaa"))
    (earlier / journal.name).write_bytes(journal.read_bytes())
    measured(tmp_path / "out", "--slice", "layers", "--seconds", "200", rows=tmp_path / "earlier")
    (found,) = (tmp_path / "out" / CARD).glob("*.jsonl")
    assert found.name == journal.name
    assert found.read_bytes().startswith(journal.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_window_killed_at_any_moment_leaves_whole_rows(tmp_path: Path, seed: int) -> None:
    process = subprocess.Popen(
        command(tmp_path, "--simulate", "--rows", tmp_path / "none"), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, process_group=0, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    lines = random.Random(seed).randrange(1, 60)
    for _ in range(lines):
        process.stderr.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    found = read_rows(tmp_path / CARD)
    assert (found.damaged, found.refused) == ((), ())
    assert any(isinstance(row, SessionRow) for row in found.rows)


@pytest.mark.slow
def test_nothing_goes_on_measuring_where_the_window_alone_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path, "--simulate", "--rows", tmp_path / "none"), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    process.stderr.readline()
    process.kill()
    process.wait()
    process.stderr.read()  # until every process that holds it has ended
    process.stderr.close()
    (journal,) = (tmp_path / CARD).glob("*.jsonl")
    assert '"kind": "end"' not in journal.read_text("utf-8")


@pytest.mark.slow
def test_a_measurement_that_does_not_end_is_ended_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nsleep 3600 & wait\n")
    hangs.chmod(0o755)
    monkeypatch.setattr(window.sys, "executable", str(hangs))
    status = window.main(tmp_path / "none", [str(tmp_path / "out"), "--simulate", "--seconds", "9"])
    assert status == 1
    told = capfd.readouterr().out
    assert told.startswith("killed at the end of its time")
    assert "no report: " in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        (("--seconds", "soon"), 2, "--seconds 'soon' cannot be read as a length of time"),
        (("--simulate", "unheard"), 1, "unheard"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(
    tmp_path: Path, options: tuple[str, ...], status: int, sentence: str
) -> None:
    done = subprocess.run(command(tmp_path, "--simulate", *options), text=True, capture_output=True, check=False)
    assert done.returncode in (status, 2)
    assert sentence in done.stderr


def test_a_python_without_torch_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command(tmp_path / "out"), env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: torch cannot be imported by {sys.executable}: run this with a Python")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path), text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert files(tmp_path) == []


@pytest.mark.slow
def test_a_full_disk_ends_the_window_and_keeps_what_was_written(tmp_path: Path) -> None:
    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run(
        command(tmp_path, "--simulate", "--rows", tmp_path / "none"), text=True, capture_output=True, check=False,
        preexec_fn=limit,
    )  # fmt: skip
    assert "is full: rows so far are kept" in done.stderr
    found = read_rows(tmp_path / CARD)
    assert (found.damaged, found.refused) == ((), ())
    assert any(isinstance(row, ConstantsRow) for row in found.rows)
