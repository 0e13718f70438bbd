"""Exporters' forms of one kernel or of no kernel (splits, promoted softmax), and the copies that exporters leave out.

Eager PyTorch copies a tensor where a call needs other strides than it has. A file has no strides, so the copies are
worked out: an Identity is a clone, and a batched product first makes the leading dimensions of an operand one.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from joulecast.canonical.draft import Match
from joulecast.canonical.scalars import scalar
from joulecast.graph import Node

if TYPE_CHECKING:
    from joulecast.canonical.draft import Draft
    from joulecast.graph import Shape

COPIES = {"copies": 1}
"""Attributes of an Identity that moves its input to memory of its own."""

ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Neg", "Cast")
"""Operators whose output torch lays out as their first input of the same shape."""


def split(node: Node, draft: Draft) -> Match | None:
    """Rewrite a SplitToSequence whose parts are taken one by one as a Split."""
    takers = draft.readers(node.outputs[0])
    places = [scalar(taker, 1) if taker.op_type == "SequenceAt" else None for taker in takers]
    if not takers or len(set(places)) != len(places) or None in places:
        return None
    if not node.attributes.get("keepdims", 1) and len(node.inputs) < 2:
        return None
    by_place = {int(place): taker.outputs[0] for place, taker in zip(places, takers, strict=True) if place is not None}
    if min(by_place) < 0:
        return None
    outputs = tuple(by_place.get(place, "") for place in range(max(by_place) + 1))
    new = replace(node, op_type="Split", outputs=outputs, attributes={"axis": node.attributes.get("axis", 0)})
    return Match(node=new, absorbed=takers)


def unbind(node: Node, draft: Draft) -> Match | None:
    """Rewrite Gathers that take every position of an axis by a constant index as a Split, whose parts are views."""
    data, axis = node.inputs[0], node.attributes.get("axis", 0)
    takers = draft.readers(data)
    alike = all(t.op_type == "Gather" and t.inputs[0] == data and t.attributes.get("axis", 0) == axis for t in takers)
    if draft.stored(data) or not alike or any(len(t.inputs) < 2 or draft.shape(t.inputs[1]) != () for t in takers):
        return None
    length = draft.shape(data)[axis]
    places = [scalar(taker, 1) for taker in takers]
    by_place = {int(p) % length: t.outputs[0] for p, t in zip(places, takers, strict=True) if p is not None and length}
    if len(takers) < 2 or len(by_place) != len(takers) or len(by_place) != length:
        return None
    outputs = tuple(by_place[place] for place in range(length))
    new = replace(node, op_type="Split", inputs=(data,), outputs=outputs, attributes={"axis": axis}, values={})
    return Match(node=new, absorbed=tuple(taker for taker in takers if taker is not node))


def promoted_softmax(node: Node, draft: Draft) -> Match | None:
    """Match a Softmax and a Cast to a wider type, which torch's softmax(dtype=…) runs as one kernel."""
    softmax = draft.producer(node.inputs[0], "Softmax", "LogSoftmax")
    if softmax is None or draft.tensors[node.outputs[0]].dtype != "float32":
        return None
    return Match(node=replace(softmax, outputs=node.outputs), absorbed=(softmax,))


def clone(node: Node, draft: Draft) -> Match | None:
    """Keep an Identity as a copy: exporters write it for ``clone`` and for a concatenation with nothing."""
    if node.attributes or draft.stored(node.inputs[0]):
        return None
    return Match(node=replace(node, attributes=COPIES))


def product_operands(node: Node, draft: Draft) -> Match | None:
    """Add the copies of operands that are not views of shape (batch, m, k) or (batch, k, n), in which a product runs.

    ``ready``: the reader saw the strides and wrote the copies itself.
    """
    if node.attributes.get("ready"):
        return None
    names = [name for name in dict.fromkeys(node.inputs) if not draft.stored(name) and not mergeable(name, draft)]
    if not names:
        return None
    renamed = {name: f"{name}#copy-for-{node.name}" for name in names}
    inserted = [
        Node(
            name=copy,
            op_type="Identity",
            inputs=(name,),
            outputs=(copy,),
            attributes=COPIES,
            scope=node.scope,
            repeats=node.repeats,
            loaded=node.loaded,
        )
        for name, copy in renamed.items()
    ]
    return Match(
        node=replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs)),
        inserted=tuple(inserted),
        tensors=tuple(replace(draft.tensors[name], name=copy) for name, copy in renamed.items()),
    )


def mergeable(name: str, draft: Draft) -> bool:
    """Decide whether all dimensions but the last two are one dimension in memory."""
    shape, strides = draft.shape(name), strides_of(name, draft)
    leading = [(size, stride) for size, stride in zip(shape[:-2], strides[:-2], strict=True) if size != 1]
    return all(outer == size * inner for (_, outer), (size, inner) in pairwise(leading))


def strides_of(name: str, draft: Draft) -> Shape:
    """Return the elements between neighbours along each dimension, as eager execution lays the value out."""
    shape, node = draft.shape(name), draft.producer(name)
    if node is not None and node.op_type == "Transpose":
        inner = strides_of(node.inputs[0], draft)
        return tuple(inner[axis] for axis in node.attributes.get("perm", range(len(shape) - 1, -1, -1)))
    if node is not None and node.op_type == "Split":
        whole, axis = strides_of(node.inputs[0], draft), node.attributes.get("axis", 0)
        return whole if len(whole) == len(shape) else (*whole[:axis], *whole[axis:][1:])
    if node is not None and node.op_type in ELEMENTWISE:
        like = next((name for name in node.inputs if name and draft.shape(name) == shape), None)
        return strides_of(like, draft) if like is not None else contiguous(shape)
    return contiguous(shape)


def contiguous(shape: Shape) -> Shape:
    """Return the strides of a tensor whose last dimension varies fastest."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * size)
    return tuple(reversed(strides[: len(shape)]))
