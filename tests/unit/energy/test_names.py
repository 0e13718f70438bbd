"""Cards by the names that tables give them."""

from __future__ import annotations

import pytest

from joulecast.energy.datasheets import DataSheet, datasheets
from joulecast.energy.names import Seen, could_be, label_of, sheet_named


@pytest.mark.parametrize(
    ("gpu", "key"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100-SXM4-80GB"),
        ("H100 PCIe", "H100-PCIe"),
        ("H100-PCIE-80GB", "H100-PCIe"),
        ("H100-SXM5", "H100-SXM5-80GB"),
        ("Tesla V100-SXM2-16GB", "V100-SXM2"),
        ("a6000", "RTX-A6000"),
        ("NVIDIA H200", "H200-SXM"),
        ("NVIDIA GeForce RTX 4090", "RTX-4090"),
    ],
)
def test_a_card_is_known_by_any_of_its_names(gpu: str, key: str) -> None:
    sheet = sheet_named(gpu)
    assert sheet is not None
    assert sheet.key == key


@pytest.mark.parametrize(
    "gpu",
    [
        "A100",
        "H100",
        "80GB",
        "",
        "NVIDIA",
        "Abacus",
        "RTX 4090 Laptop GPU",
        "RTX 6000",
        "H200-MIG-1g.18gb",
        "A100-SXM4",
    ],
)
def test_a_name_that_is_no_card_or_several_is_none(gpu: str) -> None:
    assert sheet_named(gpu) is None


@pytest.mark.parametrize("sheet", datasheets(), ids=lambda sheet: sheet.key)
def test_a_card_is_known_by_its_key_and_by_every_label_that_is_its_own(sheet: DataSheet) -> None:
    assert sheet_named(sheet.key) is sheet
    for label in sheet.labels:
        shared = [other for other in datasheets() if label in other.labels]
        assert sheet_named(label) is (sheet if len(shared) == 1 else None)


@pytest.mark.parametrize(
    ("gpu", "seen", "label"),
    [
        ("H100", Seen(power_limit_watts=700.0), "NVIDIA-H100-80GB-HBM3"),
        ("H100", Seen(power_limit_watts=350.2), "NVIDIA-H100-PCIe"),
        ("H100", Seen(watts=612.0), "NVIDIA-H100-80GB-HBM3"),
        ("H100", Seen(clock_mhz=1755.0, watts=300.0), "NVIDIA-H100-PCIe"),
        ("H100", Seen(clock_mhz=1755.0, watts=380.0), "H100"),  # too much power for PCIe, and either other runs at that
        ("H100", Seen(power_limit_watts=300.0), "H100"),  # lowered: any of them may hold it
        ("A100", Seen(power_limit_watts=250.0), "NVIDIA-A100-PCIE-40GB"),
        ("A100", Seen(power_limit_watts=400.0), "A100"),  # of 40 GB or 80 GB
        ("A100-40GB", Seen(power_limit_watts=400.0), "NVIDIA-A100-SXM4-40GB"),
        ("A100 80GB", Seen(power_limit_watts=300.0), "NVIDIA-A100-80GB-PCIe"),
        ("RTX 6000", Seen(power_limit_watts=260.0), "RTX 6000"),  # Turing's, of which there is no data sheet
        ("Orin", Seen(power_limit_watts=60.0), "Jetson-AGX-Orin-64GB"),
        ("l4", Seen(), "NVIDIA-L4"),
        ("L4", Seen(power_limit_watts=60.0), "NVIDIA-L4"),
        ("TITAN", Seen(watts=100.0, power_limit_watts=200.0), "TITAN"),  # one of several, of which one is known
        ("B100", Seen(power_limit_watts=700.0), "B100"),
    ],
)
def test_what_a_name_leaves_open_is_told_by_power_and_clock(gpu: str, seen: Seen, label: str) -> None:
    assert label_of(gpu, seen) == label


def test_a_name_that_is_not_clear_is_said_to_be_one_of_some() -> None:
    assert could_be("H100") == (
        "'H100' could be NVIDIA-H100-PCIe (350 W, 1755 MHz), NVIDIA-H100-80GB-HBM3 (700 W, 1830 MHz)"
        " or NVIDIA-H100-NVL (400 W, 1785 MHz)"
    )
    assert could_be("Orin") == (
        "'Orin' could be Jetson-AGX-Orin-64GB (60 W, 1300 MHz) or Jetson-Orin-NX-16GB (25 W, 918 MHz)"
    )
    assert could_be("Abacus") == could_be("") == could_be("RTX") == could_be("NVIDIA-L4") == ""


def test_no_two_data_sheets_are_of_one_card() -> None:
    keys = [sheet.key for sheet in datasheets()]
    assert len(set(keys)) == len(keys)
