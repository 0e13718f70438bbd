"""Operators over lists of tensors (``_foreach_add_``), applied to each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from joulecast.readers.module.calls import Call, TensorRef
from joulecast.readers.module.names.reading import NamingRule, Reading

PREFIX = "_foreach_"


def of_each(single: NamingRule, operator: str) -> NamingRule:
    """Apply the rule of ``operator`` to each tensor of the list.

    CUDA's kernel takes several tensors at a time; an exported file has one operator a tensor, so there is one row a
    tensor.
    """

    def rule(reading: Reading) -> None:
        for place in range(len(reading.call.outputs)):
            one = Reading(_one(reading.call, place, operator), single.parameters)
            single.rule(one)
            reading.nodes += one.nodes
            reading.tensors.update(one.tensors)

    return NamingRule(rule)


def _one(call: Call, place: int, operator: str) -> Call:
    """Return the call for the tensors at one place of its lists."""
    count = len(call.outputs)

    def picked(value: Any) -> Any:
        return value[place] if isinstance(value, tuple) and len(value) == count else value

    args = tuple(picked(value) for value in call.args)
    kwargs = {name: picked(value) for name, value in call.kwargs.items()}
    positions = [value.position for value in (*args, *kwargs.values()) if isinstance(value, TensorRef)]
    new = {old: TensorRef(place) for place, old in enumerate(dict.fromkeys(positions))}
    return replace(
        call,
        function=operator,
        args=tuple(_moved(value, new) for value in args),
        kwargs={name: _moved(value, new) for name, value in kwargs.items()},
        tensors=tuple(call.tensors[old] for old in new),
        outputs=(call.outputs[place],),
    )


def _moved(value: Any, new: Mapping[int, TensorRef]) -> Any:
    return new[value.position] if isinstance(value, TensorRef) else value
