"""The search finds the law that rows were made from, and what a card has of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np
import pytest

from joulecast.energy.physical import COMPUTE_FIELDS, compute_seconds
from joulecast_calibration.fit.profiles import FittedRows
from joulecast_calibration.fit.search import (
    forecast,
    forecast_by,
    search,
    search_near,
    weights,
)
from tests.unit.joulecast_calibration.fit.made import made_by


def test_the_simulated_cards_truth_comes_back(fitted: FittedRows) -> None:
    """Its joules were forecast by a law much like this one when the index was built, and then capped by the chip."""
    errors = np.abs(forecast(fitted.prior, fitted.found.fitted, fitted.table).joules / fitted.table.joules - 1)
    assert np.median(errors[fitted.table.is_network]) < 0.06
    assert np.median(errors[~fitted.table.is_network]) < 0.1


def test_a_coefficient_that_rows_tell_is_found(fitted: FittedRows) -> None:
    made = made_by(fitted, 1.7)
    found = search(made.prior, made.table).fitted.law.byte_joules
    assert found == pytest.approx(1.7 * fitted.prior.laws.law.byte_joules, rel=0.03)


def test_a_search_from_nearby_ends_where_one_from_the_prior_does(fitted: FittedRows) -> None:
    kept = np.arange(fitted.table.size) % 10 > 0
    part = fitted.table.take(kept)
    near = search_near(fitted.prior, part, fitted.found.vector, fitted.found.slopes[:, kept])
    far = search(fitted.prior, part).fitted
    one, other = (forecast(fitted.prior, found, fitted.table).joules for found in (near, far))
    assert np.quantile(np.abs(one / other - 1), 0.9) < 0.01


def test_what_a_card_has_of_its_own_is_no_part_of_the_law(fitted: FittedRows) -> None:
    made = made_by(fitted, 1.0)
    of_second = np.arange(made.table.size) % 2 == 1
    rows = tuple(
        replace(row, hold="second" if second else "first")
        for row, second in zip(made.table.rows, of_second.tolist(), strict=True)
    )
    table = replace(made.table, rows=rows, joules=made.table.joules * np.where(of_second, 1.03, 0.97))
    effects = search(made.prior, table).effects
    assert effects["second"] - effects["first"] == pytest.approx(np.log(1.03 / 0.97), abs=0.01)


def test_repeated_configurations_and_large_families_do_not_outweigh_others(fitted: FittedRows) -> None:
    weight = weights(fitted.table.rows) ** 2
    networks = fitted.table.is_network
    assert weight[networks].sum() == pytest.approx(weight[~networks].sum())
    assert weight.mean() == pytest.approx(1.0)
    doubled = [replace(row, configuration="the same") for row in fitted.table.rows]
    assert weights(doubled).std() < weights(fitted.table.rows).std() + 1e-9


def test_a_profile_prices_rows_as_a_forecast_does(fitted: FittedRows) -> None:
    own = forecast(fitted.prior, fitted.found.fitted, fitted.table).joules
    assert forecast_by(fitted.profile, fitted.table)[fitted.table.is_network] == pytest.approx(
        own[fitted.table.is_network], rel=1e-3
    )


def test_only_the_fields_that_are_said_to_move_the_time_of_products(fitted: FittedRows) -> None:
    """The search keeps that time where none of them changes."""
    law, chip, rows = fitted.prior.laws.law, fitted.prior.chip, fitted.table.features
    before = compute_seconds(rows, law, chip)
    for field in fields(law):
        value = getattr(law, field.name)
        other = {key: 0.9 * entry for key, entry in value.items()} if isinstance(value, Mapping) else 0.9 * value
        same = np.array_equal(compute_seconds(rows, replace(law, **{field.name: other}), chip), before)
        assert same == (field.name not in COMPUTE_FIELDS), field.name
