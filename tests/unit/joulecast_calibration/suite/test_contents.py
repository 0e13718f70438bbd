"""What the suite's networks consist of, against the sums that the index has of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import pytest

from joulecast.energy.features import LONGEST_ROW, features
from joulecast.errors import MeasurementError
from joulecast.layers import LayerProfile
from joulecast_calibration import suite
from joulecast_calibration.rows.counted import contents_of
from joulecast_calibration.suite.architecture import Batch
from joulecast_calibration.suite.contents import (
    FILE_NAME,
    Contents,
    Key,
    belongs,
    contents,
    rows_of_call,
    write_contents,
)
from joulecast_calibration.suite.index import FOLDER, PARTS
from tests.unit.energy.profiles import elementwise, product


@pytest.fixture(scope="module")
def packed() -> Contents:
    found = contents()
    assert found is not None
    assert belongs(found)
    return found


@pytest.fixture(scope="module")
def batches() -> Mapping[Key, Batch]:
    return {
        (each.name, batch.batch_size, workload.sequence_length, workload.seconds): batch
        for each in suite.committed().architectures
        for workload in each.workloads
        for batch in workload.batches
    }


def test_nearly_every_forward_pass_is_there(packed: Contents, batches: Mapping[Key, Batch]) -> None:
    assert packed.networks.keys() <= batches.keys()
    assert len(packed.networks) > 0.95 * len(batches)
    assert all((llm.name, 1, llm.sequence_length, None) in packed.networks for llm in suite.committed().llms)


def test_sums_are_those_of_the_index(packed: Contents, batches: Mapping[Key, Batch]) -> None:
    for key, pairs in packed.networks.items():
        rows = [(packed.layers[place], times) for place, times in pairs]
        assert sum(row.macs * times for row, times in rows) == batches[key].macs, key
        assert sum(row.kernels["torch-eager"] * times for row, times in rows) == batches[key].kernels, key
        assert sum(row.bytes_moved * times for row, times in rows) == pytest.approx(batches[key].bytes_moved, 1e-3)


def test_what_is_packed_is_read_as_it_was(tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / f"{part}.json.gz").write_bytes((FOLDER / f"{part}.json.gz").read_bytes())
    rows = [row for layer in suite.committed().layers[:20] for row in rows_of_call(layer.document)]
    batch = {"batch_size": 4, "contents": contents_of([*rows, *rows])}
    unpriced = batch | {"batch_size": 5, "unsupported": {":Odd": 1}}
    record = {"name": "made:up", "workloads": [{"sequence_length": None, "seconds": 2.0, "batches": [batch, unpriced]}]}
    write_contents(tmp_path, [record])
    found = contents(tmp_path)
    assert found is not None
    assert belongs(found)
    assert list(found.networks) == [("made:up", 4, None, 2.0)]
    pairs = found.networks["made:up", 4, None, 2.0]
    total = {name: 2 * sum(getattr(row, name) for row in rows) for name in ("macs", "bytes_moved", "output_numel")}
    for name, value in total.items():
        assert sum(getattr(found.layers[place], name) * times for place, times in pairs) == value
    assert all(times % 2 == 0 for _, times in pairs)


def test_forecasts_see_no_difference(tmp_path: Path) -> None:
    """Whatever the law asks of a row outlives packing: products, broadcast operands, how weights lie, long rows."""
    for part in PARTS:
        (tmp_path / f"{part}.json.gz").write_bytes((FOLDER / f"{part}.json.gz").read_bytes())
    linear = replace(product(64, 3072, 768, op_type="Gemm"), input_shapes=((64, 768), (3072, 768)))
    made = [
        linear,
        replace(linear, input_shapes=((64, 768), (768, 3072))),
        *(
            replace(elementwise(8 * length, op_type="Softmax"), input_shapes=((8, length),))
            for length in (LONGEST_ROW, LONGEST_ROW + 1)
        ),
        replace(elementwise(4096, op_type="Add"), input_numel=4160, input_shapes=((64, 64), (64,))),
    ]
    rows = [*made, *(row for layer in suite.committed().layers[::400] for row in rows_of_call(layer.document))]
    batch = {"batch_size": 1, "contents": contents_of(rows)}
    record = {"name": "made:up", "workloads": [{"sequence_length": None, "seconds": None, "batches": [batch]}]}
    write_contents(tmp_path, [record])
    found = contents(tmp_path)
    assert found is not None
    unpacked = [found.layers[place] for place, times in found.networks["made:up", 1, None, None] for _ in range(times)]
    assert described(unpacked) == described(rows)


def described(rows: Sequence[LayerProfile]) -> Counter[tuple[object, ...]]:
    """How often each combination of what the law sees of a row occurs."""
    tables = [features([row], precision="bf16", runtime="torch-eager") for row in rows]
    return Counter(tuple(getattr(table, field.name).tobytes() for field in fields(table)) for table in tables)


def test_a_folder_without_them_and_one_that_is_damaged(tmp_path: Path) -> None:
    assert contents(tmp_path / "nowhere") is None
    (tmp_path / FILE_NAME).write_bytes(b"\x1f\x8b not gzip")
    with pytest.raises(MeasurementError, match=r"contents\.json\.gz cannot be read"):
        contents(tmp_path)
