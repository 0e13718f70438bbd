"""Coefficients come back from tables that they made, and held-out shapes have no part in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from joulecast.accelerators.catalogue import find
from joulecast.energy.engines.coefficients import KernelLaw
from joulecast.energy.engines.pricing import limits_of
from joulecast_calibration.fit.engines.kinds import KINDS
from joulecast_calibration.fit.engines.seconds import fit_kind, held_out
from joulecast_calibration.rows.engines.products import plain_products
from joulecast_calibration.rows.engines.timed import Timed
from tests.unit.joulecast_calibration.fit.engines.made import H100, TRUE, write_products

LIMITS = limits_of(find(H100))


@pytest.fixture
def rows(tmp_path: Path) -> Timed:
    found = plain_products(write_products(tmp_path), "h100_sxm")
    assert found is not None
    return found


def fitted(rows: Timed) -> KernelLaw:
    kind = KINDS["product"]
    return fit_kind("product", rows, LIMITS, {name: each.start for name, each in KINDS.items()}, kind.start, kind.free)


def test_the_coefficients_that_made_a_table_are_found(rows: Timed) -> None:
    law = fitted(rows)
    for name in ("compute_share", "memory_share", "tail_seconds"):
        assert getattr(law, name) == pytest.approx(getattr(TRUE, name), rel=0.05), name
    error = held_out(rows, LIMITS, {name: kind.start for name, kind in KINDS.items()} | {"product": law})
    assert error is not None and error.median < 0.01 and error.measurements == rows.held.sum()


def test_held_out_shapes_have_no_part_in_a_fit(rows: Timed) -> None:
    worse = replace(rows, seconds=np.where(rows.held, 5 * rows.seconds, rows.seconds))
    assert fitted(worse) == fitted(rows)
    error = held_out(worse, LIMITS, {name: kind.start for name, kind in KINDS.items()} | {"product": fitted(rows)})
    assert error is not None and error.median == pytest.approx(0.8, abs=0.02)
