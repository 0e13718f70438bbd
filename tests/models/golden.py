"""The golden graphs, read with their symbolic dimensions bound. Needs no torch."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulecast.layers import Workload
from joulecast.readers.onnx import read

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph

MODELS = Path(__file__).parent
INDEX: dict[str, Any] = json.loads((MODELS / "index.json").read_text())
FILED = tuple(name for name, entry in INDEX.items() if "file" in entry)
LENGTH = 128
"""Tokens, or positions of a cache, where the graph leaves them open."""


@cache
def graph(name: str, length: int = LENGTH, batch_size: int = 1) -> ModelGraph:
    """The graph as filed. A graph of fixed sizes keeps its own."""
    inputs = {key: bound(shape, (batch_size, length)) for key, shape in INDEX[name]["inputs"].items()}
    skeleton = gzip.decompress((MODELS / INDEX[name]["file"]).read_bytes())
    return read(skeleton, Workload(batch_size=batch_size, input_shapes=inputs), name=name)


def bound(shape: list[int | str], sizes: tuple[int, int]) -> tuple[int, ...]:
    """Symbolic dimensions by their order: the batch, then the length."""
    free = iter(sizes)
    return tuple(dimension if isinstance(dimension, int) else next(free) for dimension in shape)


def free_batch(name: str) -> bool:
    """Whether the batch size was left open."""
    return any(isinstance(shape[0], str) for shape in INDEX[name]["inputs"].values())
