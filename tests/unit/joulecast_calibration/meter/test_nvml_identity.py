"""A card's name: one for each card, the same tomorrow, and no way back."""

from __future__ import annotations

import re

from joulecast_calibration.meter.nvml import card_name


def test_a_name_is_the_same_in_every_run() -> None:
    """Fixed for good: rows of many runs are joined by it."""
    assert card_name("GPU-abc") == "card-db395ae188d24d5e"


def test_a_name_shows_nothing_of_the_uuid() -> None:
    name = card_name("GPU-1a2b3c4d-0000-1111-2222-333344445555")
    assert re.fullmatch(r"card-[0-9a-f]{16}", name)
    assert name != card_name("GPU-1a2b3c4d-0000-1111-2222-333344445556")
