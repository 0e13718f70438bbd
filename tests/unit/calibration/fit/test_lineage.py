"""Held out means held out."""

from __future__ import annotations

from joulecast.calibration import suite
from joulecast.calibration.fit.measured.lineage import (
    UNSEEN_LLMS,
    fold_of,
    folds,
    held_with,
    kin,
    language_models,
    scored,
    trains,
    unseen_names,
)
from joulecast.calibration.fit.measured.profile import FittedRows


def test_no_relative_and_no_layer_of_a_held_out_family_is_fitted(fitted: FittedRows) -> None:
    table = fitted.table
    for fold in folds(table.rows):
        held = held_with(fold)
        kept = [row for row, trained in zip(table.rows, trains(table, fold).tolist(), strict=True) if trained]
        assert not {family for row in kept for family in row.families} & held
        assert not [row for row in kept if fold_of(row) == fold]


def test_every_row_is_scored_once(fitted: FittedRows) -> None:
    times = sum(scored(fitted.table, fold).astype(int) for fold in folds(fitted.table.rows))
    assert set(times.tolist()) == {1}


def test_relatives_are_those_of_the_suite() -> None:
    assert "RoFormer" in kin()["BERT"]
    assert "BERT" in kin()["RoFormer"]
    assert all(family in related for family, related in kin().items())


def test_unseen_language_models_are_forecast_without_any_decoder(fitted: FittedRows) -> None:
    assert unseen_names() == {network.name for network in suite.llms()}
    assert {"GPT-2", "Llama", "OPT", "BLOOM", "GPT-Neo", "Falcon"} <= language_models()
    assert not {"BERT", "T5", "BART"} & language_models()
    table = fitted.table
    kept = trains(table, UNSEEN_LLMS)
    assert kept.any()
    assert (
        not {f for row, k in zip(table.rows, kept.tolist(), strict=True) if k for f in row.families} & language_models()
    )
    assert {row.name for row, own in zip(table.rows, scored(table, UNSEEN_LLMS).tolist(), strict=True) if own} <= set(
        unseen_names()
    )
