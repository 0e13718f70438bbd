"""Figures on families that no fit has seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from joulecast.energy.profile import Interval
from joulecast_calibration.fit.heldout import (
    OutOfFoldForecasts,
    figures,
    interval_of,
    leave_families_out,
    nested_coverage,
)
from joulecast_calibration.fit.networks import Fitted
from joulecast_calibration.fit.profiles import FittedRows
from joulecast_calibration.fit.search import forecast, search
from tests.unit.joulecast_calibration.fit.made import made_at_boost

KNOWN = Interval(level=0.9, log_half_width=0.4, groups=3, guaranteed=False, rule="known before")


def of_families(held: OutOfFoldForecasts, number: int) -> OutOfFoldForecasts:
    """As if only so many families had been held out."""
    kept = sorted(held.by_fold())[:number]
    return replace(held, joules=np.where(np.isin(held.fold, kept), held.joules, np.nan))


def test_unseen_families_of_the_simulated_card_are_forecast_within_a_few_percent(fitted: FittedRows) -> None:
    found = figures(fitted.held)
    assert found["median_ape"] < 0.06
    assert found["mean_ape"] < 0.12
    assert found["families"] > 20
    assert 0.8 <= found["interval_coverage"] <= 1
    assert found["unseen_llms_median_ape"] < 0.15
    assert found["rows"] == fitted.table.is_network.sum()
    assert {f"{task}_median_ape" for task in ("vision", "nlp", "audio")} <= found.keys()


def test_a_law_is_recovered_on_families_that_it_was_not_fitted_on(fitted: FittedRows) -> None:
    """Joules of a law whose bytes cost 1.7 times what the prior says, under the power limit."""
    made = made_at_boost(fitted, 1.7)
    held = leave_families_out(made.prior, made.table, search(made.prior, made.table))
    found = figures(held)
    assert found["median_ape"] < 0.01
    assert found["mean_ape"] < 0.03
    before = Fitted(law=made.prior.laws.law, host=made.prior.laws.host)
    unfitted = np.abs(forecast(made.prior, before, made.table).joules / made.table.joules - 1)
    assert np.median(unfitted) > 0.05


def test_figures_are_shares_of_the_truth(fitted: FittedRows) -> None:
    far = replace(fitted.held, joules=fitted.held.table.joules * 1.25)
    found = figures(far)
    assert (found["median_ape"], found["max_ape"]) == pytest.approx((0.25, 0.25))
    assert interval_of(far, KNOWN).log_half_width == pytest.approx(np.log(1.25))


def test_an_interval_is_guaranteed_from_nine_families_on(fitted: FittedRows) -> None:
    many, few, none = (interval_of(of_families(fitted.held, number), KNOWN) for number in (9, 8, 2))
    assert (many.guaranteed, many.groups) == (True, 9)
    assert many.rule.startswith("split-conformal")
    assert (few.guaranteed, few.groups) == (False, 8)
    assert few.rule.startswith("not guaranteed")
    assert (none.guaranteed, none.log_half_width, none.coverage) == (False, 0.4, None)
    assert "too few families" in none.rule


def test_two_families_are_too_few_for_figures(fitted: FittedRows) -> None:
    assert figures(of_families(fitted.held, 2)) == {}
    assert figures(of_families(fitted.held, 3))["families"] == 3


def test_coverage_is_by_the_width_of_the_other_families(fitted: FittedRows) -> None:
    """One family that is off does not cover itself."""
    held = of_families(fitted.held, 6)
    odd = sorted(held.by_fold())[0]
    joules = np.where(np.array(held.fold) == odd, 3.0, 1.01) * held.table.joules
    joules = np.where(np.isfinite(held.joules), joules, np.nan)
    share = nested_coverage(replace(held, joules=joules))
    own = held.by_fold()[odd].size / sum(errors.size for errors in held.by_fold().values())
    assert share == pytest.approx(1 - own)


def test_layers_alone_say_less(fitted: FittedRows) -> None:
    layers = replace(fitted.held, networks=False, joules=fitted.held.table.joules * 1.1)
    interval = interval_of(layers, KNOWN)
    assert not interval.guaranteed
    assert "no network was measured" in interval.rule
    assert interval.log_half_width > 0.25
