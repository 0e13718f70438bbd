"""What ATen operators multiply, each by a formula over the tensors it was run on.

It uses neither the table of names nor the counting rules, so that their figures for a call can be checked against
it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch

COMPLEX_PRODUCTS = 4
"""Real products in one of complex numbers."""

OWN = ("aten", "prims", "prim")

EINSUM = "torch.einsum"

Formula = Callable[[Sequence[Any], Any], "int | None"]
"""MACs by an operator's arguments and its result; None for forms that it does not know."""


def macs_of(func: Any, args: Sequence[Any], result: Any, *, within: str = "") -> int | None:
    """Return the MACs of one run of an operator: 0 if it multiplies nothing, None if unknown.

    ``within``: the function that runs it, if that is recorded as a whole.
    """
    formula = formulas().get(func.overloadpacket)
    if within == EINSUM and func.overloadpacket is torch.ops.aten.mul:
        formula = _elementwise
    if formula is None:
        return 0 if _is_plain(func) else None
    macs, first = formula(args, result), result[0] if isinstance(result, tuple | list) else result
    return macs * COMPLEX_PRODUCTS if macs and first.dtype.is_complex else macs


@cache
def _is_plain(func: Any) -> bool:
    """Decide whether the operator is torch's own and not, as under ``inference_mode``, a composite of several."""
    composed = torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")
    return func.namespace in OWN and not composed


def _elementwise(_: Sequence[Any], result: Any) -> int:
    """Count an Einstein sum over no index: each product counts, as in the matrix product of other sums."""
    return int(result.numel())


def _product(left: int, right: int) -> Formula:
    """Return the formula of matrices, stacks of matrices or vectors at two positions.

    Each element of the left one meets the columns of the right one.
    """

    def formula(args: Sequence[Any], _: Any) -> int:
        a, b = args[left], args[right]
        return int(a.numel()) * (int(b.shape[-1]) if b.dim() > 1 else 1)

    return formula


def _products(args: Sequence[Any], result: Any) -> int:
    """Count the products of two lists of matrices."""
    return sum(_product(0, 1)(pair, result) or 0 for pair in zip(args[0], args[1], strict=True))


def _convolution(args: Sequence[Any], result: Any) -> int:
    """Count a convolution: each element of the output (of the input, where transposed) meets one filter."""
    positions = args[0] if len(args) > 6 and args[6] is True else result
    return int(positions.numel()) * math.prod(map(int, args[1].shape[1:]))


def _attention(args: Sequence[Any], _: Any) -> int:
    """Count queries ``(…, heads, queries, head)`` times keys, and the weights times the values."""
    query, key, value = args[:3]
    return int(query.numel() // max(query.shape[-1], 1)) * int(key.shape[-2]) * int(query.shape[-1] + value.shape[-1])


def _recurrence(args: Sequence[Any], _: Any) -> int:
    """Count one layer and direction: every step of the batch meets both matrices."""
    steps, batch = args[0].shape[:2]
    return int(steps * batch) * int(args[1].numel() + args[2].numel())


def _distances(args: Sequence[Any], result: Any) -> int:
    """Count one product of operands that are two columns wider: the squares and ones."""
    return int(result.numel()) * (int(args[0].shape[-1]) + 2)


def _groups(args: Sequence[Any], _: Any) -> int | None:
    """Count rows of which each meets one matrix of a stack."""
    rows, matrices = args[:2]
    return int(rows.numel()) * int(matrices.shape[-1]) if rows.dim() == 2 and matrices.dim() == 3 else None


def _unknown(_: Sequence[Any], __: Any) -> None:
    return None


BY_NAME: Mapping[str, Formula] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot", "_int_mm", "_scaled_mm"), _product(0, 1)),
    **dict.fromkeys(("addmm", "baddbmm", "addmv", "addbmm", "_addmm_activation"), _product(1, 2)),
    "_foreach_mm": _products,
    **dict.fromkeys(("convolution", "_convolution"), _convolution),
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
            "_scaled_dot_product_fused_attention_overrideable",
        ),
        _attention,
    ),
    "mkldnn_rnn_layer": _recurrence,
    "_euclidean_dist": _distances,
    **dict.fromkeys(("_grouped_mm", "_scaled_grouped_mm"), _groups),
    **dict.fromkeys(("_trilinear", "affine_grid_generator", "flex_attention"), _unknown),
}
"""By the operator's name without its overload."""


@cache
def formulas() -> Mapping[Any, Formula]:
    """Return the formulas by the operators of the installed torch."""
    found = {getattr(torch.ops.aten, name, None): formula for name, formula in BY_NAME.items()}
    return {operator: formula for operator, formula in found.items() if operator is not None}
