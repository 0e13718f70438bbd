"""Fill a network's weights and statistics nearly as training would leave them, as far as its energy depends on them.

No value is zero, vanishes on the way through the layers, or grows out of range.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from joulecast_calibration.measure.loads.data import SMALL, STATISTIC, fan_in

SMALLEST_VARIANCE = 1e-3  # of a channel that is constant in the inputs drawn

_OFFSETS = ("bias", "beta", "shift")
_LENGTHS = ("original0", "weight_g")  # of weight normalisation, by parametrization and by hook
_DIRECTIONS = ("original1", "weight_v")
_POSITIONS = ("pos", "token", "embed", "table", "query", "latent", "mask")


def fill(module: nn.Module, generator: torch.Generator) -> None:
    """Fill every parameter, once however often it is used; statistics of batch normalisation become 0 and 1."""
    done: set[int] = set()
    with torch.no_grad():
        for owner in module.modules():
            for name, parameter in owner._parameters.items():
                if parameter is not None and id(parameter) not in done:
                    done.add(id(parameter))
                    _draw(parameter, *moments(owner, name, tuple(parameter.shape)), generator)
            _equalise(owner)
            if isinstance(owner, _BatchNorm):
                owner.reset_running_stats()


def _draw(parameter: nn.Parameter, mean: float, deviation: float, generator: torch.Generator) -> None:
    if parameter.is_floating_point():
        parameter.data.normal_(mean, deviation, generator=generator)


def moments(owner: nn.Module, name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return the mean and standard deviation of a parameter, by the module that holds it."""
    if any(word in name for word in _OFFSETS):
        return 0.0, SMALL
    if _is_norm(owner):
        return 1.0, STATISTIC
    if isinstance(owner, nn.Embedding | nn.EmbeddingBag):
        return 0.0, 1.0
    if any(word in name for word in _POSITIONS):
        return 0.0, SMALL
    if math.prod(shape) == max(shape, default=1):  # one number a channel, or one in all: a gain
        return 1.0, SMALL
    return 0.0, 1 / math.sqrt(_fan_in(owner, name, shape))


def _is_norm(owner: nn.Module) -> bool:
    return "norm" in type(owner).__name__.lower() or isinstance(owner, _BatchNorm | nn.LayerNorm | nn.GroupNorm)


def _fan_in(owner: nn.Module, name: str, shape: tuple[int, ...]) -> int:
    if isinstance(owner, nn.modules.conv._ConvTransposeNd):
        return fan_in(shape, transposed=True)
    if type(owner).__name__ == "Conv1D":  # transformers: (inputs, outputs)
        return shape[0]
    convolves = isinstance(owner, nn.modules.conv._ConvNd) or name in _DIRECTIONS
    if len(shape) == 3 and not convolves:  # (experts or heads, rows, columns)
        return max(shape[1:])
    return fan_in(shape)


def _equalise(owner: nn.Module) -> None:
    """Set the lengths of weight normalisation so that the directions stay as they were drawn."""
    for length, direction in zip(_LENGTHS, _DIRECTIONS, strict=True):
        lengths, directions = owner._parameters.get(length), owner._parameters.get(direction)
        if lengths is not None and directions is not None and lengths.dim() == directions.dim():
            rest = [dimension for dimension, size in enumerate(lengths.shape) if size == 1]
            lengths.data.copy_(torch.linalg.vector_norm(directions.data, dim=rest, keepdim=True))


@contextmanager
def calibrated_statistics(module: nn.Module) -> Iterator[None]:
    """Store the statistics of each batch normalisation's input during the pass inside, which uses them at once."""
    handles = [
        part.register_forward_pre_hook(_take_statistics) for part in module.modules() if isinstance(part, _BatchNorm)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _take_statistics(part: nn.Module, args: tuple[Any, ...]) -> None:
    """Take statistics per channel (dimension 1) over all other dimensions; a single value has no variance."""
    assert isinstance(part, _BatchNorm)  # noqa: S101
    values = args[0].float()
    others = [dimension for dimension in range(values.dim()) if dimension != 1]
    if part.running_mean is None or part.running_var is None or values.numel() <= values.shape[1]:
        return
    part.running_mean.copy_(values.mean(others))
    part.running_var.copy_(values.var(others, correction=0).clamp_(min=SMALLEST_VARIANCE))
