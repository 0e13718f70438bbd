"""Matrix products in the standard's forms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from joulecast.counting.registry import MICROSOFT, Cost, rule
from joulecast.errors import ModelFormatError
from joulecast.layers import Contraction

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Node, Shape


def shape_of(node: Node, graph: ModelGraph, position: int) -> Shape:
    """Return the shape of an input. Raises ``ModelFormatError`` where it is absent."""
    name = node.inputs[position] if position < len(node.inputs) else ""
    shape = graph.tensors[name].shape if name else None
    if shape is None:
        raise ModelFormatError(
            f"the {node.op_type} node {node.name!r} lacks its input {position}; the file is damaged, export it again"
        )
    return shape


def has(node: Node, position: int) -> bool:
    """Decide whether an optional input is given."""
    return position < len(node.inputs) and bool(node.inputs[position])


def matmul(a: Shape, b: Shape) -> Contraction:
    """Return ``(…, m, k) × (…, k, n)`` with numpy's broadcasting.

    For a matrix on the right, the left's batch joins its rows.
    """
    a = (1, *a) if len(a) == 1 else a
    b = (*b, 1) if len(b) == 1 else b
    m, k, n = a[-2], a[-1], b[-1]
    if math.prod(b[:-2]) == 1:
        return Contraction(batch=1, m=math.prod(a[:-2]) * m, n=n, k=k)
    return Contraction(batch=math.prod(broadcast(a[:-2], b[:-2])), m=m, n=n, k=k)


def broadcast(a: Shape, b: Shape) -> Shape:
    """Return the common shape of two batches, as numpy broadcasts them."""
    width = max(len(a), len(b))
    pairs = zip((1,) * (width - len(a)) + tuple(a), (1,) * (width - len(b)) + tuple(b), strict=True)
    return tuple(y if x == 1 else x for x, y in pairs)


@rule("counted", "MatMul", "MatMulInteger")
def _matmul(node: Node, graph: ModelGraph) -> Cost:
    return Cost(kind="counted", contractions=(matmul(shape_of(node, graph, 0), shape_of(node, graph, 1)),))


@rule("counted", "MatMulInteger16", domain=MICROSOFT)
def _matmul_integer16(node: Node, graph: ModelGraph) -> Cost:
    return _matmul(node, graph)


@rule("counted", "Gemm")
def _gemm(node: Node, graph: ModelGraph) -> Cost:
    return gemm(node, graph, 0, 1)


def gemm(node: Node, graph: ModelGraph, left: int, right: int) -> Cost:
    """Count ``(m, k) × (k, n)`` of the inputs at two positions, each stored transposed where an attribute says so.

    In a canonical graph the left one may have leading dimensions, all of them rows, and the right one may be a stack
    of matrices, of which each row meets one (experts).
    """
    a, b = shape_of(node, graph, left), shape_of(node, graph, right)
    if len(b) == 3:
        return grouped(a, b, right)
    m, k = a[::-1] if node.attributes.get("transA") else (math.prod(a[:-1]), a[-1])
    n = b[0] if node.attributes.get("transB") else b[1]
    return Cost(kind="counted", contractions=(Contraction(batch=1, m=m, n=n, k=k),))


def grouped(a: Shape, b: Shape, right: int) -> Cost:
    """Count rows ``(m, k)``, each times one matrix of a stack ``(matrices, k, n)``.

    Only the matrices that some row meets are read: the number expected where rows choose evenly and independently.
    """
    rows, matrices = math.prod(a[:-1]), b[0]
    met = matrices * (1 - (1 - 1 / matrices) ** rows) if matrices else 0.0
    product = Contraction(batch=1, m=rows, n=b[2], k=a[-1])
    return Cost(kind="counted", contractions=(product,), reads={right: round(met * b[1] * b[2])})


@rule("counted", "Einsum")
def _einsum(node: Node, graph: ModelGraph) -> Cost:
    shapes = [shape_of(node, graph, position) for position in range(len(node.inputs))]
    contractions = einsum(str(node.attributes["equation"]), shapes)
    return Cost(kind="counted" if contractions else "zero", contractions=contractions)


def einsum(equation: str, shapes: list[Shape]) -> tuple[Contraction, ...]:
    """Return the pairwise products of an Einstein sum from left to right.

    None for one operand or a plain outer product by 1.

    An index of both operands that lives on is batch, one summed away is k, one of the left m, one of the right n.
    """
    terms, result = _terms(equation, shapes)
    sizes = _sizes(terms, shapes)
    left, found = _distinct(terms[0]), []
    for position, term in enumerate(terms[1:], start=2):
        right, later = _distinct(term), set(result).union(*terms[position:])
        found.append(_pairwise(left, right, later, sizes))
        left = [i for i in _distinct(left + right) if i in later]
    return tuple(found)


def _pairwise(left: list[str], right: list[str], later: set[str], sizes: dict[str, int]) -> Contraction:
    """Return one product of two operands.

    An index that only one of them has and that is not read later is summed before the product.
    """

    def size(indices: list[str]) -> int:
        return math.prod(sizes[i] for i in indices)

    shared = [i for i in left if i in right]
    return Contraction(
        batch=size([i for i in shared if i in later]),
        k=size([i for i in shared if i not in later]),
        m=size([i for i in left if i not in right and i in later]),
        n=size([i for i in right if i not in left and i in later]),
    )


def _distinct(indices: list[str]) -> list[str]:
    return list(dict.fromkeys(indices))


def _terms(equation: str, shapes: list[Shape]) -> tuple[list[list[str]], list[str]]:
    """Return the indices of each operand and of the result.

    The dimensions under ``...`` get own names, aligned to the right.
    """
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    raw = left.split(",")
    if len(raw) != len(shapes):
        raise ModelFormatError(
            f"the equation {equation!r} has {len(raw)} operands, but the node has {len(shapes)}; export the model again"
        )
    terms = [_expanded(term, len(shape)) for term, shape in zip(raw, shapes, strict=True)]
    widest = max((t for t in terms), key=lambda t: sum(len(i) > 1 for i in t))
    dots = [i for i in widest if len(i) > 1]
    if arrow:
        return terms, _with_dots(right, dots)
    letters = "".join(raw).replace("...", "")
    return terms, dots + sorted(i for i in set(letters) if letters.count(i) == 1)


def _expanded(term: str, rank: int) -> list[str]:
    if "..." not in term:
        return list(term)
    hidden = max(rank - len(term.replace("...", "")), 0)
    return _with_dots(term, [f"...{hidden - i}" for i in range(hidden)])


def _with_dots(term: str, dots: list[str]) -> list[str]:
    before, found, after = term.partition("...")
    return [*before, *(dots if found else ()), *after]


def _sizes(terms: list[list[str]], shapes: list[Shape]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for index, size in zip(term, shape, strict=False):
            sizes[index] = max(sizes.get(index, 1), size) if size != 0 else 0
    return sizes


@rule("counted", "AffineGrid")
def _affine_grid(node: Node, graph: ModelGraph) -> Cost:
    """Count every position of the grid, in homogeneous coordinates, times ``theta`` ``(batch, d, d + 1)``."""
    batch, d, homogeneous = shape_of(node, graph, 0)
    grid = graph.tensors[node.outputs[0]].shape or ()
    return Cost(kind="counted", contractions=(Contraction(batch=batch, m=math.prod(grid[1:-1]), n=d, k=homogeneous),))
