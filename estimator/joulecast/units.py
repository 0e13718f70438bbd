"""Physical quantities as types, so that a checker tells joules from watts.

SI throughout; no scaled units inside Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NewType

Joules = NewType("Joules", float)
Watts = NewType("Watts", float)
Seconds = NewType("Seconds", float)


def round_significant(value: float, digits: int) -> float:
    """Round ``value`` to ``digits`` significant decimal digits: 0.0123456, 3 -> 0.0123."""
    return float(f"{value:.{digits}g}")


def rounded(value: Any, digits: int) -> Any:
    """Round every float in a JSON document, of mappings and lists, to ``digits`` significant decimal digits."""
    if isinstance(value, Mapping):
        return {key: rounded(entry, digits) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry, digits) for entry in value]
    return round_significant(value, digits) if isinstance(value, float) else value
