"""Calls that are one kernel in eager mode and several operators in ONNX (``baddbmm``, ``glu``, ``addcmul``).

The reader of modules writes the operators: all but the last have the attribute ``part``, and the last says in
``joined`` what the whole is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.canonical.draft import Match

if TYPE_CHECKING:
    from joulecast.canonical.draft import Draft
    from joulecast.graph import Node


def joined(node: Node, draft: Draft) -> Match | None:
    """Join the parts of a call into one node that reads what they read."""
    whole = node.attributes.get("joined")
    if not whole:
        return None
    parts = _parts(node, draft)
    made = {name for part in parts for name in part.outputs}
    inputs = tuple(name for n in (*parts, node) for name in n.inputs if name and name not in made)
    op_type = "Gemm" if any(part.op_type == "Gemm" for part in parts) else str(whole)
    return Match(node=replace(node, op_type=op_type, inputs=inputs, attributes={"ready": 1}, values={}), absorbed=parts)


def _parts(node: Node, draft: Draft) -> tuple[Node, ...]:
    """Return the parts of a node, each after the parts that it reads."""
    found: dict[str, Node] = {}
    for name in node.inputs:
        maker = draft.producer(name) if name else None
        if maker is not None and maker.attributes.get("part"):
            found |= {part.outputs[0]: part for part in (*_parts(maker, draft), maker)}
    return tuple(found.values())
