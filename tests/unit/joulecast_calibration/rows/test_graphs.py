"""Graphs of a journal: packed, read back, and priced in the place of the suite's."""

from __future__ import annotations

import base64
import zlib

import pytest

from joulecast.energy.features import features
from joulecast.errors import MeasurementError
from joulecast.layers import LayerProfile
from joulecast_calibration.rows.counted import contents_of
from joulecast_calibration.rows.graphs import PackedGraph, graphs_of, packed, unpacked
from joulecast_calibration.rows.typed import TypedRow, row_of
from joulecast_calibration.suite.contents import rows_of_layer
from joulecast_calibration.suite.index import committed
from tests.unit.joulecast_calibration.rows.made import graph as made_graph

LAYERS = [layer for layer in committed().layers[:400:20] if rows_of_layer(layer.digest)]


def graph(**changed: object) -> TypedRow:
    rows = [row for layer in LAYERS for row, _ in rows_of_layer(layer.digest) or []]
    made = PackedGraph(digest="sha256:a", name="hf:net", families=("x",), unsupported=0, contents=contents_of(rows))
    return row_of(made_graph(**made.columns() | changed))


def test_a_graph_is_read_back_as_it_was_counted() -> None:
    rows = [row for layer in LAYERS for row, _ in rows_of_layer(layer.digest) or []]
    found = unpacked(packed(contents_of(rows)))
    assert sum(times for _, times in found) == len(rows)
    assert sum(row.macs * times for row, times in found) == sum(row.macs for row in rows)
    assert sum(row.bytes_moved * times for row, times in found) == sum(row.bytes_moved for row in rows)


def test_an_interpolation_is_read_back_with_what_its_time_depends_on() -> None:
    shape = (2, 8, 14, 14)
    row = LayerProfile(
        name="Resize", op_type="Resize", kind="zero", kernels={"torch-eager": 1}, input_numel=784, output_numel=3136,
        float_numel=3920, bytes_moved=15680, input_shapes=((2, 8, 7, 7),), output_shapes=(shape,), taps=4,
    )  # fmt: skip
    ((found, times),) = unpacked(packed(contents_of([row, row])))
    assert times == 2
    assert (found.taps, found.output_shapes) == (4, (shape,))
    told = [features([each], precision="default", runtime="torch-eager") for each in (row, found)]
    assert told[0].turns.tolist() == told[1].turns.tolist() == [16]


def test_equal_rows_of_several_graphs_are_one_object() -> None:
    found = graphs_of([graph(), graph(digest="sha256:b")])
    one, other = found["sha256:a"].counted, found["sha256:b"].counted
    assert not isinstance(one, str) and not isinstance(other, str)
    assert all(left is right for (left, _), (right, _) in zip(one, other, strict=True))
    assert found["sha256:a"].families == ("x",)


@pytest.mark.parametrize("contents", ["", "not base64!", packed([])[:-4], base64.b64encode(b"no zlib").decode()])
def test_damaged_contents_are_a_reason_and_no_rows(contents: str) -> None:
    (found,) = graphs_of([graph(contents=contents)]).values()
    assert found.counted == "the contents of the graph are damaged"


def test_contents_that_unpack_to_too_much_are_refused() -> None:
    bomb = base64.b64encode(zlib.compress(b"[" + b" " * (32 << 20) + b"]", 9)).decode()
    with pytest.raises(MeasurementError, match="too large or cut off"):
        unpacked(bomb)


def test_a_graph_with_operators_that_have_no_rule_is_not_priced() -> None:
    (found,) = graphs_of([graph(unsupported=2)]).values()
    assert found.counted == "the graph has operators without a counting rule"
