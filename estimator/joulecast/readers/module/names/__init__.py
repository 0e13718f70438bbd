"""The one table from torch functions and operators to ONNX operator names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from joulecast.readers.module.names import (
    attention,
    convolutions,
    copies,
    creation,
    elementwise,
    foreach,
    indexing,
    normalizations,
    pooling,
    products,
    recurrent,
    reductions,
    views,
)
from joulecast.readers.module.names.reading import NamingRule

__all__ = ["rule_of", "table"]

PARTS = (
    attention,
    convolutions,
    copies,
    creation,
    elementwise,
    indexing,
    normalizations,
    pooling,
    products,
    recurrent,
    reductions,
    views,
)


@cache
def table() -> Mapping[str, NamingRule]:
    """Return every rule by the name of its function.

    Names are ``torch.…`` functions, or ATen operators without their overload (``aten.add``), or with it where overloads
    differ (``aten.max.dim``).
    """
    found: dict[str, NamingRule] = {}
    for part in PARTS:
        twice = found.keys() & part.TABLE.keys()
        if twice:
            raise ValueError(f"two rules for {', '.join(sorted(twice))}")
        found.update(part.TABLE)
    return found


def rule_of(function: str) -> NamingRule | None:
    """Return the rule of a recorded function, or None.

    An operator that works in place has the rule of its other form; one of lists of tensors applies the rule of its
    single form to each tensor.
    """
    known = table()
    if function in known or not function.startswith("aten."):
        return known.get(function)
    parts = function.split(".")
    base = parts[1]
    plain = base.rstrip("_") if base.endswith("_") and not base.endswith("__") else base
    overload = ".".join(parts[2:])
    if plain.startswith(foreach.PREFIX):
        return _of_each(f"aten.{plain.removeprefix(foreach.PREFIX)}.{overload}")
    candidates = (f"aten.{base}", f"aten.{plain}.{overload}", f"aten.{plain}")
    return next((known[name] for name in candidates if name in known), None)


def _of_each(operator: str) -> NamingRule | None:
    single = rule_of(operator)
    return foreach.of_each(single, operator) if single is not None else None
