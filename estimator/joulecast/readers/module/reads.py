"""What a call reads of the tensors that it is given. No torch is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from joulecast.readers.module.calls import Call, TensorRef, TensorSpec

SHAPED_LIKE = frozenset(
    """new_zeros new_ones new_full new_empty new_empty_strided zeros_like ones_like full_like empty_like rand_like
    randn_like randint_like zero_ fill_""".split()
)
"""Operators that read of a tensor only what it looks like."""

DRAWN = frozenset("uniform_ normal_ random_ exponential_ log_normal_ cauchy_ geometric_".split())
"""Operators that put new random numbers in place of what a tensor holds."""


def name_of(call: Call) -> str:
    """Return the bare name of the call's function or operator: ``copy_``."""
    return call.function.split(".")[1]


def read(call: Call) -> tuple[TensorSpec, ...]:
    """Return the tensors whose content the call reads: not those that it overwrites or only takes a shape from."""
    name = name_of(call)
    if name in SHAPED_LIKE or name in DRAWN:
        return ()
    if name == "copy_":
        return _given(call, call.args[1:], dict(call.kwargs))
    if "out" in call.kwargs:
        return _given(call, call.args, {key: value for key, value in call.kwargs.items() if key != "out"})
    return call.tensors


def _given(call: Call, *arguments: Any) -> tuple[TensorSpec, ...]:
    return tuple(call.tensors[position] for position in dict.fromkeys(_positions(arguments)))


def _positions(value: Any) -> Iterator[int]:
    if isinstance(value, TensorRef):
        yield value.position
    elif isinstance(value, tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _positions(item)
