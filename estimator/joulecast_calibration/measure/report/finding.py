"""What a check of rows found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["holds", "fails", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check. ``figure``: what was found, in words."""

    name: str
    outcome: Outcome
    figure: str
