"""Memory of accelerators, by label or data sheet."""

from __future__ import annotations

import pytest

from joulecast.accelerators.memory import memory_bytes
from joulecast.energy.datasheets import datasheets


@pytest.mark.parametrize(
    ("product", "gigabytes"),
    [
        ("NVIDIA-H200", 141),
        ("NVIDIA-H100-80GB-HBM3", 80),
        ("Tesla-V100-SXM2-32GB", 32),
        ("NVIDIA-Z9000-512GB", 512),
        ("NVIDIA-L40S", 48),
        ("Tesla-T4", 16),
    ],
)
def test_labels_and_data_sheets_state_the_memory(product, gigabytes):
    assert memory_bytes(product) == gigabytes * 10**9


def test_an_unknown_card_has_no_known_memory():
    assert memory_bytes("NVIDIA-Z9000") is None


def test_every_data_sheet_states_a_memory():
    assert all(sheet.memory_bytes and 8e9 <= sheet.memory_bytes.value <= 300e9 for sheet in datasheets())
