"""Power is kept where the meter can be trusted: one value a cell of neighbours, of rows of 1 ms and more."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulecast_calibration.rows.engines.power import metered
from joulecast_calibration.rows.engines.timed import OPERATORS
from tests.unit.joulecast_calibration.rows.engines.tables import write

ROW = {"system": "h200_sxm", "backend": "vllm-0.22.0", "gemm_dtype": "bfloat16", "m": 8192, "n": 8192, "k": 8192}


def products(folder: Path, milliseconds: float, watts: list[float]) -> Path:
    rows = [ROW | {"latency_ms": milliseconds, "power_w": each, "power_limit": 700} for each in watts]
    write(folder / OPERATORS / "gemm_power.csv.gz", rows)
    return folder


def test_a_cell_has_the_upper_of_its_two_modes(tmp_path: Path) -> None:
    found = metered(products(tmp_path, 2.0, [350.0] * 8 + [600.0] * 12), "h200_sxm")["product"]
    assert found.watts is not None and found.watts.tolist() == [600]


def test_a_cell_of_rows_that_the_meter_can_follow_has_their_median(tmp_path: Path) -> None:
    found = metered(products(tmp_path, 20.0, [350.0] * 2 + [690.0] * 9 + [800.0]), "h200_sxm")["product"]
    assert found.watts is not None and found.watts.tolist() == [690]


@pytest.mark.parametrize(("milliseconds", "rows"), [(0.5, 20), (2.0, 7)], ids=["short", "few"])
def test_rows_that_show_a_ramp_are_left_out(tmp_path: Path, milliseconds: float, rows: int) -> None:
    assert "product" not in metered(products(tmp_path, milliseconds, [600.0] * rows), "h200_sxm")
