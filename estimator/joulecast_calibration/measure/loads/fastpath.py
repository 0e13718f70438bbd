"""Whether torch took its fused attention. Encoder layers do, unasked, at inference; a trace counts the functions that
they are written in, so a row must say which it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

FUSED = ("_native_multi_head_attention", "_transformer_encoder_layer_fwd")
"""What ``nn.MultiheadAttention`` and ``nn.TransformerEncoderLayer`` call on their fast paths, by attribute of torch."""


@contextmanager
def fused_calls() -> Iterator[list[str]]:
    """The names of ``FUSED`` that were called inside, each as often as it was."""
    called: list[str] = []
    before = {name: getattr(torch, name) for name in FUSED}
    for name, function in before.items():
        setattr(torch, name, _noting(name, function, called))
    try:
        yield called
    finally:
        for name, function in before.items():
            setattr(torch, name, function)


def _noting(name: str, function: Callable[..., Any], called: list[str]) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        called.append(name)
        return function(*args, **kwargs)

    return noted
