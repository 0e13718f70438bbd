"""Products with stored weights: Gemm with its bias, convolutions with their bias and batch normalisation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.canonical.draft import Match
from joulecast.canonical.scalars import scalar
from joulecast.graph import FLOATING_DTYPES

if TYPE_CHECKING:
    from joulecast.canonical.draft import Draft
    from joulecast.graph import Node, Shape

CONVOLUTIONS = ("Conv", "ConvTranspose")


def gemm(node: Node, draft: Draft) -> Match | None:
    """Rewrite a MatMul with a stored matrix as a Gemm whose rows are those of all leading dimensions."""
    if len(node.inputs) != 2:  # with a third, a product and a sum in one call
        return None
    left, right = node.inputs
    if not draft.stored(right) or len(draft.shape(right)) != 2 or len(draft.shape(left)) < 2:
        return None
    if draft.tensors[left].dtype not in FLOATING_DTYPES:
        return None
    return Match(node=replace(node, op_type="Gemm"))


def gemm_bias(node: Node, draft: Draft) -> Match | None:
    """Join a Gemm without bias and the addition of a stored vector over its columns."""
    found = with_stored(node, draft, ("Gemm",))
    if found is None:
        return None
    product, vector = found
    columns = draft.shape(product.outputs[0])[-1]
    return biased(node, product, vector) if over(draft.shape(vector), (columns,)) else None


def conv_bias(node: Node, draft: Draft) -> Match | None:
    """Join a convolution without bias and the addition of one stored number a channel."""
    found = with_stored(node, draft, CONVOLUTIONS)
    if found is None:
        return None
    product, vector = found
    output = draft.shape(product.outputs[0])
    return biased(node, product, vector) if over(draft.shape(vector), (output[1],) + (1,) * (len(output) - 2)) else None


def with_stored(node: Node, draft: Draft, op_types: tuple[str, ...]) -> tuple[Node, str] | None:
    """Return the operator without bias and the stored operand of an addition."""
    for position in (0, 1) if len(node.inputs) == 2 else ():
        product, other = draft.producer(node.inputs[position], *op_types), node.inputs[1 - position]
        if product is not None and len(product.inputs) == 2 and draft.stored(other):
            return product, other
    return None


def over(shape: Shape, expected: Shape) -> bool:
    """Decide whether two shapes are equal except for leading dimensions of 1."""
    while len(shape) > len(expected) and shape[0] == 1:
        shape = shape[1:]
    return shape == expected


def biased(node: Node, product: Node, vector: str) -> Match:
    new = replace(product, name=node.name, inputs=(*product.inputs, vector), outputs=node.outputs)
    return Match(node=new, absorbed=(product,))


def zero_bias(node: Node, draft: Draft) -> Match | None:
    """Remove a bias of zeros, which exporters write where the layer has no bias."""
    if len(node.inputs) != 3 or not draft.stored(node.inputs[2]):
        return None
    filled = draft.origin(node.inputs[2])
    if filled is None or filled.op_type != "Expand" or not filled.folded or scalar(filled, 0) != 0.0:
        return None
    values = {position: content for position, content in node.values.items() if position < 2}
    return Match(node=replace(node, inputs=node.inputs[:2], values=values))


def batch_norm(node: Node, draft: Draft) -> Match | None:
    """Join a convolution and the inference-time batch normalisation of its channels into one kernel with a bias.

    Scale and shift stay inputs, for they are trained parameters; the statistics vanish into the weights.
    """
    conv = draft.producer(node.inputs[0], *CONVOLUTIONS)
    trains = node.attributes.get("training_mode", 0) or any(node.outputs[1:])
    if conv is None or trains or not all(draft.stored(name) for name in node.inputs[1:5]):
        return None
    gamma, beta = node.inputs[1:3]
    inputs = (*conv.inputs, *((beta, gamma) if len(conv.inputs) == 2 else (gamma, beta)))
    return Match(node=replace(conv, inputs=inputs, outputs=node.outputs[:1]), absorbed=(conv,))
