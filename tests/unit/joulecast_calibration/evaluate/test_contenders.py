"""What a fit on measured rows may see, and how intervals follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from joulecast.energy.features import Index
from joulecast_calibration.evaluate.contenders import PHYSICAL, Contender, measured_contenders
from joulecast_calibration.evaluate.families import MOST_GROUPS, THE_REST, architecture_folds, vision_folds
from joulecast_calibration.evaluate.own import noise_scores, widths
from joulecast_calibration.evaluate.systems.catalogue import FORMS, LAYER_WISE
from joulecast_calibration.evaluate.systems.tables import measured_features
from joulecast_calibration.evaluate.transfer import transferred
from joulecast_calibration.fit.crossvalidation import (
    Forecast,
    Refits,
    fold_names,
    interval_width,
    left_out,
    strict_folds,
)
from joulecast_calibration.fit.profiles import FittedRows
from joulecast_calibration.fit.search import forecast, search

pytestmark = pytest.mark.slow


def remembering(fitted: FittedRows) -> tuple[Contender, list[Index]]:
    """A system on networks that forecasts what its rows' joules are in the mean, and the rows of each fit."""
    fits: list[Index] = []

    def fit(kept: Index) -> Forecast:
        fits.append(kept)
        return lambda asked: np.full(asked.size, fitted.table.joules[kept].mean())

    return Contender("mac-linear", Refits(fit), fitted.table.is_network), fits


def test_a_fit_sees_what_its_fold_and_its_system_allow(fitted: FittedRows) -> None:
    table = fitted.table
    contender, fits = remembering(fitted)
    cut = strict_folds(table, fold_names(row for row in table.rows if row.is_network))
    joules = left_out(contender.refits, cut, contender.among)
    seen = {tuple(kept.tolist()) for kept in fits}
    assert len(seen) == len(fits)  # equal ones are made once
    for fold in cut:
        kept = np.flatnonzero(fold.trains & table.is_network)
        assert tuple(kept.tolist()) in seen
        assert (joules[fold.scored] == table.joules[kept].mean()).all()
    assert np.isfinite(joules[table.is_network]).all()


def test_a_width_is_by_what_the_other_folds_were_off(fitted: FittedRows) -> None:
    table = fitted.table
    cut = strict_folds(table, fold_names(row for row in table.rows if row.is_network))
    joules = np.where(cut[0].scored, 3.0, 1.01) * table.joules
    width = widths(joules, table, cut)
    assert width[cut[0].scored] == pytest.approx(np.log(1.01))
    errors = {fold.name: np.log(joules / table.joules)[fold.scored & table.is_network] for fold in cut}
    own = {name: values for name, values in errors.items() if name != cut[1].name and values.size}
    assert width[cut[1].scored] == pytest.approx(interval_width(own))
    silent = widths(joules, table, cut, telling=[fold.name for fold in cut[1:]])
    assert silent[cut[1].scored] == pytest.approx(np.log(1.01))


def test_published_systems_are_fitted_on_networks_and_those_of_layers_on_layers_too(fitted: FittedRows) -> None:
    table = fitted.table
    found = measured_contenders(fitted.prior, table, fitted.found)
    assert [each.name for each in found if not each.on_layers] == [PHYSICAL, *FORMS]
    assert {each.name for each in found if each.on_layers} == LAYER_WISE
    assert found[0].among.all()
    assert all((each.among == (~table.is_network if each.on_layers else table.is_network)).all() for each in found[1:])


def test_physical_is_the_fit_of_exactly_those_rows(fitted: FittedRows) -> None:
    table = fitted.table
    few = np.arange(table.size) % 2 == 0  # too few for a step from the solution of all
    (physical, *_) = measured_contenders(fitted.prior, table, fitted.found)
    found = physical.refits.fitted(np.flatnonzero(few))(np.flatnonzero(~few))
    own = forecast(fitted.prior, search(fitted.prior, table.take(few)).fitted, table.take(~few)).joules
    assert found == pytest.approx(own)
    everything = physical.everything()
    assert everything == pytest.approx(forecast(fitted.prior, fitted.found.fitted, table).joules)


def test_every_network_is_left_out_with_its_architecture_once(fitted: FittedRows) -> None:
    table = fitted.table
    cut = architecture_folds(table)
    assert len(cut) == MOST_GROUPS
    assert (sum(fold.scored.astype(int) for fold in cut) == table.is_network).all()
    for fold in cut:
        names = {row.name for row, own in zip(table.rows, fold.scored.tolist(), strict=True) if own}
        left = {row.name for row, own in zip(table.rows, fold.trains.tolist(), strict=True) if own and row.is_network}
        assert not names & left
        assert fold.trains[~table.is_network].all()


def test_fits_on_vision_see_vision_alone(fitted: FittedRows) -> None:
    table = fitted.table
    rest, *families = vision_folds(table)
    assert rest.name == THE_REST
    assert {row.task for row, own in zip(table.rows, rest.scored.tolist(), strict=True) if own} == {"nlp", "audio"}
    assert (rest.scored | sum(fold.scored for fold in families) == table.is_network).all()
    for fold in (rest, *families):
        seen = [row for row, own in zip(table.rows, fold.trains.tolist(), strict=True) if own]
        assert seen
        assert all(row.task == "vision" for row in seen if row.is_network)
        assert not any("BERT" in row.families for row in seen)
        assert not (fold.trains & fold.scored).any()


def test_features_are_those_of_the_rows(fitted: FittedRows) -> None:
    journal = {line.row.identity: line.row for line in fitted.journal.rows}
    table = fitted.table
    found = measured_features(table)
    assert found.total("macs") == pytest.approx(table.sum("flops") / 2)
    assert found.total("bytes") == pytest.approx(table.sum("bytes"))
    for place, (row, each) in enumerate(zip(table.rows, found.rows, strict=True)):
        own = journal[row.configuration]
        if row.is_network:
            assert found.params[place] == own.params
            assert found.activations[place] == pytest.approx(own.activations, rel=0.01)
            assert (each.architecture, each.batch_size) == (own.name, own.batch_size)
            assert found.counts[place].sum() == pytest.approx(own.rows, rel=0.05)
        else:
            assert each.architecture == own.op_type
            assert each.batch_size >= 1


def test_products_are_of_sizes_of_one_layer(fitted: FittedRows) -> None:
    layer = next(place for place, row in enumerate(fitted.table.rows) if not row.is_network)
    found = measured_features(fitted.table).take(np.array([layer]))
    if found.counts.sum() == 1:
        assert found.products == pytest.approx(np.einsum("nti,ntj->ntij", found.sums, found.sums))


def test_no_joule_of_the_card_reaches_a_transferred_forecast(fitted: FittedRows, tmp_path: Path) -> None:
    product = "NVIDIA-L40S"  # whose shipped profile has no joule of it
    ((study, joules, width),) = transferred(tmp_path, product, fitted.table)
    blind = replace(fitted.table, joules=np.full(fitted.table.size, np.nan), seconds=np.full(fitted.table.size, np.nan))
    ((_, again, same),) = transferred(tmp_path, product, replace(blind, clock_mhz=np.full(fitted.table.size, np.nan)))
    assert (study, joules.tolist(), width.tolist()) == ("", again.tolist(), same.tolist())


def test_a_profile_with_joules_of_the_card_is_not_transferred(fitted: FittedRows, tmp_path: Path) -> None:
    assert list(transferred(tmp_path, "NVIDIA-H200", fitted.table)) == []


def test_repeats_are_held_against_the_first_of_their_kind(fitted: FittedRows) -> None:
    table = fitted.table
    layer, network = (int(np.flatnonzero(table.is_network == kind)[0]) for kind in (False, True))
    kept = np.zeros(table.size, dtype=bool)
    kept[[layer, layer + 1, layer + 2, network]] = True
    few = table.take(kept)
    same = [replace(row, configuration="the same") if not row.is_network else row for row in few.rows]
    joules = np.where(few.is_network, 5.0, np.array([10.0, 11.0, 9.5, 10.0]))
    (found,) = noise_scores("a_set", replace(few, rows=tuple(same), joules=joules))
    assert (found.on, found.n) == ("layers", 2)
    assert (found.median, found.max) == pytest.approx((7.5, 10.0))
