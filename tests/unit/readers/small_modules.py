"""Small modules for tests of the tracer."""

from __future__ import annotations

from typing import Any

from torch import nn


class Function(nn.Module):
    """A module of one expression."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)
