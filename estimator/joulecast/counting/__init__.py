"""From static shapes to features: one pure formula an operator, registered by its type."""

from __future__ import annotations

from joulecast.counting.registry import Cost, known, rule_for
from joulecast.counting.rows import count, coverage, totals

__all__ = ["Cost", "count", "coverage", "known", "rule_for", "totals"]
