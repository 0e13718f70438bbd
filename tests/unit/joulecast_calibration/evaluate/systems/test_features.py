"""Sizes of layers, summed by type."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from joulecast.energy.features import executed
from joulecast_calibration.evaluate.systems.features import KINDS, SIZES, kind_of, network_features
from joulecast_calibration.rows.networks import layers_of
from tests.unit.energy import data
from tests.unit.joulecast_calibration.evaluate.systems.networks import layer, network


@pytest.mark.parametrize(
    ("op_type", "kind"),
    [
        ("Conv", "convolution"),
        ("LSTM", "recurrent"),
        ("Attention", "attention"),
        ("LayerNormalization", "normalisation"),
        ("Gelu", "rectifier"),
        ("Softmax", "squashing"),
        ("MaxPool", "pooling"),
        ("Add", "other"),
    ],
)
def test_a_layers_type_is_its_operators(op_type: str, kind: str) -> None:
    assert kind_of(layer(op_type)) == kind


def test_products_of_two_activations_are_attention() -> None:
    assert kind_of(layer("MatMul", macs=10, params=10)) == "linear"
    assert kind_of(layer("MatMul", macs=10)) == "attention"


def test_sums_and_products_are_of_layers() -> None:
    found = network("two", [layer("Relu", elements=3), layer("Relu", elements=5), layer("Gemm", macs=7, params=2)])
    relu, size = KINDS.index("rectifier"), SIZES.index("input")
    assert found.counts[0, relu] == 2
    assert found.sums[0, relu, size] == 8
    assert found.products[0, relu, size, size] == 3**2 + 5**2  # not 8²
    assert (found.total("macs"), found.total("params"), found.activations) == (7, 2, 1000)


def test_a_networks_totals_are_those_of_its_layers() -> None:
    row = data.row("gpt2model", "gpt2", 32, 2, 900.0)
    found = network_features([row])
    layers = executed(layers_of(row)[0])
    assert found.total("macs") == sum(each.macs for each in layers)
    assert found.total("params") == sum(each.params for each in layers)
    assert found.counts.sum() == sum(each.repeats for each in layers)
    assert found.rows == (row,)


def test_the_clock_changes_no_feature() -> None:
    row = data.row("resnet101", "", None, 2, 900.0)
    found = network_features([row, replace(row, clock_mhz=1200.0)])
    assert np.array_equal(*found.sums)
    assert [each.clock_mhz for each in found.rows] == [900.0, 1200.0]
