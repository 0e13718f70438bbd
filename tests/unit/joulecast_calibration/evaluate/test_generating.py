"""Passes of decoders beside layers and forward passes, of a simulated card."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from joulecast.energy.profile import SIMULATED_ALLOWED
from joulecast_calibration.evaluate.evaluation import FAMILY, SERVING, ScoredForecasts, Unscored
from joulecast_calibration.evaluate.folder import NamedJournal, read_journals
from joulecast_calibration.evaluate.generating import serving_scores
from joulecast_calibration.fit.journal import SERVED, MeasuredRows, read
from joulecast_calibration.fit.prior import known_of, prior_of
from joulecast_calibration.fit.search import search
from joulecast_calibration.fit.table import table_of
from joulecast_calibration.measure.__main__ import main as measure
from joulecast_calibration.rows.typed import NetworkRow

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("allowed")]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of such passes, and anchors."""
    folder = tmp_path_factory.mktemp("serving")
    assert measure(["--simulate", "hopper", "--resume", str(folder), "--slice", "serving", "--budget", "5m"]) == 0
    return folder


@pytest.fixture(scope="module")
def both(alone: Path, measured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("both")
    for path in (*alone.glob("*.jsonl"), *measured.glob("*.jsonl")):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def journal(both: Path) -> MeasuredRows:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(SIMULATED_ALLOWED, "1")
        return read([both])


def test_a_fit_reads_them_apart_from_forward_passes(journal: MeasuredRows, measured: Path) -> None:
    served = [line.row for line in journal.served]
    assert len(served) > 20
    assert all(isinstance(row, NetworkRow) and row.phase and row.context_tokens for row in served)
    assert {row.runtime for row in served} == {"torch-cudagraph"}
    assert {row.simulated for row in served} == {True}
    assert journal.refused[SERVED] == len(served)
    networks = [line.row for line in journal.rows if isinstance(line.row, NetworkRow)]
    assert networks
    assert not any(row.phase for row in networks)
    assert len(networks) == sum(isinstance(line.row, NetworkRow) for line in read([measured]).rows)


def test_they_are_a_set_of_their_own(both: Path, journal: MeasuredRows) -> None:
    (found,) = (each for each in read_journals(both) if isinstance(each, NamedJournal))
    known = known_of(journal.product)
    table = table_of(journal, lacks=known.lacks)
    prior = prior_of(journal, table, known)
    (scored,) = serving_scores(found, prior, search(prior, table))
    assert isinstance(scored, ScoredForecasts)
    assert (scored.study, scored.split, len(scored.rows)) == (SERVING, FAMILY, len(journal.served))
    assert set(scored.tasks) == {"nlp"}
    assert {row.config for row in scored.rows} == {"prefill", "decode"}
    assert {row.sequence for row in scored.rows} <= {128, 1024, 4096}
    assert all(row.architecture.startswith("decoder:") for row in scored.rows)


def test_alone_they_are_listed_with_what_they_need(alone: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in alone.glob("*.jsonl"):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        (few / path.name).write_text("".join(line for line in lines if '"anchors"' not in line), "utf-8")
    found = list(read_journals(few))
    assert all(isinstance(each, Unscored) for each in found)
    assert any(each.n > 20 and "prefill and decode passes" in each.reason for each in found)  # type: ignore[union-attr]
