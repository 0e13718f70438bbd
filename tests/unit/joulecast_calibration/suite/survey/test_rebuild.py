"""A rebuild of two small architectures with real workers, and how indexes differ."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from joulecast.errors import MeasurementError
from joulecast.readers.named import entries
from joulecast.readers.named.entry import Entry
from joulecast_calibration.suite.index import SuiteIndex, write_index
from joulecast_calibration.suite.survey.rebuild import difference, rebuild
from tests.unit.joulecast_calibration.suite.records import linear, record, relu
from tests.unit.joulecast_calibration.suite.survey.test_assembly import assembled


def written(folder: Path, *records: dict[str, object], **versions: str) -> SuiteIndex:
    write_index(folder, assembled(*records).parts(versions))
    return SuiteIndex(folder)


def test_a_difference_names_graphs_and_versions(tmp_path: Path) -> None:
    calls = [linear(32, 64, 64), relu(32, 64)]
    changed = record("kept", calls)
    changed["workloads"][0]["batches"][0]["digest"] = "sha256:other"
    before = written(tmp_path / "before", record("kept", calls), record("gone", calls), torch="2.0", timm="1.0")
    now = written(tmp_path / "now", changed, record("new", calls), torch="2.1", timm="1.0")
    found = difference(before, now)
    assert (found.added, found.removed, found.changed) == (("new",), ("gone",), ("kept",))
    assert found.versions == (("torch", "2.0", "2.1"),)


@pytest.mark.slow
def test_a_rebuild_traces_every_batch_size_and_skips_what_it_cannot(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (small,) = (entry for entry in entries() if entry.source == "torchvision:squeezenet1_1")
    heard: list[str] = []
    absent = Entry(library="timm", name="absent", task="vision", family="none", inputs={})
    found = rebuild(tmp_path, [small], workers=1, advanced=heard.append).index
    (architecture,) = found.architectures
    assert heard == ["torchvision:squeezenet1_1"]
    assert found.head["versions"]["torch"] == version("torch")
    batches = architecture.workloads[0].batches
    assert [batch.batch_size for batch in batches] == [1, 32, 128]
    assert architecture.params == 1_235_496  # torchvision's own figure of it
    assert [batch.macs for batch in batches] == [batches[0].macs * size for size in (1, 32, 128)]
    assert 0 < batches[0].peak_bytes < batches[1].peak_bytes < batches[2].peak_bytes
    assert sum(layer.multiplicity for layer in found.layers) > 0
    with pytest.raises(MeasurementError, match="no architecture could be traced"):
        rebuild(tmp_path / "none", [absent], workers=1)
    assert not (tmp_path / "none").exists()
