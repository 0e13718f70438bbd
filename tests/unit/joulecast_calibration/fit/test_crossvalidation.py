"""Held out means held out."""

from __future__ import annotations

from joulecast_calibration.fit.crossvalidation import (
    UNSEEN_LLMS,
    fold_names,
    fold_of,
    held_with,
    loose_folds,
    scored,
    strict_folds,
    trains,
)
from joulecast_calibration.fit.profiles import FittedRows
from joulecast_calibration.suite.lineage import language_models, zero_shot_names


def test_no_relative_and_no_layer_of_a_held_out_family_is_fitted(fitted: FittedRows) -> None:
    table = fitted.table
    for fold in fold_names(table.rows):
        held = held_with(fold)
        kept = [row for row, trained in zip(table.rows, trains(table, fold).tolist(), strict=True) if trained]
        assert not {family for row in kept for family in row.families} & held
        assert not [row for row in kept if fold_of(row) == fold]


def test_every_row_is_scored_once(fitted: FittedRows) -> None:
    times = sum(scored(fitted.table, fold).astype(int) for fold in fold_names(fitted.table.rows))
    assert set(times.tolist()) == {1}


def test_unseen_language_models_are_forecast_without_any_decoder(fitted: FittedRows) -> None:
    table = fitted.table
    kept = trains(table, UNSEEN_LLMS)
    assert kept.any()
    assert (
        not {f for row, k in zip(table.rows, kept.tolist(), strict=True) if k for f in row.families} & language_models()
    )
    assert {row.name for row, own in zip(table.rows, scored(table, UNSEEN_LLMS).tolist(), strict=True) if own} <= set(
        zero_shot_names()
    )


def test_the_loose_split_keeps_the_layers_that_others_have_too(fitted: FittedRows) -> None:
    table = fitted.table
    names = fold_names(row for row in table.rows if row.is_network)
    pairs = zip(strict_folds(table, names), loose_folds(table, names), strict=True)
    more = 0
    for strict, loose in pairs:
        assert not (strict.trains & ~loose.trains).any()
        assert not (loose.trains & loose.scored).any()
        gained = [row for row, kept in zip(table.rows, (loose.trains & ~strict.trains).tolist(), strict=True) if kept]
        assert not any(row.is_network for row in gained)
        assert all(set(row.families) - held_with(strict.name) for row in gained)
        assert all(row.is_network for row, own in zip(table.rows, loose.scored.tolist(), strict=True) if own)
        more += len(gained)
    assert more
