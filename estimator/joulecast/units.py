"""Physical quantities as types, so that a checker tells joules from watts.

SI throughout; no scaled units inside Python.
"""

from __future__ import annotations

from typing import NewType

Joules = NewType("Joules", float)
Watts = NewType("Watts", float)
Seconds = NewType("Seconds", float)


def round_significant(value: float, digits: int) -> float:
    """Round ``value`` to ``digits`` significant decimal digits: 0.0123456, 3 -> 0.0123."""
    return float(f"{value:.{digits}g}")
