"""Rows as the law sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from joulecast.energy.profile import Host
from joulecast.errors import MeasurementError
from joulecast_calibration.fit.journal import MeasuredRows
from joulecast_calibration.fit.profiles import FittedRows
from joulecast_calibration.fit.table import layers_of_suite, table_of
from joulecast_calibration.rows.journals import Executed
from joulecast_calibration.rows.typed import LayerRow, NetworkRow

HOST = Host(
    kernel_seconds=1e-5, view_seconds=1e-6, module_call_seconds=2e-6, forward_seconds=1e-4, measured_on="a test"
)


def only(journal: MeasuredRows, *lines: Executed) -> MeasuredRows:
    return replace(journal, rows=lines)


def with_columns(line: Executed, **columns: Any) -> Executed:
    return replace(line, row=replace(line.row, **columns))


def of_suite(line: Executed, digest: str) -> Executed:
    assert line.session
    return replace(line, session=replace(line.session, suite_digest=digest))


def test_a_layer_has_the_counts_of_its_row(fitted: FittedRows) -> None:
    layers = [line for line in fitted.journal.rows if line.kind == "layer"]
    table = table_of(only(fitted.journal, *layers))
    same = table.sum("flops") == np.array([2.0 * line.row.macs for line in layers])
    assert same.mean() > 0.97  # a counting rule may be newer than the index that the row's counts came from
    moved = np.array([line.row.bytes_moved for line in layers])
    assert table.sum("bytes")[same] == pytest.approx(moved[same], rel=1e-3)
    assert not table.launched.any()


def test_a_network_has_the_counts_of_its_row_and_is_launched(fitted: FittedRows) -> None:
    networks = [line for line in fitted.journal.rows if line.kind == "network"]
    table = table_of(only(fitted.journal, *networks))
    kept = [line.row for line in networks if line.row.name in {each.name for each in table.rows}]
    assert table.sum("flops").tolist() == [2.0 * row.macs for row in kept]
    assert table.sum("bytes") == pytest.approx([row.bytes_moved for row in kept], rel=1e-3)
    first = kept[0]
    launch = 1e-5 * first.kernels + 1e-6 * first.views + 2e-6 * (first.module_calls or 0) + 1e-4
    assert table.launch_seconds(HOST)[0] == pytest.approx(launch)


def test_in_half_precision_fewer_bytes_move(fitted: FittedRows) -> None:
    row = next(line for line in fitted.journal.rows if line.kind == "layer" and line.row.op_type == "Gemm")
    table = table_of(only(fitted.journal, row, with_columns(row, precision="bf16", digest="of-another-dtype")))
    full, half = table.sum("bytes")
    assert half == pytest.approx(full / 2, rel=0.01)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"runtime": "torch-compile"}, "kernels of torch-compile cannot be counted"),
        ({"l2_state": "hot"}, "weights hot in L2"),
        (
            {"digest": "x", "digest_expected": "sha256:other"},
            "another graph than the suite's, which its journal does not hold",
        ),
        ({"untraced_reason": "it steers"}, "not traced where it was measured"),
        (
            {"digest": "x", "identity": "layer|0123456789abcdef|torch-cudagraph|default"},
            "layers that the suite does not have",
        ),
        ({"precision": "int8"}, "precision int8"),
    ],
)
def test_what_cannot_be_fitted_is_counted(fitted: FittedRows, columns: dict[str, Any], reason: str) -> None:
    good = next(line for line in fitted.journal.rows if isinstance(line.row, LayerRow))
    table = table_of(only(fitted.journal, good, with_columns(good, **columns)))
    assert (table.size, table.left_out) == (1, {reason: 1})
    with pytest.raises(MeasurementError, match=f"none of the rows can be fitted .{reason}: 1"):
        table_of(only(fitted.journal, with_columns(good, **columns)))


def test_networks_of_another_suite_are_fitted_where_their_graph_is_this_ones(fitted: FittedRows) -> None:
    networks = (line for line in fitted.journal.rows if isinstance(line.row, NetworkRow))
    row = next(line for line in networks if line.row.precision == "default")
    older = of_suite(row, "sha256:older")
    changed = with_columns(older, digest="sha256:other")
    untraced = with_columns(older, digest=None)
    table = table_of(only(fitted.journal, row, older, changed, untraced))
    reason = "measured with another suite, and its journal does not hold the graph"
    assert (table.size, table.left_out) == (2, {reason: 2})


def test_a_part_of_a_table_is_that_part(fitted: FittedRows) -> None:
    kept = np.arange(fitted.table.size) % 3 == 0
    part = fitted.table.take(kept)
    whole = fitted.table.sum("bytes")
    assert part.sum("bytes").tolist() == whole[kept].tolist()
    assert part.joules.tolist() == fitted.table.joules[kept].tolist()
    assert [row.name for row in part.rows] == [row.name for row in fitted.table.rows][::3]
    flops = part.networks.sum(np.array([2.0 * layer.macs for layer in part.layers])[part.which])
    assert flops.tolist() == part.sum("flops").tolist()


def test_a_layer_has_all_families_that_run_it(fitted: FittedRows) -> None:
    row = next(row for row in fitted.table.rows if not row.is_network)
    assert row.families == layers_of_suite()[row.configuration.split("|")[1]].families
