"""What every form is given beyond its paper: precision, clock, weights."""

from __future__ import annotations

import numpy as np
import pytest

from joulecast_calibration.evaluate.systems.adaptation import fit_adapted, fit_clock
from joulecast_calibration.evaluate.systems.catalogue import FORMS, LAYER_WISE
from joulecast_calibration.evaluate.systems.features import NetworkFeatures, joined, network_features
from joulecast_calibration.fit.networks import balanced
from tests.unit.energy import data
from tests.unit.joulecast_calibration.evaluate.systems.networks import drawn, layer, network, truth

CLOCKS = (600.0, 900.0, 1200.0)


def shape(networks: NetworkFeatures) -> np.ndarray:
    logarithm = np.log(np.array([row.clock_mhz for row in networks.rows]) / 900)
    return np.exp(0.3 * logarithm + 0.5 * logarithm**2)


def test_the_clock_factor_is_found_whatever_the_networks_are_worth() -> None:
    rows = drawn(10, clocks=CLOCKS)
    worth = np.repeat(np.random.default_rng(1).uniform(1, 100, 10), len(CLOCKS))
    factor = fit_clock(rows, worth * shape(rows))
    assert factor.at(rows) == pytest.approx(shape(rows))


@pytest.mark.parametrize("clock", [900.0, None])
def test_rows_at_one_clock_say_nothing_of_it(clock: float | None) -> None:
    rows = drawn(10, clocks=(clock,))
    assert (fit_clock(rows, np.arange(1.0, 11.0)).at(rows) == 1).all()


def test_an_unlocked_clock_is_the_highest() -> None:
    rows = drawn(10, clocks=CLOCKS)
    factor = fit_clock(rows, shape(rows))
    unlocked = network("free", [layer("Gemm", macs=10)], clock=None)
    assert factor.at(unlocked)[0] == pytest.approx(shape(rows).max())


def test_each_precision_has_its_own_fit_and_an_unseen_one_that_of_all() -> None:
    rows = drawn(20, clocks=CLOCKS, precisions=("bf16", "fp32"))
    costs = {"bf16": 1e-10, "fp32": 8e-10}
    joules = rows.total("macs") * shape(rows) * [costs[row.precision] for row in rows.rows]
    found = fit_adapted(FORMS["mac-linear"], rows, truth(joules))
    assert found.predict(rows) == pytest.approx(joules, rel=1e-6)
    unseen = network("other", [layer("Gemm", macs=10**9)], precision="fp16")
    assert 1e-10 < found.predict(unseen)[0] / 1e9 < 8e-10


def test_a_forecast_is_always_positive() -> None:
    rows = joined([network(f"n{number}", [layer("Gemm", macs=10**9 * number)]) for number in range(1, 9)])
    unheard = network("odd", [layer("Softmax")])
    for name in FORMS:
        found = fit_adapted(FORMS[name], rows, truth(np.arange(1.0, 9.0)))
        assert (found.predict(unheard) > 0).all(), name


def test_architectures_weigh_half_way_between_rows_and_architectures() -> None:
    squares = balanced(["many"] * 16 + ["one"]) ** 2
    assert squares[:16].sum() / squares[16] == pytest.approx(4)
    assert squares.mean() == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_every_system_fits_real_networks(name: str) -> None:
    rows = network_features(
        [data.row(*which, batch, clock) for which in data.NETWORKS for batch in (1, 2, 8) for clock in CLOCKS]
    )
    joules = rows.total("macs") * 1e-10 + 0.1
    found = fit_adapted(FORMS[name], rows, truth(joules, joules / 100))
    assert np.median(np.abs(found.predict(rows) / joules - 1)) < 0.25


def test_the_layer_wise_ones_are_marked() -> None:
    assert {"wattlayer", "neuralpower", "getzner"} == LAYER_WISE < set(FORMS)
