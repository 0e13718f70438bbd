"""Test which cards Ray means by an accelerator type."""

from __future__ import annotations

import pytest

from joulecast_operator.workloads.custom.accelerators import called, known


@pytest.mark.parametrize(
    ("accelerator_type", "products"),
    [
        ("L4", {"NVIDIA-L4"}),
        ("L40S", {"NVIDIA-L40S"}),
        ("A10G", {"NVIDIA-A10G"}),
        ("A10", {"NVIDIA-A10G"}),
        ("T4", {"Tesla-T4"}),
        ("V100", {"Tesla-V100-PCIE-32GB", "Tesla-V100-SXM2-16GB"}),
        ("H100", {"NVIDIA-H100-PCIe", "NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-NVL"}),
        ("H200", {"NVIDIA-H200", "NVIDIA-H200-NVL"}),
        ("A100-40G", {"NVIDIA-A100-PCIE-40GB", "NVIDIA-A100-SXM4-40GB"}),
        ("A100-80G", {"NVIDIA-A100-80GB-PCIe", "NVIDIA-A100-SXM4-80GB"}),
        ("B200", {"NVIDIA-B200"}),
        ("K80", set()),
        ("TPU-V6E", set()),
        ("A100-20G", set()),
        ("", set()),
    ],
)
def test_a_type_is_of_every_card_whose_driver_names_it_so(accelerator_type: str, products: set[str]) -> None:
    assert set(known(accelerator_type)) == products


def test_a_card_without_a_data_sheet_is_called_by_its_name_too() -> None:
    held = ("NVIDIA-H100-64GB-HBM2", "NVIDIA-H200", "NVIDIA-A100-SXM-64GB", "unknown card", "NVIDIA-A30-MIG-1g.6gb")
    assert called("H100", held) == ("NVIDIA-H100-64GB-HBM2",)
    assert called("A100", held) == ("NVIDIA-A100-SXM-64GB",)
    assert called("A100-80G", held) == ()
