"""Fields of an InferenceEnergyEstimate that are read as text."""

from __future__ import annotations

import pytest

from joulecast_operator.api.estimates import seconds_of


@pytest.mark.parametrize(("text", "seconds"), [("15m", 900), ("1h30m", 5400), ("60s", 60), ("1m30s", 90)])
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds
