"""Times between tokens of whole language models under engines, as NVIDIA publishes them (aiconfigurator).

Repeats of a case, which other versions of an engine give, are one row: their geometric mean. What the forecast does not
cover, and what contradicts itself, is left out by count; no rule for that looks at the measured times.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from types import MappingProxyType

from joulecast.serving.requests import DEGREES
from joulecast_calibration.evaluate.serving.models import published
from joulecast_calibration.evaluate.serving.settings import cache_precision, mean_tokens

ENGINES = ("vllm", "sglang")
FILE = Path("aiconfigurator_ops") / "llm_serving_latency.csv.gz"
CARDS: Mapping[str, str] = MappingProxyType(
    {
        "h100_sxm": "NVIDIA-H100-80GB-HBM3",
        "h200_sxm": "NVIDIA-H200",
        "b200_sxm": "NVIDIA-B200",
        "gb200": "NVIDIA-GB200",
        "b300_sxm": "B300-SXM6",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedLatency:
    """One case: a model on some cards with ``concurrency`` requests at once.

    - ``mode``: how the weights are stored; ``cache_precision``: keys and values.
    - ``input_tokens``, ``output_tokens``: of a request in the mean.
    - ``seconds``, ``first_seconds``: between tokens, and to the first token; ``repeats``: how many rows it stands for.
    """

    engine: str
    model: str
    mode: str
    cache_precision: str
    accelerator: str
    cards: int
    input_tokens: int
    output_tokens: int
    concurrency: int
    seconds: float
    first_seconds: float
    repeats: int

    @property
    def lineage(self) -> str:
        return published()[self.model].lineage


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedLatencies:
    """``left_out``: rows that are not scored, by the reason."""

    rows: tuple[ServedLatency, ...]
    left_out: Mapping[str, int]


def read_latencies(folder: Path) -> ServedLatencies:
    """Return the cases of the set in ``folder``."""
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    left_out: Counter[str] = Counter()
    with gzip.open(folder / FILE, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            reason = _why_not(row)
            if reason:
                left_out[reason] += 1
            else:
                groups.setdefault(_case(row), []).append(row)
    return ServedLatencies(rows=tuple(map(_merged, groups.values())), left_out=dict(left_out))


def _why_not(row: Mapping[str, str]) -> str:
    """Return why a row is not scored, "" for one that is."""
    if row["backend"] not in ENGINES:
        return f"served by {row['backend']}"
    if row["model_path"] not in published():
        return f"{row['backend']}: no configuration of {row['model_path']}"
    model = published()[row["model_path"]]
    if row["gemm_quant_mode"] not in model.stored:
        return f"{row['backend']}: {model.name} stored as {row['gemm_quant_mode'] or 'unknown'}"
    reason = _contradiction(row, experts=model.has_experts) or _other_parallel(row)
    return f"{row['backend']}: {reason}" if reason else ""


def _contradiction(row: Mapping[str, str], *, experts: bool) -> str:
    """Return how a row's parallel fields contradict each other.

    The cards of attention (tensor × data parallel) are those of the experts (tensor × expert parallel). A dense model
    has no experts: their fields repeat its cards, or say one or nothing.
    """
    cards = _count(row["tp_size"]) * _count(row["attention_dp_size"] or "1")
    of_experts = _count(row["moe_tp_size"] or "0") * _count(row["moe_ep_size"] or "0")
    if of_experts == cards or (not experts and of_experts <= 1):
        return ""
    return "fields contradict each other: other cards for the experts than for attention"


def _other_parallel(row: Mapping[str, str]) -> str:
    if _count(row["tp_size"]) not in DEGREES:
        return "more cards than one server has"
    if _count(row["attention_dp_size"] or "1") > 1 or _count(row["pp_size"] or "1") > 1:
        return "data or pipeline parallel"
    return "expert parallel" if _count(row["moe_ep_size"] or "0") > 1 else ""


def _count(text: str) -> int:
    return int(float(text))


_CASE = ("backend", "model_path", "gemm_quant_mode", "system", "tp_size", "isl", "osl", "batch_size")


def _case(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in _CASE)


def _merged(rows: list[dict[str, str]]) -> ServedLatency:
    first = rows[0]
    return ServedLatency(
        engine=first["backend"],
        model=first["model_path"],
        mode=first["gemm_quant_mode"],
        cache_precision=cache_precision(first["model_path"], first["gemm_quant_mode"], first["system"]),
        accelerator=CARDS[first["system"]],
        cards=_count(first["tp_size"]),
        input_tokens=mean_tokens(first["model_path"], _count(first["isl"])),
        output_tokens=mean_tokens(first["model_path"], _count(first["osl"])),
        concurrency=_count(first["batch_size"]),
        seconds=_geometric(float(row["silicon_tpot_ms"]) / 1000 for row in rows),
        first_seconds=median(float(row["silicon_ttft_ms"]) / 1000 for row in rows),
        repeats=len(rows),
    )


def _geometric(values: Iterable[float]) -> float:
    return math.exp(fmean(map(math.log, values)))
