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
    """Decide whether two numbers are equal up to the rounding of the coarsest floating type."""
    return math.isclose(value, expected, rel_tol=TOLERANCE)


def scalar(node: Node, position: int) -> float | None:
    """Return the number at an input that is known and has one element, else ``None``."""
    content = node.values.get(position)
    while isinstance(content, tuple) and len(content) == 1:
        content = content[0]
    return float(content) if isinstance(content, int | float) else None


def split(node: Node) -> tuple[float, str] | None:
    """Return the known number and the other operand of a binary operator in either order.

    ``None`` without a known number.
    """
    for position in (0, 1):
        number = scalar(node, position)
        if number is not None:
            return number, node.inputs[1 - position]
    return None


@dataclass(slots=True)
class Factors:
    """The factors of a product: ``constant`` times every one of ``values``.

    - ``nodes``: the multiplications and divisions that compute the product.
    """

    constant: float
    values: list[str]
    nodes: list[Node]


MOST_FACTORS = 8
"""Multiplications that one product is taken apart into; the longest pattern has four (Gelu's tanh form). Without a
bound, a chain of squares would have exponentially many."""


def product(node: Node, draft: Draft) -> Factors:
    """Split a Mul or Div by a number into factors, including inner products that only this product reads."""
    whole = Factors(1.0, [], [])
    _multiply(whole, node, draft)
    return whole


def _multiply(whole: Factors, node: Node, draft: Draft) -> None:
    whole.nodes.append(node)
    for position, name in enumerate(node.inputs):
        number = scalar(node, position)
        inner = _inner(name, draft) if number is None and len(whole.nodes) < MOST_FACTORS else None
        if number is not None:
            whole.constant *= 1 / number if node.op_type == "Div" and number else number
        elif inner is not None:
            _multiply(whole, inner, draft)
        else:
            whole.values.append(name)


def _inner(name: str, draft: Draft) -> Node | None:
    """Return the inner product that makes the value, if no other node reads it."""
    node = draft.producer(name, "Mul", "Div") if draft.private(name) else None
    return None if node is None or (node.op_type == "Div" and scalar(node, 1) is None) else node


def multiplied(name: str, draft: Draft) -> Factors:
    """Return the value as a product, also if others read it: one factor times one number, or the value itself."""
    node = draft.producer(name, "Mul", "Div")
    parts = split(node) if node is not None else None
    if node is None or parts is None or (node.op_type == "Div" and scalar(node, 1) is None):
        return Factors(1.0, [name], [])
    number, other = parts
    return Factors(1 / number if node.op_type == "Div" and number else number, [other], [node])
