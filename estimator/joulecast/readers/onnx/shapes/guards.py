"""Refuse inputs on which the library's native inference would crash."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from onnx import AttributeProto

from joulecast.readers.onnx.shapes.inference import ShapeConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import NodeProto

    from joulecast.readers.onnx.values import Value

AXES_OF_FIRST = frozenset({"LayerNormalization", "RMSNormalization", "GroupNormalization", "LpNormalization"})
"""Operators whose axis must name a dimension of their first input; onnx 1.23 writes out of bounds for any other."""

MAX_DIMENSION = 2**53
"""Beyond it sizes in float arithmetic are inexact, and products of two overflow; no tensor comes near."""


def check(node: NodeProto, inputs: Sequence[Value | None]) -> None:
    """Raise ``ShapeConflictError`` for attributes and shapes that no valid model has."""
    ranks = [len(value.shape) for value in inputs if value is not None and value.shape is not None]
    for attribute in node.attribute:
        if attribute.type == AttributeProto.INT:
            _check_integer(node, attribute, ranks)
        elif attribute.type == AttributeProto.INTS and any(
            abs(i) > MAX_DIMENSION for i in attribute.ints if i != NO_LIMIT
        ):
            raise ShapeConflictError(f"its attribute {attribute.name!r} holds numbers that no tensor could have")
        elif node.op_type == "Einsum" and attribute.name == "equation":
            _check_equation(attribute.s)
    for value in inputs:
        if (
            value is not None
            and value.shape is not None
            and any(d is not None and d > MAX_DIMENSION for d in value.shape)
        ):
            raise ShapeConflictError(f"the shape of {value.name!r} is larger than any tensor could be")


EQUATION = re.compile(rb"[A-Za-z ]*(\.\.\.)?[A-Za-z ]*")
"""A term of an Einsum (operator schema): letters and at most one ellipsis. onnx 1.23 never returns from two."""


def _check_equation(equation: bytes) -> None:
    for term in equation.replace(b"->", b",").split(b","):
        if not EQUATION.fullmatch(term):
            raise ShapeConflictError(
                f"its equation has the term {term[:40].decode(errors='replace')!r}, which an Einsum cannot have"
            )


MAX_INTEGER = 2**31
"""Axes, groups, counts and types are small; the library allocates by some of them."""

NO_LIMIT = 2**63 - 1
"""What exporters write for the end of a Slice that reaches the last element."""


def _check_integer(node: NodeProto, attribute: AttributeProto, ranks: list[int]) -> None:
    if abs(attribute.i) > MAX_INTEGER or (attribute.name == "num_outputs" and attribute.i != len(node.output)):
        raise ShapeConflictError(f"its attribute {attribute.name!r} is {attribute.i}, which is beyond any valid model")
    if attribute.name == "axis" and ranks:
        strict = node.op_type in AXES_OF_FIRST
        rank = ranks[0] if strict else max(ranks) + 1
        if not -rank <= attribute.i <= rank - strict:
            raise ShapeConflictError(f"its axis {attribute.i} is not a dimension of its input")
    if attribute.name in POSITIVE and attribute.i < 1:
        raise ShapeConflictError(f"its attribute {attribute.name!r} is {attribute.i}; it must be 1 or more")


POSITIVE = frozenset(
    {"group", "num_groups", "blocksize", "num_heads", "q_num_heads", "kv_num_heads", "hidden_size", "block_size"}
)
"""Attributes that divide a dimension."""
