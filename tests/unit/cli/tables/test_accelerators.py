"""What `joulecast accelerators NAME` says of a card."""

from __future__ import annotations

import pytest

from joulecast.accelerators.catalogue import find
from joulecast.cli.tables.accelerators import basis, launches


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NVIDIA-H200", "networks that this card ran"),
        ("NVIDIA-A100-PCIE-40GB", "networks that this card ran"),
        (
            "NVIDIA-A100-SXM4-80GB",
            "its data sheet and seconds of operators on its chip, and what 3 sets of networks on",
        ),
        (
            "RTX-4090",
            "no joules of a network of this card: its data sheet, seconds of 106 networks that it ran, and what",
        ),
        (
            "NVIDIA-L40S",
            "no network of this card: its data sheet and seconds of operators on its chip, and what 3 sets",
        ),
        (
            "NVIDIA-A40",
            "no network of this card: its data sheet, seconds of 296 operators that it ran, and what 3 sets",
        ),
        ("NVIDIA-L4", "its data sheet alone, and what 3 sets of networks on other cards (614 rows) say of all cards"),
    ],
)
def test_a_card_says_what_its_forecast_rests_on(name: str, words: str) -> None:
    assert words in basis(find(name))


def test_a_card_without_networks_says_whose_host_it_is_given() -> None:
    assert "that of 7 hosts of others, at the pace of hosts as old as this card" in basis(find("NVIDIA-L4"))


def test_launches_are_told_by_host_and_none_of_a_captured_graph() -> None:
    told = launches(find("NVIDIA-H200"))
    assert told.startswith("on Intel(R) Xeon(R) Processor: ") and "a kernel under torch-eager" in told
    assert "no time under torch-cudagraph" in told
