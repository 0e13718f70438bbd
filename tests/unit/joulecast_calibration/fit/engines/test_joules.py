"""Energies come back from the power of kernels that do not reach the limit; those that do only bound them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from joulecast.accelerators.catalogue import find
from joulecast.energy.engines.law import static_watts
from joulecast_calibration.fit.engines.joules import fit_energies, mean_energies, prior_of, transferred_errors
from joulecast_calibration.rows.engines.products import product
from joulecast_calibration.rows.engines.timed import OPERATORS
from tests.unit.joulecast_calibration.fit.engines.made import H100, H200
from tests.unit.joulecast_calibration.rows.engines.tables import write

PROFILE = find(H200)
FLOP_ENERGY, BYTE_ENERGY = 0.8, 1.3
"""Of an fp8 operation relative to bf16, and of a byte, in the made table."""


def metered_folder(folder: Path, *, limit: float = 1e9) -> Path:
    law, rows = PROFILE.law, []
    for m in (1, 8, 64, 512, 4096):
        for seconds in (1.5e-3, 3e-3, 6e-3, 1.2e-2):
            row = product(m, 65536, 51200, "fp8")
            flop, byte = FLOP_ENERGY * law.flop_joules["bf16"], BYTE_ENERGY * law.byte_joules
            watts = static_watts(law, 1.0) + (flop * 2 * row.macs + byte * row.bytes_moved) / seconds
            rows += [
                {"system": "h200_sxm", "backend": "x", "gemm_dtype": "fp8", "m": m, "n": 65536, "k": 51200,
                 "latency_ms": 1e3 * seconds, "power_w": min(watts, limit)}
            ] * 8  # fmt: skip
    write(folder / OPERATORS / "gemm_power.csv.gz", [row for row in rows if row["power_w"] < 690 or limit < 1e9])
    return folder


def test_energies_come_back(tmp_path: Path) -> None:
    found = fit_energies(metered_folder(tmp_path), PROFILE)
    assert found is not None
    own = found.kinds["product.fp8"]
    assert (own.flop_energy, own.byte_energy) == pytest.approx((FLOP_ENERGY, BYTE_ENERGY), rel=0.1)
    assert 5 <= own.cells <= 20


def test_a_card_at_its_limit_tells_how_much_of_it_is_held(tmp_path: Path) -> None:
    found = fit_energies(metered_folder(tmp_path, limit=693.0), PROFILE)
    assert found is not None and found.held_share == pytest.approx(0.99)


def test_a_card_without_power_takes_the_mean_of_others_or_a_prior(tmp_path: Path) -> None:
    assert fit_energies(tmp_path, find(H100)) is None and fit_energies(tmp_path, PROFILE) is None
    found = fit_energies(metered_folder(tmp_path), PROFILE)
    assert found is not None
    own = found.kinds["product.fp8"]
    assert mean_energies([found], "product.fp8") == (own.flop_energy, own.byte_energy)
    assert mean_energies([found], "experts.fp4") == prior_of("experts.fp4") == (0.25, 1.0)
    assert np.prod(prior_of("decode_attention")) == 1


def test_power_is_scored_with_the_energies_of_other_cards(tmp_path: Path) -> None:
    found = fit_energies(metered_folder(tmp_path), PROFILE)
    assert found is not None
    assert transferred_errors(found, [found]) == {}
    same = replace(found, profile=find("NVIDIA-B200"))
    twice = {"product.fp8": replace(found.kinds["product.fp8"], flop_energy=1.6, byte_energy=2.6)}
    other = replace(same, kinds=twice)
    near, far = (transferred_errors(found, [found, each])["product.fp8"] for each in (same, other))
    assert near < 0.03 and 0.2 < far < 1
