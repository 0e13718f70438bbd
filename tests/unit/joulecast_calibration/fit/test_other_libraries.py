"""Rows measured under other versions of the libraries than the suite's index was traced with.

The recorded journal is of an H200 under torch 2.11 and transformers 5.17.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from joulecast_calibration import suite
from joulecast_calibration.evaluate.folder import NamedJournal, read_journals
from joulecast_calibration.fit.journal import read
from joulecast_calibration.fit.profiles import fit_measured
from joulecast_calibration.fit.table import table_of

RECORDED = Path(__file__).resolve().parents[4] / "data" / "measurements" / "NVIDIA-H200"
REASONS = {"the graph has operators without a counting rule", "weights hot in L2"}


def index_digests() -> dict[tuple[object, ...], str]:
    return {
        (network.name, batch.batch_size, network.sequence_length, network.seconds): batch.digest
        for network in (*suite.committed().networks, *suite.committed().llms)
        for batch in network.batches
    }


def test_networks_whose_graph_differs_from_the_suites_are_fitted_on_their_own() -> None:
    journal = read([RECORDED])
    other = [line.row for line in journal.rows if line.row.digest_expected]
    assert len({row.name for row in other}) >= 10
    table = table_of(journal)
    assert set(table.left_out) <= REASONS
    fitted = {row.configuration for row in table.rows}
    assert len([row for row in other if row.identity in fitted]) >= 40


def test_a_row_is_priced_by_the_graph_that_was_traced_where_it_was_measured() -> None:
    journal = read([RECORDED])
    table = table_of(journal)
    macs = table.sum("flops") / 2
    rows = {line.row.key: line.row for line in journal.rows}
    own = {
        position: rows[key]
        for position, row in enumerate(table.rows)
        if (key := row.configuration) in rows and rows[key].digest_expected
    }
    assert own
    for position, row in own.items():
        assert macs[position] == row.macs, row.key


@pytest.fixture
def two_versions(tmp_path: Path) -> Path:
    """The recorded rows, and the same networks as under the index's libraries: without graphs of their own."""
    digests = index_digests()

    def again() -> Iterator[str]:
        for path in RECORDED.glob("*.jsonl"):
            for line in path.read_text("utf-8").splitlines():
                row = json.loads(line)
                key = (row.get("name"), row.get("batch_size"), row.get("sequence_length"), row.get("audio_seconds"))
                if row["kind"] == "graph" or (row["kind"] == "network" and key not in digests):
                    continue
                if row["kind"] == "network":
                    row |= {"digest": digests[key], "digest_expected": None}
                yield json.dumps(row | {"run_id": "other-libraries", "suite_digest": suite.committed().digest}) + "\n"

    for path in RECORDED.glob("*.jsonl"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "other-libraries.jsonl").write_text("".join(again()), "utf-8")
    return tmp_path


@pytest.mark.slow
def test_the_same_networks_under_two_versions_are_both_fitted_and_scored(two_versions: Path) -> None:
    fitted = fit_measured([two_versions])
    holds = {row.hold.rpartition("|")[2] for row in fitted.table.rows if row.is_network and row.name.startswith("hf:")}
    assert len(holds) == 2
    assert np.isfinite(fitted.held.joules[fitted.table.is_network]).all()
    scored = [found for found in read_journals(two_versions) if isinstance(found, NamedJournal)]
    assert len(scored) == 1
    assert len(table_of(scored[0].journal).rows) == fitted.table.size


def test_a_folder_of_several_versions_says_why_each_row_that_is_not_fitted_is_not(two_versions: Path) -> None:
    journal = read([two_versions])
    table = table_of(journal)
    assert table.size + sum(table.left_out.values()) == len(journal.rows)
    assert all(table.left_out)
