"""Workload options as typed: ``--input NAME=1,3,224,224``, ``--value NAME=16000``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import typer

from joulecast.workloads import BATCH, WorkloadRequest

_T = TypeVar("_T")
_WORDS = {"true": True, "false": False}


def parse(inputs: Sequence[str], values: Sequence[str]) -> WorkloadRequest:
    """Return the workload that repeated ``--input`` and ``--value`` options describe.

    Raises a usage error that names the option.
    """
    return WorkloadRequest(
        input_shapes=_pairs(inputs, "--input", "NAME=1,3,224,224", _shape),
        input_values=_pairs(values, "--value", "NAME=16000", _value),
    )


def _pairs(options: Sequence[str], option: str, example: str, parse_one: Callable[[str], _T]) -> dict[str, _T]:
    found: dict[str, _T] = {}
    for text in options:
        name, separator, right = text.rpartition("=")
        if not separator or not name:
            raise typer.BadParameter(f"{text!r} is not of the form {example}", param_hint=option)
        if name in found:
            raise typer.BadParameter(f"{name!r} is given twice", param_hint=option)
        try:
            found[name] = parse_one(right)
        except ValueError as error:
            raise typer.BadParameter(f"{text!r}: {error}; write {option} {example}", param_hint=option) from None
    return found


def _shape(text: str) -> tuple[int | str, ...]:
    return tuple(_size(part.strip()) for part in text.split(",")) if text.strip() else ()


def _size(text: str) -> int | str:
    if text == BATCH:
        return BATCH
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is neither a size (0, 1, 2, …) nor the word {BATCH}")
    return int(text)


def _value(text: str) -> object:
    """Parse a value: ``16000`` a scalar, ``1,2,3`` a list, ``5,`` a list of one, ``[[1,2],[3,4]]`` nested lists.

    The elements are whole numbers, floats, true and false.
    """
    if text.lstrip().startswith("["):
        return _nested(text)
    if "," not in text:
        return _number(text.strip())
    return [_number(part.strip()) for part in text.removesuffix(",").split(",")]


def _nested(text: str) -> object:
    try:
        return _checked(json.loads(text.lower(), parse_constant=_number))
    except (json.JSONDecodeError, RecursionError):
        raise ValueError(f"{text!r} is not a nested list such as [[1,2],[3,4]]") from None


def _checked(item: object) -> object:
    if isinstance(item, list):
        return [_checked(each) for each in item]
    if not isinstance(item, int | float) or not math.isfinite(item):
        raise ValueError(f"{item!r} is not a finite number")
    return item


def _number(text: str) -> int | float | bool:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a finite number")
    return number
