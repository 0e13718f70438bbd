"""Rewrite decomposed patterns as the row that a kernel executes, so that rows are alike for any file and any reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from joulecast.canonical import activations, attention, copies, linear, normalizations, parts, weights
from joulecast.canonical.conservation import require_same
from joulecast.canonical.dead import without_dead
from joulecast.canonical.draft import Draft, Match
from joulecast.canonical.separate import separated

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Node

__all__ = ["canonicalise", "separated"]

Pattern = Callable[["Node", Draft], "Match | None"]

DECOMPOSED: Mapping[str, tuple[Pattern, ...]] = {
    "MatMul": (attention.fused, linear.gemm),
    "Add": (linear.gemm_bias, linear.conv_bias, normalizations.bias, normalizations.group_norm),
    "Mul": (
        activations.gelu_erf,
        activations.swish,
        activations.hard_swish,
        activations.hard_sigmoid,
        activations.mish,
        normalizations.layer_norm,
        normalizations.scale,
    ),
    "Div": (activations.gelu_erf, activations.hard_swish, activations.hard_sigmoid, normalizations.layer_norm),
    "Conv": (linear.zero_bias,),
    "ConvTranspose": (linear.zero_bias,),
    "SplitToSequence": (copies.split,),
    "Gather": (copies.unbind,),
    "Cast": (copies.promoted_softmax,),
}
"""By the type of its last operator: what exporters write for one call of the code."""

WRITTEN: Mapping[str, tuple[Pattern, ...]] = {
    "MatMul": (attention.scaled,),
    "Mul": (activations.gelu_tanh, activations.quick_gelu, normalizations.rms_norm),
    "Div": (activations.gelu_tanh, normalizations.rms_norm),
    "BatchNormalization": (linear.batch_norm,),
    "Cast": (normalizations.returned,),
}
"""What code itself writes out: separate kernels in PyTorch's eager mode, one in inference runtimes."""

EAGER: Mapping[str, tuple[Pattern, ...]] = {
    "Identity": (copies.clone,),
    "MatMul": (copies.product_operands,),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "ReduceMean"), (parts.joined,)),
}
"""Kernels of eager mode that a file does not show, and those of which ONNX has only parts."""


def canonicalise(graph: ModelGraph, *, eager: bool = False, whole_attention: bool = False) -> ModelGraph:
    """Rewrite a model so that it has one node for each kernel that an inference runtime launches.

    MACs and parameters stay.

    Fused: LayerNormalization, RMSNormalization, GroupNormalization, Gelu, Swish, HardSwish, HardSigmoid, Mish,
    Attention (scaled by 1/√head_size, at most one mask), Gemm (a product with a stored matrix, with its bias), Conv and
    ConvTranspose (bias, batch normalisation). A value that something else reads, or that the model returns, keeps its
    nodes apart.

    ``eager``: only what exporters took apart is joined; what the code itself writes out (a tanh Gelu, an RMS norm,
    attention by separate products, batch normalisation) stays as PyTorch's eager mode runs it, and the copies that it
    makes on the way are rows (``Identity``). That is knowable of a
    graph exported in an operator set that has the joint operators (23 and later), not of older ones.

    ``whole_attention``: in eager mode, an attention that no fused kernel takes stays one node all the same, for a pass
    that still changes types (``separated`` takes it apart).

    Raises InternalInconsistencyError where a pattern did not keep multiply-accumulates, parameters or operators without
    a rule.
    """
    if not eager:
        graph = without_dead(graph)
    draft = Draft(graph if eager else weights.joined(weights.without_shape_arithmetic(graph)))
    for node in draft:
        rewrite(node, draft, eager=eager)
    found = draft.graph()
    require_same(graph, found, draft.changes)
    return separated(found) if eager and not whole_attention else found


def rewrite(node: Node, draft: Draft, *, eager: bool) -> None:
    """Apply patterns to the node and to what becomes of it until none fits."""
    current: Node | None = node
    while current is not None:
        current = next(applied(current, draft, eager=eager), None)


def applied(node: Node, draft: Draft, *, eager: bool) -> Iterator[Node]:
    """Yield the new form of the node for each pattern that matches and can be applied."""
    if node.domain or not node.outputs or not node.outputs[0]:
        return
    for pattern in (*DECOMPOSED.get(node.op_type, ()), *(EAGER if eager else WRITTEN).get(node.op_type, ())):
        match = pattern(node, draft)
        if match is not None and draft.apply(node, match, pattern.__name__):
            yield match.node
            return
