"""Spreads of coefficients have one home."""

from __future__ import annotations

import pytest

from joulecast_calibration.fit.coefficients import SPREADS, spread_of


def test_a_named_coefficient_has_its_own_spread_and_the_rest_that_of_its_table() -> None:
    assert spread_of("law.compute_efficiency.bf16") == SPREADS["law.compute_efficiency.bf16"] == 0.2
    assert spread_of("law.compute_efficiency.fp16") == 0.4
    assert spread_of("law.flop_joules.fp16") == spread_of("law.family_memory.recurrent") == 0.5
    assert spread_of("host.forward_seconds") == 1.0


@pytest.mark.parametrize("path", ["law.depth", "law.family_memory", "law.unheard.bf16"])
def test_what_no_fit_moves_has_none(path: str) -> None:
    with pytest.raises(KeyError):
        spread_of(path)
