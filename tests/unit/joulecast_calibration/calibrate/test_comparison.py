"""When a new profile takes the place of an old one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from joulecast.energy.profile import AcceleratorProfile
from joulecast_calibration.calibrate import comparison
from joulecast_calibration.calibrate.comparison import compare
from joulecast_calibration.fit.profiles import FittedRows
from joulecast_calibration.fit.search import forecast_by


@pytest.fixture
def old(fitted: FittedRows) -> AcceleratorProfile:
    return replace(fitted.profile, simulated=False)


def with_error(fitted: FittedRows, old: AcceleratorProfile, of_old: float, of_new: float) -> FittedRows:
    """As if the old profile's forecasts and the held-out ones were off by these shares on every row."""
    truth = forecast_by(old, fitted.table) / (1 + of_old)
    table = replace(fitted.table, joules=truth)
    kept = np.isfinite(fitted.held.joules)
    held = replace(fitted.held, table=table, joules=np.where(kept, truth * (1 + of_new), np.nan))
    return replace(fitted, table=table, held=held)


@pytest.mark.parametrize(
    ("of_old", "of_new", "better"),
    [
        (0.20, 0.17, True),  # three points below
        (0.20, 0.185, False),  # one and a half points, less than two and less than a tenth
        (0.10, 0.085, True),  # a tenth of ten percent is one point
        (0.10, 0.095, False),
        (0.10, 0.12, False),
        (0.010, 0.008, False),  # a fifth, but two tenths of a point: so much do repeats differ
        (0.008, 0.010, False),  # nor the other way round: two equal runs swap nothing
        (0.010, 0.006, True),
    ],
)
def test_the_bound_decides(
    fitted: FittedRows, old: AcceleratorProfile, of_old: float, of_new: float, better: bool
) -> None:
    found = compare(with_error(fitted, old, of_old, of_new).held, old)
    assert found.better is better
    assert found.old_median_ape == pytest.approx(of_old)
    assert found.new_median_ape == pytest.approx(of_new)
    assert found.rows == int(fitted.held.scored.sum())
    assert f"{100 * of_new:.1f} %, {'is' if better else 'is not'} at least" in found.says


def test_without_an_old_profile_the_new_one_is_better(fitted: FittedRows) -> None:
    assert compare(fitted.held, None).better
    assert "no old profile" in compare(fitted.held, None).says


def test_a_simulated_profile_is_none(
    fitted: FittedRows, old: AcceleratorProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOULECAST_ALLOW_SIMULATED_PROFILES", raising=False)
    found = compare(fitted.held, replace(old, simulated=True))
    assert found.better
    assert "simulated device" in found.says


def test_an_old_profile_that_cannot_price_the_rows_is_said_to_and_is_no_figure(
    fitted: FittedRows, old: AcceleratorProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "forecast_by", lambda _, table: np.full(table.size, np.inf))
    found = compare(fitted.held, old)
    assert found.better
    assert found.old_median_ape is None
    assert "cannot forecast" in found.says


def test_too_few_families_leave_the_old_one(fitted: FittedRows, old: AcceleratorProfile) -> None:
    first = sorted(fitted.held.by_fold())[0]
    held = replace(fitted.held, joules=np.where(np.array(fitted.held.fold) == first, fitted.held.joules, np.nan))
    found = compare(held, old)
    assert not found.better
    assert "too few families" in found.says
