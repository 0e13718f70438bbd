"""What is declared of a metric: its name, labels and meaning, from which docs/metrics.md is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Declaration of one metric. ``field``: the key of its value in a row of ``status.results``, if it has one."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    text: str
    process: Literal["controller", "webhook", "each"] = "controller"
    field: str = ""
