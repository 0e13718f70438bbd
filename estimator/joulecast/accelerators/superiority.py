"""The margin by which a new profile must be better to replace the old one.

It needs the standard library alone, because the controller imports it too.
"""

from __future__ import annotations

ABSOLUTE, RELATIVE = 0.02, 0.1
"""The new median error has to lie below the old one by the lesser of two percentage points and a tenth of it
(ADR 0130): what repeats of a measurement differ by must not swap profiles."""

FLOOR = 0.003
"""And by this at least, however good the old one is (ADR 0132): repeated networks of the A100 set differ by 0.29 % in
the median (docs/accuracy.md), so that a smaller difference is none."""


def bound(old_median_ape: float) -> float:
    """Return by how much a new median error must be lower than the old one; both errors are shares."""
    return max(FLOOR, min(ABSOLUTE, RELATIVE * old_median_ape))
