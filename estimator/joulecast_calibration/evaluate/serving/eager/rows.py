"""Measured steps of transformers and bitsandbytes (EcoCompute). No row of it is fitted.

Repeats of a configuration on a machine are one case: their mean. What the set calls weak or unusable is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

from joulecast_calibration.evaluate.serving.eager.models import QUANTISATIONS, configurations
from joulecast_calibration.evaluate.serving.usable import Row, usable_rows

FILE = Path("quantised_eager") / "ecocompute.csv"
CARDS: Mapping[str, str] = MappingProxyType(
    {
        "A800-SXM4-80GB": "NVIDIA-A800-SXM4-80GB",
        "RTX-4090-D": "NVIDIA-GeForce-RTX-4090-D",
        "RTX-5090": "NVIDIA-GeForce-RTX-5090",
    }
)
"""Accelerator by the name in the set; each of them was in one machine."""

_PROMPT_TOKENS, _OUTPUT_TOKENS = 16, 256
"""Where a row does not say them: the set's README has short prompts and mostly 256 new tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EagerCase:
    """A configuration on a machine. Figures are one each repeat: seconds a step, watts, joules a token.

    ``cached_tokens``: in the mean over the output.
    """

    machine: str
    model: str
    quantisation: str
    batch_size: int
    cached_tokens: int
    every_seconds: tuple[float, ...]
    every_watts: tuple[float, ...]
    every_joules: tuple[float, ...]

    @property
    def accelerator(self) -> str:
        return CARDS[self.machine]

    @property
    def seconds(self) -> float:
        return fmean(self.every_seconds)

    @property
    def watts(self) -> float:
        return fmean(self.every_watts)

    @property
    def joules(self) -> float:
        return fmean(self.every_joules)


def read_eager(folder: Path) -> tuple[tuple[EagerCase, ...], Mapping[str, int]]:
    """Return the cases of the set in ``folder``, and how many rows are left out by the reason."""
    usable, left_out = usable_rows(folder / FILE, _why_not)
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in usable:
        groups.setdefault(tuple(row[name] for name in _CASE), []).append(row)
    return tuple(_case(rows) for rows in groups.values()), left_out


_CASE = ("gpu", "model", "quant", "batch", "input_tokens")


def _why_not(row: Mapping[str, str]) -> str:
    """Return why a row is not scored, "" for one that is; the measured figures are not looked at."""
    if row["usable"] != "yes":
        return f"marked {'weak' if row['usable'] == 'weak' else 'unusable'} by the set's README"
    if row["gpu"] not in CARDS:
        return f"no accelerator of {row['gpu']}"
    if row["model"] not in configurations():
        return f"no configuration of {row['model']}"
    return "" if row["quant"] in QUANTISATIONS else f"weights by {row['quant']}"


def _case(rows: list[Mapping[str, str]]) -> EagerCase:
    first = rows[0]
    written = fmean(int(row["output_tokens"] or _OUTPUT_TOKENS) for row in rows)
    return EagerCase(
        machine=first["gpu"],
        model=first["model"],
        quantisation=first["quant"],
        batch_size=int(first["batch"]),
        cached_tokens=int(first["input_tokens"] or _PROMPT_TOKENS) + round(written / 2),
        every_seconds=tuple(float(row["ms_per_step"]) / 1000 for row in rows),
        every_watts=tuple(float(row["mean_power_w"]) for row in rows),
        every_joules=tuple(float(row["j_per_token"]) for row in rows),
    )
