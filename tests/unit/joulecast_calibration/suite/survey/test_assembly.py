"""From records to an index."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from joulecast_calibration.suite.index import SuiteIndex, write_index
from joulecast_calibration.suite.survey.assembly import Assembly
from tests.unit.joulecast_calibration.suite.records import linear, record, relu

MIXED = [linear(32, 64, 64), relu(32, 64), relu(32, 64), linear(32, 64, 1000)]
VERSIONS = {"torch": "2.0"}


def assembled(*records: dict[str, object]) -> Assembly:
    assembly = Assembly()
    for each in records:
        assembly.add(each)
    return assembly


def index_of(folder: Path, *records: dict[str, object]) -> SuiteIndex:
    write_index(folder, assembled(*records).parts(VERSIONS))
    return SuiteIndex(folder)


def test_equal_configurations_are_one_layer_with_all_its_executions(tmp_path: Path) -> None:
    index = index_of(tmp_path, record("one", MIXED), record("two", MIXED, family="other"))
    assert index.head["distinct_layers"] == 3
    found = {layer.op_type: layer for layer in index.layers if layer.macs != 32 * 64 * 1000}
    assert {name: layer.multiplicity for name, layer in found.items()} == {"Gemm": 2, "Relu": 4}
    assert found["Relu"].families == ("one", "other")
    assert found["Gemm"].macs == 32 * 64 * 64
    assert found["Gemm"].call == linear(32, 64, 64) or found["Gemm"].call.digest == linear(32, 64, 64).digest


def test_the_order_of_records_does_not_matter() -> None:
    def records() -> list[dict[str, object]]:
        sizes = [2**step for step in range(4, 12)]
        return [record(f"net{size}", [linear(32, size, 64), relu(32, size)]) for size in sizes]

    shuffled = records()
    random.Random(1).shuffle(shuffled)
    assert assembled(*records()).parts(VERSIONS) == assembled(*shuffled).parts(VERSIONS)


def test_a_network_that_must_stay_unseen_lends_nothing(tmp_path: Path) -> None:
    shared, own = linear(32, 64, 64), linear(32, 64, 128)
    index = index_of(tmp_path, record("unseen", [shared, relu(32, 64)], zero_shot=True), record("seen", [shared, own]))
    assert [layer.digest for layer in index.layers] == [own.digest]


def test_nor_does_its_equal_in_every_count(tmp_path: Path) -> None:
    flat, deep = relu(32 * 64), relu(32, 64)
    assert flat.digest != deep.digest
    assert index_of(tmp_path, record("unseen", [flat], zero_shot=True), record("seen", [deep])).layers == ()


def test_what_does_not_fit_is_left_out_and_what_is_long_comes_last(tmp_path: Path) -> None:
    long, huge = linear(10**6, 5000, 5000), relu(10**6, 20000)
    index = index_of(tmp_path, record("one", [long, huge, *MIXED]))
    assert [layer.long for layer in index.layers] == [False] * 3 + [True]
    assert huge.digest not in {layer.digest for layer in index.layers}


def test_the_layers_of_the_summed_networks_are_kept_even_where_the_sample_may_not_have_them(tmp_path: Path) -> None:
    index = index_of(
        tmp_path, record("torchvision:resnet50", MIXED), record("unseen", [MIXED[0]], task="nlp", zero_shot=True)
    )
    (additivity,) = index.additivity
    counts = {layer.digest: count for layer, count in additivity.layers}
    assert counts == {call.digest: MIXED.count(call) for call in MIXED}
    assert {layer.digest for layer, _ in additivity.layers if layer.zero_shot} == {MIXED[0].digest}
    assert MIXED[0].digest not in {layer.digest for layer in index.layers}


def test_families_that_do_most_of_their_work_in_the_same_layers_are_told(tmp_path: Path) -> None:
    shared, own = linear(32, 512, 512), linear(32, 64, 64)
    index = index_of(
        tmp_path,
        record("one", [shared, own], family="a"),
        record("two", [shared, relu(9)], family="b"),
        record("three", [shared, shared], family="b"),
        record("four", [linear(32, 512, 1024), shared, shared], family="c"),
        record("five", [own], family="d"),
    )
    pairs = {tuple(sorted(kinship["families"])) for kinship in index.head["kinships"]}
    assert pairs == {("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}
    (weak,) = index_of(tmp_path / "b", record("x", [shared, linear(32, 512, 300)], family="x"),
                       record("y", [shared, linear(32, 512, 290)], family="y")).head["kinships"]  # fmt: skip
    assert weak["share"] == pytest.approx(512 / (512 + 290), abs=1e-4)


def test_a_skip_keeps_its_reason(tmp_path: Path) -> None:
    skip = {"name": "odd", "task": "audio", "family": "odd", "reason": "shapes depend on values"}
    (found,) = index_of(tmp_path, record("one", MIXED), skip).skipped
    assert (found.name, found.reason) == ("odd", "shapes depend on values")


def test_an_index_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    first, second = index_of(tmp_path / "a", record("one", MIXED)), index_of(tmp_path / "b", record("one", MIXED))
    names = ("architectures", "layers", "space")
    assert all(
        (tmp_path / "a" / f"{name}.json.gz").read_bytes() == (tmp_path / "b" / f"{name}.json.gz").read_bytes()
        for name in names
    )
    assert first.digest == second.digest
    assert first.digest != index_of(tmp_path / "c", record("two", MIXED)).digest


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    from joulecast.errors import MeasurementError

    index_of(tmp_path, record("one", MIXED))
    path = tmp_path / "layers.json.gz"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(MeasurementError, match=r"layers\.json\.gz cannot be read"):
        _ = SuiteIndex(tmp_path).layers
