"""Tensors inside arguments and results of any form: containers, dataclasses, caches and other plain objects."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import nn

DEEPEST = 16
"""Levels of nesting that are searched; arguments of models are not nested deeper."""

OPAQUE = (str, bytes, int, float, complex, bool, type(None), type, FunctionType, ModuleType, nn.Module, torch.dtype)
"""Values that hold no tensors, or hold them as their own."""


def tensors(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], torch.Tensor]]:
    """Yield every tensor with the keys, positions and attributes that lead to it, in order."""
    if isinstance(value, torch.Tensor):
        yield path, value
    elif len(path) < DEEPEST:
        for key, item in _items(value):
            yield from tensors(item, (*path, str(key)))


def replaced(value: Any, change: Callable[[torch.Tensor], torch.Tensor], depth: int = 0) -> Any:
    """Return the value with every tensor changed. Objects without tensors are kept, others are copied."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if depth == DEEPEST:
        return value
    items = list(_items(value))
    new = [replaced(item, change, depth + 1) for _, item in items]
    if all(a is b for a, (_, b) in zip(new, items, strict=True)):
        return value
    return _rebuilt(value, {key: item for (key, _), item in zip(items, new, strict=True)})


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what a value holds, by key, position or attribute."""
    if isinstance(value, OPAQUE):
        return
    if isinstance(value, Mapping):
        yield from list(value.items())
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
    elif is_dataclass(value):
        yield from ((field.name, getattr(value, field.name)) for field in fields(value) if hasattr(value, field.name))
    else:
        yield from list(getattr(value, "__dict__", {}).items())


def _rebuilt(value: Any, items: dict[Any, Any]) -> Any:
    if isinstance(value, tuple):
        return type(value)(*items.values()) if hasattr(value, "_fields") else type(value)(items.values())
    twin = copy.copy(value)
    if isinstance(value, Mapping | list):
        for key, item in items.items():
            twin[key] = item
    else:
        for name, item in items.items():
            object.__setattr__(twin, name, item)
    return twin
