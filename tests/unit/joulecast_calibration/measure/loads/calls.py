"""Recorded calls for the tests, from small traced modules and written by hand."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from joulecast.readers.module import trace
from joulecast.readers.module.calls import Call, TensorRef, TensorSpec, call_from_json


class Vision(nn.Module):
    """Convolutions of all sorts, both norms, pooling, in-place activations and sums."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.group = nn.GroupNorm(2, 8)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu(self.norm(self.stem(x)), inplace=True)
        x += self.depth(x)
        x = nn.functional.silu(self.group(x), inplace=True)
        x = nn.functional.max_pool2d(x, 2)
        return torch.cat([self.up(x), self.up(x)], 1).mean((2, 3)).softmax(-1)


class Text(nn.Module):
    """Embeddings, recurrence, attention with a mask, gathers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.recurrent = nn.LSTM(16, 8, batch_first=True, bidirectional=True)
        self.encoder = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.head = nn.Linear(16, 50, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x, _ = self.recurrent(self.table(ids))
        seen = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        x = nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=seen)
        x = self.encoder(x)[:, torch.tensor([0, 2])]
        return self.head(x.masked_fill(x > 2, 0.0).transpose(0, 1))


def traced(module: nn.Module, *args: Any) -> list[Call]:
    """Every distinct call, as the suite's index would give it back."""
    calls = {call.digest: call for call in trace(module.eval(), args).calls}
    return [call_from_json(json.loads(json.dumps(call.to_json()))) for call in calls.values()]


@functools.cache
def vision() -> list[Call]:
    return traced(Vision(), torch.zeros(2, 3, 16, 16))


@functools.cache
def text() -> list[Call]:
    return traced(Text(), torch.zeros(2, 5, dtype=torch.int64))


def spec(*shape: int, dtype: str = "float32", strides: Sequence[int] | None = None, **more: Any) -> TensorSpec:
    """Contiguous unless said."""
    own = torch.empty(shape, device="meta").stride() if strides is None else tuple(strides)
    return TensorSpec(shape=shape, dtype=dtype, strides=own, **more)


def linear(batch: int = 4, inputs: int = 256, outputs: int = 128) -> Call:
    return Call(
        function="torch.nn.functional.linear",
        args=(TensorRef(0), TensorRef(1), TensorRef(2)),
        tensors=(
            spec(batch, inputs),
            spec(outputs, inputs, role="parameter"),
            spec(outputs, role="parameter"),
        ),
        outputs=(spec(batch, outputs),),
    )


def binary(function: str, *shape: int, dtype: str = "float32") -> Call:
    """``function`` of two tensors of the same shape."""
    return Call(
        function=function,
        args=(TensorRef(0), TensorRef(1)),
        tensors=(spec(*shape, dtype=dtype), spec(*shape, dtype=dtype)),
        outputs=(spec(*shape, dtype=dtype),),
    )
