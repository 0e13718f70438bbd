"""A small data folder in the columns of measured sets, made from a law that the tests know."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from joulecast_calibration.fit.cards import problem_of
from joulecast_calibration.fit.networks import Fitted, forecast_networks
from joulecast_calibration.fit.shared import sheet_of
from joulecast_calibration.fit.table import table_of_set
from joulecast_calibration.rows.networks import ForecastRow, Truth

COLUMNS = (
    "set", "gpu", "model", "config", "precision", "batch", "seq", "mode", "attn", "sm_clock_locked_mhz", "iterations",
    "energy_j_per_forward", "time_ms_per_forward", "avg_sm_clock_mhz", "gpu_temp_c", "avg_power_w", "window_s", "valid",
)  # fmt: skip
IRRELEVANT = ("iterations", "avg_sm_clock_mhz", "gpu_temp_c", "avg_power_w", "window_s", "valid")
GPU = "A100-PCIE-40GB"
PRODUCT = "NVIDIA-A100-PCIE-40GB"
NETWORKS = (("gpt2model", "gpt2", 32), ("resnet101", "", None), ("mobilevitmodel", "small", None))
FACTOR = 1.3
"""Every joule of the folder is this much more than the prior's forecast."""


def write(folder: Path, name: str = "a_set", gpu: str = GPU) -> Path:
    """``folder`` with one set of twelve rows: three networks, two batches, two clocks."""
    rows = [row(*network, batch, clock) for network in NETWORKS for batch in (1, 4) for clock in (900.0, 1200.0)]
    sheet = sheet_of(f"NVIDIA-{gpu}") or sheet_of("NVIDIA-A100-PCIE-40GB")
    assert sheet is not None
    (folder / name).mkdir(parents=True)
    problem = problem_of(folder, sheet)
    unknown = np.full(len(rows), np.nan)
    table = table_of_set(rows, Truth(joules=unknown, seconds=unknown))
    found = forecast_networks(problem, Fitted(law=problem.laws.law, host=problem.laws.host), table)
    with (folder / name / "model_energy.csv").open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        for entry, joules, seconds in zip(rows, FACTOR * found.joules, found.seconds, strict=True):
            writer.writerow(_line(name, gpu, entry, float(joules), float(seconds)))
    return folder


def row(model: str, config: str, sequence: int | None, batch: int, clock: float) -> ForecastRow:
    return ForecastRow(
        architecture=model,
        config=config,
        precision="bf16",
        batch_size=batch,
        sequence=sequence,
        mode="prefill" if sequence else "",
        attention="eager" if sequence else "",
        clock_mhz=clock,
    )


def edit(folder: Path, change: dict[str, str], where: dict[str, str] | None = None, name: str = "a_set") -> None:
    """Write ``change`` into every line of the set that has the values ``where``."""
    path = folder / name / "model_energy.csv"
    with path.open(newline="", encoding="utf-8") as text:
        lines = list(csv.DictReader(text))
    with path.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(dict.fromkeys([*lines[0], *change])))
        writer.writeheader()
        for line in lines:
            hit = all(line[key] == value for key, value in (where or {}).items())
            writer.writerow({**line, **(change if hit else {})})


def _line(name: str, gpu: str, entry: ForecastRow, joules: float, seconds: float) -> dict[str, object]:
    return {
        "set": name, "gpu": gpu, "model": entry.architecture, "config": entry.config, "precision": entry.precision,
        "batch": entry.batch_size, "seq": entry.sequence or "", "mode": entry.mode, "attn": entry.attention,
        "sm_clock_locked_mhz": entry.clock_mhz, "iterations": 100, "energy_j_per_forward": joules,
        "time_ms_per_forward": 1e3 * seconds, "avg_sm_clock_mhz": entry.clock_mhz, "gpu_temp_c": 60,
        "avg_power_w": joules / seconds, "window_s": 30, "valid": 1,
    }  # fmt: skip
