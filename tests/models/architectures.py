"""The models whose counts are known from independent tools, with their configurations pinned: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

Built = tuple[nn.Module, dict[str, Any], dict[str, Any] | None]
"""A module, its arguments by name, and the dimensions of each that stay symbolic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    name: str
    build: Callable[[], Built]
    opset: int = 20
    dtype: str = "float32"
    description: dict[str, Any] = field(default_factory=dict)


EXPORTS: tuple[Export, ...] = ()
