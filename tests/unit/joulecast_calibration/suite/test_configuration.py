"""What is said of one call of a layer."""

from __future__ import annotations

import torch
from torch.nn import functional

from joulecast.readers.module import trace
from joulecast_calibration.suite.configuration import described


class Attention(torch.nn.Module):
    """Attention over five axes, whose two products have the same MACs and bytes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(x, x, x)


def test_rows_that_differ_in_their_contractions_alone_are_described() -> None:
    traced = trace(Attention(), (torch.zeros((2, 1, 2, 16, 8), device="meta"),))
    (call,) = traced.calls
    found = described(call)
    assert found["macs"] == 2 * (2 * 2 * 16 * 16 * 8)
    assert found["signature"] == described(call)["signature"]
