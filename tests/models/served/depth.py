"""Published configurations with fewer layers: what occurs 60 times is traced a few times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from typing import Any, Final

from joulecast.layers import LayerProfile
from tests.models.served.case import Keys

Kinds = Set[tuple[str, int, int]]
"""Operators of a pass with the MACs and parameters of each."""

_DEPTHS: Final = ("num_hidden_layers", "n_layer")
_FEWEST: Final = 4  # layers: in some models each fourth differs, which is traced even where joulecast's rows are equal
_STACKS: Final = "encoder_layers"  # in configurations that count the layers of encoder and decoder apart


def shallow(keys: Keys, kinds_of: Callable[[Keys], Kinds]) -> Keys:
    """Return ``keys`` with the fewest layers that have all kinds of operators of the whole depth, and one more; at
    least four.

    What lists the kinds of all layers is cut as well.
    """
    named = next((name for name in _DEPTHS if name in keys), None)
    if named is None or _STACKS in keys:
        return keys
    whole = kinds_of(keys)
    found = next(layers for layers in range(1, keys[named] + 1) if kinds_of(_cut(keys, named, layers)) == whole)
    return _cut(keys, named, min(max(found + 1, _FEWEST), keys[named]))


def kinds(rows: Iterable[LayerProfile]) -> Kinds:
    """Return the kinds of operators of rows."""
    return {(row.op_type, row.macs, row.params) for row in rows}


def _cut(keys: Keys, named: str, layers: int) -> dict[str, Any]:
    listed = {name: value[:layers] for name, value in keys.items() if _is_listed(value, keys[named])}
    return {**keys, **listed, named: layers}


def _is_listed(value: object, layers: int) -> bool:
    return isinstance(value, (list, str)) and len(value) == layers
