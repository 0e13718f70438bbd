"""A card that only its data sheet describes: its power at rest, the energies of its operations, and its host."""

from __future__ import annotations

import pytest

from joulecast.accelerators.catalogue import find
from joulecast.energy.datasheets import DataSheet, datasheets
from joulecast.energy.generic import (
    BESIDE_THE_PACKAGE,
    at_rest,
    datasheet_profile,
    energy_limit_watts,
    generic,
    law_of,
    rest_share,
)


def sheet(key: str) -> DataSheet:
    return next(found for found in datasheets() if found.key == key)


H100, H200, L40S = sheet("H100-SXM5-80GB"), sheet("H200-SXM"), sheet("L40S")


def test_a_measured_power_at_rest_is_taken_as_it_is() -> None:
    assert rest_share(H100, {H100.labels[0]: 0.17, H200.labels[0]: 0.3}) == 0.17


def test_a_card_with_the_same_chip_tells_more_than_another() -> None:
    measured = {H200.labels[0]: 0.3, L40S.labels[0]: 0.1}
    assert 0.2 < rest_share(H100, measured) < 0.3
    assert rest_share(sheet("L40"), measured) == pytest.approx(0.1, rel=0.1)


def test_without_any_card_at_rest_the_usual_share_is_taken() -> None:
    assert rest_share(H100, {}) == 0.18


def test_all_power_that_no_operation_causes_is_scaled_to_the_rest() -> None:
    law = law_of(generic().law, H100)
    scaled = at_rest(law, H100, {H100.labels[0]: 0.1})
    assert scaled.gap_watts + scaled.clock_watts == pytest.approx(70)
    assert scaled.static_watts / law.static_watts == pytest.approx(scaled.gap_watts / law.gap_watts)


def test_networks_scale_the_power_at_rest_that_was_measured() -> None:
    law, measured = law_of(generic().law, H100), {H100.labels[0]: 0.1}
    assert at_rest(law, H100, measured, 0.9).gap_watts == pytest.approx(0.9 * at_rest(law, H100, measured).gap_watts)


@pytest.mark.parametrize("key", ["RTX-3090", "RTX-4090", "RTX-5090", "T4", "V100-SXM2", "L40S", "A40"])
def test_a_card_whose_joules_nobody_measured_takes_the_energies_of_its_data_sheet(key: str) -> None:
    """A fit of such a card knows as much of its energies as the data sheet, however its seconds are known."""
    shipped, stated = find(sheet(key).labels[0]).law, datasheet_profile(sheet(key)).law
    for name in ("flop_joules", "instruction_joules", "byte_joules", "static_watts", "clock_watts", "gap_watts"):
        assert getattr(shipped, name) == pytest.approx(getattr(stated, name), rel=1e-4), name


def test_operations_of_a_board_with_a_lower_limit_cost_less_but_not_in_proportion() -> None:
    pcie, sxm = sheet("A100-PCIE-40GB"), sheet("A100-SXM4-40GB")
    assert energy_limit_watts(sxm) == 400
    assert energy_limit_watts(pcie) == pytest.approx((250 * 400) ** 0.5)


def test_bytes_cost_what_the_memory_takes_whatever_the_limit() -> None:
    a100, h100, l40s = (law_of(generic().law, each).byte_joules for each in (sheet("A100-PCIE-40GB"), H100, L40S))
    assert a100 == h100
    assert l40s == pytest.approx(BESIDE_THE_PACKAGE * h100)


def test_an_unknown_host_is_as_old_as_the_cards_bus() -> None:
    old, new = datasheet_profile(sheet("RTX-4090")), datasheet_profile(sheet("H20"))
    assert new.hosts["torch-eager"].kernel_seconds < old.hosts["torch-eager"].kernel_seconds
