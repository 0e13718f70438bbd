"""Each published form recovers rows that are of its own form."""

from __future__ import annotations

import numpy as np
import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.evaluate.systems import neuralpower
from joulecast_calibration.evaluate.systems.catalogue import FORMS
from joulecast_calibration.evaluate.systems.features import KINDS, SIZES
from tests.unit.joulecast_calibration.evaluate.systems.networks import by_kind, drawn, layers_of_kind, truth

ROWS = drawn()
FITTED, UNSEEN = ROWS.take(np.arange(40)), ROWS.take(np.arange(40, 60))
EVEN = np.ones(40)
total = ROWS.total


def test_mac_linear_finds_slope_and_constant() -> None:
    joules = 2e-10 * total("macs") + 0.3
    found = FORMS["mac-linear"](FITTED, truth(joules[:40]), EVEN)
    assert found.coefficients == pytest.approx([2e-10, 0.3])
    assert found.predict(UNSEEN) == pytest.approx(joules[40:])


def test_mac_linear_is_never_negative() -> None:
    joules = 2e-10 * total("macs") - 0.05 * (2e-10 * total("macs")).min()
    assert (FORMS["mac-linear"](FITTED, truth(joules[:40]), EVEN).coefficients >= 0).all()


def test_hidden_joules_finds_the_exponents() -> None:
    joules = np.exp(-9) * total("macs") ** 0.6 * ROWS.activations**0.25 * total("params") ** 0.05
    found = FORMS["hidden-joules"](FITTED, truth(joules[:40]), EVEN)
    assert found.coefficients == pytest.approx([-9, 0.6, 0.25, 0.05], rel=1e-6)
    assert found.predict(UNSEEN) == pytest.approx(joules[40:])


def test_wattlayer_finds_what_each_layer_type_costs() -> None:
    joules = (
        3e-10 * by_kind(ROWS, "macs", "convolution")
        + 1e-10 * by_kind(ROWS, "macs", "linear")
        + 2e-8 * by_kind(ROWS, "params", "linear")
        + 5e-8 * by_kind(ROWS, "activations", "normalisation")
        + 1e-4 * ROWS.batch_sizes * layers_of_kind(ROWS, "rectifier")
        + 1e-3 * layers_of_kind(ROWS, "other")
    )
    found = FORMS["wattlayer"](FITTED, truth(joules[:40]), EVEN)
    assert found.predict(UNSEEN) == pytest.approx(joules[40:], rel=1e-6)


def test_getzner_finds_lines_and_parabolas() -> None:
    squares = ROWS.products[:, KINDS.index("squashing"), _INPUT, _INPUT]
    joules = (
        3e-10 * by_kind(ROWS, "macs", "convolution")
        + 2e-3 * layers_of_kind(ROWS, "linear")
        + 4e-8 * by_kind(ROWS, "input", "rectifier")
        + 1e-8 * by_kind(ROWS, "input", "squashing")
        + 1e-13 * squares
        + 1e-3 * layers_of_kind(ROWS, "other")
    )
    found = FORMS["getzner"](FITTED, truth(joules[:40]), EVEN)
    assert found.predict(UNSEEN) == pytest.approx(joules[40:], rel=1e-6)


_INPUT = SIZES.index("input")


def test_neuralpower_finds_runtime_and_power() -> None:
    seconds = (
        1e-12 * by_kind(ROWS, "macs", "convolution")
        + 2e-12 * by_kind(ROWS, "macs", "linear")
        + 1e-5 * layers_of_kind(ROWS, "other")
    )
    watts = 60 + 5 * np.log(ROWS.batch_sizes)
    found = neuralpower.fit(FITTED, truth(seconds[:40] * watts[:40], seconds[:40]), EVEN)
    errors = np.abs(found.predict(UNSEEN) / (seconds * watts)[40:] - 1)
    assert np.median(errors) < 0.1  # a penalty shrinks what it finds
    assert (found.seconds.coefficients >= 0).all()
    assert (found.seconds.coefficients > 0).sum() < found.seconds.coefficients.size / 2


def test_neuralpower_forecasts_no_power_that_was_never_seen() -> None:
    seconds = 1e-12 * total("macs")
    watts = 60 + 5 * np.log(ROWS.batch_sizes)
    found = neuralpower.fit(FITTED, truth(seconds[:40] * watts[:40], seconds[:40]), EVEN)
    implied = found.predict(UNSEEN) / found.seconds.at(neuralpower._runtime_columns(UNSEEN))
    assert (implied >= watts.min() - 1e-9).all()
    assert (implied <= watts.max() + 1e-9).all()


def test_neuralpower_leaves_out_rows_without_seconds_and_needs_some() -> None:
    seconds = 1e-12 * total("macs")
    holes = np.where(np.arange(40) % 4, seconds[:40], np.nan)
    found = neuralpower.fit(FITTED, truth(100 * seconds[:40], holes), EVEN)
    assert np.median(np.abs(found.predict(UNSEEN) / (100 * seconds[40:]) - 1)) < 0.1
    with pytest.raises(MeasurementError, match="no measured seconds"):
        neuralpower.fit(FITTED, truth(seconds[:40], np.full(40, np.nan)), EVEN)
