"""Find which dimension of the inputs is the batch, and its size in the given shapes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from joulecast.errors import WorkloadError
from joulecast.readers.onnx.workload.dimensions import Dimension, is_formula, names, solved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from joulecast.graph import Shape

    Declared = Mapping[str, tuple[Dimension, ...] | None]

_LONG = re.compile(r".*batch.*", re.IGNORECASE)
"""Symbols that mean the batch wherever they stand."""

_SHORT = re.compile(r"n|b|bs|bsz", re.IGNORECASE)
"""Symbols that mean the batch where they lead, or where they follow a leading symbol as in (time, N, features). Behind
a leading number they count something else: the points of a cloud, the samples of a sound."""


def batch_symbol(declared: Sequence[tuple[Dimension, ...] | None]) -> str | None:
    """Return the symbol that the batch size binds: one named like a batch, else the first input's leading symbol."""
    shapes = [shape for shape in declared if shape]
    leading = [shape[0] for shape in shapes if isinstance(shape[0], str) and not is_formula(shape[0])]
    second = [
        shape[1] for shape in shapes if len(shape) > 1 and isinstance(shape[0], str) and isinstance(shape[1], str)
    ]
    every = [name for shape in shapes for dimension in shape for name in names(dimension)]
    found = [
        *filter(_LONG.fullmatch, (*leading, *every)),
        *filter(_SHORT.fullmatch, (*leading, *second)),
        *leading,
    ]
    return next(iter(found), None)


def batch_size(declared: Declared, made: Declared, given: Mapping[str, Shape], size: int | None, default: int) -> int:
    """Return ``size`` if given, else what ``given`` holds, else ``default`` if the batch is open, else the model's own.

    ``declared``, ``made``: dimensions of the model's inputs and outputs.

    Raises ``WorkloadError`` where two of these disagree, and where a shape given may hold a batch or not.
    """
    said = _said(declared, given)
    if size is not None:
        _check(size, said)
        return size
    if len(said) > 1:
        sizes = ", ".join(f"{number} by --input {name}" for number, name in said.items())
        raise WorkloadError(f"the batch size is {sizes}: say with --batch-size which of them it is")
    if said:
        return next(iter(said))
    return default if _is_open(declared, given) else _fixed(declared, made, given)


def _said(declared: Declared, given: Mapping[str, Shape]) -> dict[int, str]:
    """Return the batch sizes that the given shapes hold, each with the input that says so.

    They are read by the batch's symbol, else by the open leading dimensions.
    """
    symbol = batch_symbol(list(declared.values()))
    return (_by_symbol(symbol, declared, given) if symbol is not None else {}) or _by_position(declared, given)


def _by_position(declared: Declared, given: Mapping[str, Shape]) -> dict[int, str]:
    found: dict[int, str] = {}
    for name, shape in given.items():
        dims = declared.get(name, ())
        if shape and (dims is None or (dims and dims[0] is None)):
            found.setdefault(shape[0], name)
    return found


def _by_symbol(symbol: str, declared: Declared, given: Mapping[str, Shape]) -> dict[int, str]:
    found: dict[int, str] = {}
    for name, shape in given.items():
        for dimension, number in zip(declared.get(name) or (), shape, strict=False):
            if dimension == symbol:
                found.setdefault(number, name)
            elif isinstance(dimension, str) and (known := solved(dimension, {}, number)) and known[0] == symbol:
                found.setdefault(known[1], name)
    return found


def _is_open(declared: Declared, given: Mapping[str, Shape]) -> bool:
    """Decide whether an input whose shape was not given leaves the batch open."""
    if batch_symbol(list(declared.values())) is not None:
        return True
    return any(shape[0] is None for name, shape in declared.items() if shape and name not in given)


def _fixed(declared: Declared, made: Declared, given: Mapping[str, Shape]) -> int:
    """Return the batch of a model that fixes it: the leading dimension that all inputs and some outputs share.

    Without one it is 1, because one run of the model then is one inference.
    """
    shapes = [given.get(name) or dims for name, dims in declared.items()]
    leading = {shape[0] for shape in shapes if shape}
    number = next(iter(leading)) if len(leading) == 1 else 1
    if not isinstance(number, int) or number <= 1:
        return 1
    if any(shape and shape[0] == number for shape in made.values()):
        return number
    if given:
        name, shape = next(iter(given.items()))
        raise WorkloadError(
            f"the leading dimension {number} of --input {name}={','.join(map(str, shape))} is fixed by the model and"
            " may be the batch or not: say with --batch-size how many inputs it holds"
        )
    return 1


def _check(size: int, said: Mapping[int, str]) -> None:
    if said and size not in said:
        number, name = next(iter(said.items()))
        raise WorkloadError(
            f"the batch size {size} contradicts --input {name}, by which it is {number}; give both the same number, or"
            f" leave --batch-size out"
        )
