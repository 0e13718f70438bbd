"""Coefficients from single operators."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from joulecast.energy.generic import chip_of_sheet, law_of
from joulecast.energy.physical import busy
from joulecast_calibration.fit.operators import fit_latency, fit_power, power_errors
from joulecast_calibration.fit.shared import BF16, START, shared_coefficients, sheet_of
from joulecast_calibration.rows.operators import OperatorRows, gemm_latency, gemm_power

H200 = "NVIDIA-H200"
SIZES = (64, 256, 1024, 4096, 8192)


def latencies(folder: Path, milliseconds: str = "1.0") -> Path:
    """A wide table of products of every three sizes."""
    lines = [f"{m},{n},{k},{milliseconds}" for m in SIZES for n in SIZES for k in SIZES]
    return _write(folder / "gemm_bf16_latency_wide.csv.gz", "m,n,k,h200_sxm_ms", lines)


def _write(path: Path, header: str, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join([header, *lines]).encode()))
    return path.parents[1]


def rows_of(folder: Path) -> OperatorRows:
    rows = gemm_latency(latencies(folder / "aiconfigurator_ops"), H200)
    assert rows is not None
    return rows


@pytest.mark.parametrize("reached", [0.4, 0.6, 0.9])
def test_the_share_of_the_peak_is_found_again(reached: float, tmp_path: Path) -> None:
    sheet = sheet_of(H200)
    assert sheet is not None
    chip, rows = chip_of_sheet(sheet), rows_of(tmp_path)
    true = replace(law_of(START, sheet), compute_efficiency={"bf16": reached})
    measured = replace(rows, seconds=busy(rows.table, true, chip, np.ones_like(rows.seconds)).seconds)
    unknown = replace(true, compute_efficiency={})
    found = fit_latency(unknown, chip, measured, ("compute_efficiency.bf16",))
    assert found.compute_efficiency["bf16"] == pytest.approx(reached, rel=1e-3)


def test_no_product_runs_faster_than_its_peak(tmp_path: Path) -> None:
    sheet = sheet_of(H200)
    assert sheet is not None
    rows = rows_of(tmp_path)
    impossible = replace(rows, seconds=rows.table.flops / 5e15 + 1e-6)
    found = fit_latency(law_of(START, sheet), chip_of_sheet(sheet), impossible, ("compute_efficiency.bf16",))
    assert 0.95 < found.compute_efficiency["bf16"] <= 1.0


def test_power_is_read_in_cells_and_never_from_short_runs(tmp_path: Path) -> None:
    header = "system,backend,gemm_dtype,m,n,k,latency_ms,power_w,power_limit"
    steady = [f"h200_sxm,v,bfloat16,4096,4096,{4096 + step},0.2,{600 + step},700" for step in range(20)]
    ramp = [f"h200_sxm,v,bfloat16,4096,4096,{4096 + step},0.2,300,700" for step in range(20, 25)]
    short = [f"h200_sxm,v,bfloat16,64,64,{64 + step},0.01,900,700" for step in range(20)]
    few = ["h200_sxm,v,bfloat16,8192,8192,8192,1.5,650,700"]
    path = tmp_path / "aiconfigurator_ops" / "gemm_power.csv.gz"
    rows = gemm_power(_write(path, header, [*steady, *ramp, *short, *few]), H200)
    assert rows is not None
    assert rows.watts is not None
    assert rows.watts.tolist() == pytest.approx([616.6], abs=1.5)
    sheet = sheet_of(H200)
    assert sheet is not None
    shares = fit_power(rows, chip_of_sheet(sheet), BF16, 0.18)
    assert shares.static == 0.18
    assert np.abs(power_errors(shares, rows, chip_of_sheet(sheet), BF16)).max() < 0.2


def test_a_folder_without_tables_gives_the_starting_shares(tmp_path: Path) -> None:
    found = shared_coefficients(tmp_path)
    assert found.laws == {}
    assert found.power == {}
    assert found.shares["byte_joules"] == START["byte_joules"]
