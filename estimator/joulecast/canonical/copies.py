"""Forms of exporters for what is one kernel, or none, in the code: splits into sequences, softmax in a wider type."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.canonical.draft import Match
from joulecast.canonical.scalars import scalar

if TYPE_CHECKING:
    from joulecast.canonical.draft import Draft
    from joulecast.graph import Node


def split(node: Node, draft: Draft) -> Match | None:
    """A SplitToSequence whose parts are taken one by one is a Split."""
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


def promoted_softmax(node: Node, draft: Draft) -> Match | None:
    """Softmax, then Cast to a wider type: torch's softmax(dtype=…) computes and writes that type in one kernel."""
    softmax = draft.producer(node.inputs[0], "Softmax", "LogSoftmax")
    if softmax is None or draft.tensors[node.outputs[0]].dtype != "float32":
        return None
    return Match(node=replace(softmax, outputs=node.outputs), absorbed=(softmax,))
