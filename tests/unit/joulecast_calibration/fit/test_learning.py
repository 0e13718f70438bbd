"""From a data sheet to a measured accelerator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from joulecast.energy.generic import datasheet_profile
from joulecast_calibration.fit.learning import learning
from joulecast_calibration.fit.prior import Prior, prior_of
from joulecast_calibration.fit.profiles import FittedRows
from joulecast_calibration.fit.shared import sheet_of
from tests.unit.joulecast_calibration.fit.made import made_at_boost


def far_prior(fitted: FittedRows, seed: int) -> Prior:
    """The data sheet's law, and each coefficient as far off as is usual between cards."""
    sheet = sheet_of(fitted.journal.product)
    assert sheet is not None
    known = datasheet_profile(sheet)
    laws = prior_of(fitted.journal, fitted.table, known).laws
    off = np.random.default_rng(seed).normal(size=len(laws.unknown)) * laws.spread
    law, _ = laws.at(np.minimum(laws.centre + off, laws.highest))
    hosts = dict.fromkeys(known.hosts, fitted.prior.laws.host)  # is measured in a minute, whatever the law
    return prior_of(fitted.journal, fitted.table, replace(known, law=law, hosts=hosts))


def test_a_few_layers_are_worth_much(fitted: FittedRows) -> None:
    """The truth is the shipped law of the card; the priors are as far from it as cards are from each other."""
    table = made_at_boost(fitted, 1.0).table
    steps = [learning(far_prior(fitted, seed), table, (0, 15, 50)) for seed in range(3)]
    errors = np.array([[step.median_ape for step in found] for found in steps]).mean(axis=0)
    assert [step.layers for step in steps[0]] == [0, 15, 50]
    print(errors)
    assert errors[0] > 0.1
    assert errors[1] < 0.7 * errors[0]
    assert errors[2] < 0.1


def test_what_is_scored_was_not_fitted(fitted: FittedRows) -> None:
    steps = learning(fitted.prior, fitted.table, (0, 15))
    assert {step.on for step in steps} == {"networks"}
    assert {step.rows for step in steps} == {int(fitted.table.is_network.sum())}
    layers = fitted.table.take(~fitted.table.is_network)
    alone = learning(fitted.prior, layers, (0, 15))
    distinct = len({row.configuration for row in layers.rows})
    assert {(step.on, step.rows) for step in alone} == {("layers", distinct - 15)}


def test_sizes_that_were_not_measured_are_not_claimed(fitted: FittedRows) -> None:
    few = fitted.table.take(np.arange(fitted.table.size) < 30)
    assert max(step.layers for step in learning(fitted.prior, few)) <= 15
