"""Cards by the names that tables give them."""

from __future__ import annotations

import pytest

from joulecast.calibration.fit.names import sheet_named


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
