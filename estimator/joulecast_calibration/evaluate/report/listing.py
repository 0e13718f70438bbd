"""A table that page, report and terminal share, and how its percentages are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A table of the page and of the report.

    - ``note``: what it shows, in a sentence or two.
    - ``texts``: number of columns, from the left, that hold text; the others hold numbers.
    """

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""
    texts: int = 0


def percent(value: float) -> str:
    """Format a percentage with one decimal digit, and without it from four digits before the point on."""
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}"
