"""Small selections."""

from __future__ import annotations

from dataclasses import replace

from joulecast_calibration.suite.layer import SuiteLayer
from joulecast_calibration.suite.ordering import ordered_networks
from joulecast_calibration.suite.selection import ANCHORS, CAPTURED, anchor_layers, captured_networks, unseen_networks
from tests.unit.joulecast_calibration.suite.test_ordering import architecture, suite


def layer(op_type: str, seconds: float, multiplicity: int = 1) -> SuiteLayer:
    return SuiteLayer(
        digest=f"{op_type}{seconds}", op_type=op_type, dtype="float32", rows=1, macs=0, params=0, activations=0,
        input_numel=1, bytes_moved=1, kernels=1, views=0, multiplicity=multiplicity, families=("a",), zero_shot=False,
        fits=True, predicted_seconds=seconds, predicted_joules=1.0, document={},
    )  # fmt: skip


def test_anchors_are_of_the_heaviest_op_types_each_near_a_millisecond() -> None:
    many = [layer(f"Op{number:02}", 1e-3, multiplicity=number + 1) for number in range(20)]
    chosen = anchor_layers([*many, layer("Op19", 2.0), layer("Op19", 1e-6)])
    assert len(chosen) == ANCHORS
    assert [each.op_type for each in chosen] == [f"Op{number:02}" for number in range(19, 7, -1)]
    assert {each.predicted_seconds for each in chosen} == {1e-3}


def test_captured_networks_take_batch_sizes_in_turn_and_none_that_is_long() -> None:
    slow = architecture("slow", "vision", "v0", seconds=0.4)
    captured = captured_networks(ordered_networks([*suite(), slow]))
    assert len(captured) == CAPTURED >= 30
    assert all(len(network.batches) == 1 for network in captured)
    assert [network.batches[0].batch_size for network in captured] == [1, 32, 128] * (CAPTURED // 3)
    assert ("slow", 128) not in {(network.name, network.batches[0].batch_size) for network in captured}


def test_unseen_networks_are_the_marked_ones_with_what_fits() -> None:
    marked = architecture("unseen", "nlp", "n", zero_shot=True, fits=False)
    (network,) = unseen_networks([*suite(), marked])
    assert (network.name, [batch.batch_size for batch in network.batches]) == ("unseen", [1, 32])
    assert unseen_networks([replace(marked, zero_shot=False)]) == ()
