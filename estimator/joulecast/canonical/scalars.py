"""Known scalars in a graph: an operand that is one number, and products of such numbers with values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from joulecast.canonical.draft import Draft
    from joulecast.graph import Node

TOLERANCE = 2**-8
"""Relative rounding of bfloat16, the coarsest type that constants are written in: 8 significant bits."""


def close(value: float, expected: float) -> bool:
    """Equal up to the rounding of the coarsest floating type."""
    return math.isclose(value, expected, rel_tol=TOLERANCE)


def scalar(node: Node, position: int) -> float | None:
    """The number at an input that is known and has one element, else ``None``."""
    content = node.values.get(position)
    while isinstance(content, tuple) and len(content) == 1:
        content = content[0]
    return float(content) if isinstance(content, int | float) else None


def split(node: Node) -> tuple[float, str] | None:
    """The known number and the other operand of a binary operator, whichever stands first; ``None`` without one."""
    for position in (0, 1):
        number = scalar(node, position)
        if number is not None:
            return number, node.inputs[1 - position]
    return None


@dataclass(slots=True)
class Product:
    """``constant`` times every one of ``values``; ``nodes``: the multiplications and divisions that make it."""

    constant: float
    values: list[str]
    nodes: list[Node]

    def times(self, other: Product) -> None:
        self.constant *= other.constant
        self.values += other.values
        self.nodes += other.nodes


def product(node: Node, draft: Draft) -> Product:
    """A Mul or a Div by a number, taken apart as far as nobody else reads the inner products."""
    whole = Product(1.0, [], [node])
    for position, name in enumerate(node.inputs):
        number = scalar(node, position)
        if number is None:
            whole.times(_inner(name, draft))
        else:
            whole.constant *= 1 / number if node.op_type == "Div" and number else number
    return whole


def _inner(name: str, draft: Draft) -> Product:
    node = draft.producer(name, "Mul", "Div") if draft.private(name) else None
    if node is None or (node.op_type == "Div" and scalar(node, 1) is None):
        return Product(1.0, [name], [])
    return product(node, draft)


def multiplied(name: str, draft: Draft) -> Product:
    """The value as a product, also if others read it: one factor by one number, or the value itself."""
    node = draft.producer(name, "Mul", "Div")
    parts = split(node) if node is not None else None
    if node is None or parts is None or (node.op_type == "Div" and scalar(node, 1) is None):
        return Product(1.0, [name], [])
    number, other = parts
    return Product(1 / number if node.op_type == "Div" and number else number, [other], [node])
