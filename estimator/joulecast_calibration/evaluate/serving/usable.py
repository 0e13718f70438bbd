"""Read the rows of a table that can be scored."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Row = Mapping[str, str]


def usable_rows(file: Path, why_not: Callable[[Row], str]) -> tuple[Sequence[Row], Mapping[str, int]]:
    """Return the rows of a CSV file for which ``why_not`` gives no reason, and how many are left out by the reason."""
    found: list[Row] = []
    left_out: Counter[str] = Counter()
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if reason := why_not(row):
                left_out[reason] += 1
            else:
                found.append(row)
    return found, dict(left_out)
