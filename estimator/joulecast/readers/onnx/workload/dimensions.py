"""Declared dimensions: numbers, symbols, and sums of symbols such as ``past + new`` and ``2*s0``."""

from __future__ import annotations

import ast
import operator
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from onnx import TypeProto
    from onnx.onnx_ml_pb2 import TensorShapeProto

_ANONYMOUS = re.compile(r"|\?|-1|none|unk__\d+|unknown.*|dyn", re.IGNORECASE)
"""Names that exporters give to dimensions they know nothing of (Paddle ``?`` and ``-1``, tf2onnx ``unk__12``): each
is a dimension of its own."""

_MAX_CHARACTERS = 256
"""Longest text taken for a formula; exporters write a few names and numbers."""

_MAX_NUMBER = 2**53
"""No tensor has a larger size, and powers of such sizes would fill the memory."""

Dimension = int | str | None
"""A number, a symbol shared by several inputs or a formula of symbols, or nothing known."""


def dimensions(proto: TypeProto) -> tuple[Dimension, ...] | None:
    """Return the declared dimensions of a tensor type, ``None`` if the rank is unknown or the type is not a tensor."""
    kind = proto.WhichOneof("value")
    if kind not in ("tensor_type", "sparse_tensor_type") or not getattr(proto, kind).HasField("shape"):
        return None
    return tuple(_dimension(d) for d in getattr(proto, kind).shape.dim)


def _dimension(dim: TensorShapeProto.Dimension) -> Dimension:
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    return None if _ANONYMOUS.fullmatch(dim.dim_param.strip()) else dim.dim_param


def names(dimension: Dimension) -> tuple[str, ...]:
    """Return the symbols in a dimension, each once: for a formula its operands, for a symbol the symbol itself."""
    if not isinstance(dimension, str):
        return ()
    formula = _formula(dimension)
    if formula is None:
        return (dimension,)
    found = (node.id for node in ast.walk(formula) if isinstance(node, ast.Name) and node.id not in _FUNCTIONS)
    return tuple(dict.fromkeys(found))


def is_formula(dimension: Dimension) -> bool:
    return isinstance(dimension, str) and _formula(dimension) is not None


def evaluated(dimension: str, numbers: Mapping[str, int]) -> int | None:
    """Evaluate a formula; ``None`` if it is not one, a symbol is unknown or the result cannot be a size."""
    formula = _formula(dimension)
    if formula is None:
        return None
    try:
        found = _value(formula, numbers)
    except (KeyError, ZeroDivisionError, OverflowError):
        return None
    return found if 0 <= found <= _MAX_NUMBER else None


def solved(dimension: str, numbers: Mapping[str, int], size: int) -> tuple[str, int] | None:
    """Solve a linear formula for its one unknown symbol so that it equals ``size``, if there is one."""
    unknown = [name for name in names(dimension) if name not in numbers]
    if len(unknown) != 1 or not is_formula(dimension):
        return None
    base, step = (evaluated(dimension, {**numbers, unknown[0]: number}) for number in (1, 2))
    if base is None or step is None or step == base or (size - base) % (step - base):
        return None
    number = 1 + (size - base) // (step - base)
    if number < 0 or evaluated(dimension, {**numbers, unknown[0]: number}) != size:
        return None
    return unknown[0], number


_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: lambda one, other: _exact(one, other),
    ast.Mod: operator.mod,
}

_FUNCTIONS: dict[str, Callable[..., int]] = {
    "max": max, "Max": max, "min": min, "Min": min, "FloorDiv": operator.floordiv, "Mod": operator.mod,
}  # fmt: skip
"""Those of whole numbers that torch's exporter prints."""

_COMPOUND_NAME = re.compile(r"[A-Za-z_][-/][A-Za-z_]")
"""``batch-size`` and ``height/width`` are names; exporters write differences with spaces and quotients as ``//``."""


def _exact(one: int, other: int) -> int:
    """Return the quotient of a division without remainder. Raises KeyError for any other."""
    if one % other:
        raise KeyError(one)
    return one // other


@lru_cache(maxsize=1024)
def _formula(text: str) -> ast.expr | None:
    """Parse a formula; ``None`` for a symbol and for anything else than whole-number arithmetic."""
    if len(text) > _MAX_CHARACTERS or not re.search(r"[-+*/%(]", text) or _COMPOUND_NAME.search(text):
        return None
    try:
        formula = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return formula if all(map(_is_arithmetic, ast.walk(formula))) else None


def _is_arithmetic(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is int and node.value <= _MAX_NUMBER
    if isinstance(node, ast.BinOp):
        return type(node.op) in _OPERATORS
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords
    return isinstance(node, ast.Name | ast.UnaryOp | ast.USub | ast.operator | ast.expr_context)


def _value(node: ast.expr, numbers: Mapping[str, int]) -> int:
    """Evaluate a node. Raises KeyError for an unknown symbol, OverflowError for a number that cannot be a size."""
    if isinstance(node, ast.Constant):
        return int(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.Name):
        return numbers[node.id]
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, numbers)
    if isinstance(node, ast.Call):
        return _applied(_FUNCTIONS[node.func.id], [_value(each, numbers) for each in node.args])  # type: ignore[attr-defined]
    return _applied(_OPERATORS[type(node.op)], [_value(each, numbers) for each in (node.left, node.right)])  # type: ignore[attr-defined]


def _applied(function: Callable[..., int], sizes: list[int]) -> int:
    try:
        found = function(*sizes)
    except TypeError:  # another number of arguments
        raise KeyError(str(function)) from None
    if abs(found) > _MAX_NUMBER:
        raise OverflowError
    return found
