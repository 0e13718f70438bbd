"""LayerNormalization and RMSNormalization written out in elementary operators."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.canonical.draft import Match
from joulecast.canonical.scalars import scalar, split

if TYPE_CHECKING:
    from joulecast.canonical.draft import Draft
    from joulecast.graph import Node

NORMS = ("LayerNormalization", "RMSNormalization")


def layer_norm(node: Node, draft: Draft) -> Match | None:
    """Match (x − mean(x)) / √(mean((x − mean(x))²) + ε) over the last axes; later patterns add scale and bias."""
    found = root(node, draft)
    if found is None:
        return None
    centred_name, mean, epsilon, nodes = found
    centred = draft.producer(centred_name, "Sub")
    average = draft.producer(centred.inputs[1], "ReduceMean") if centred is not None else None
    if centred is None or average is None or average.inputs[0] != centred.inputs[0]:
        return None
    axis = last_axes(average, draft)
    if axis is None or axis != last_axes(mean, draft):
        return None
    attributes = {"axis": axis, "epsilon": epsilon}
    absorbed = (*nodes, mean, *squares(mean, centred, draft), centred, average)
    if draft.producer(mean.inputs[0]) not in absorbed:
        return None
    new = replace(node, op_type="LayerNormalization", inputs=(centred.inputs[0],), attributes=attributes, values={})
    return Match(node=new, absorbed=absorbed)


def rms_norm(node: Node, draft: Draft) -> Match | None:
    """Match x / √(mean(x²) + ε) over the last axes, computed in float32 or in x's own type.

    A later pattern adds the scale.
    """
    found = root(node, draft)
    if found is None:
        return None
    x, mean, epsilon, nodes = found
    power = squared(mean.inputs[0], x, draft)
    axis = last_axes(mean, draft)
    if power is None or axis is None:
        return None
    cast = draft.producer(x, "Cast")
    source = cast.inputs[0] if cast is not None else x
    absorbed = (*nodes, mean, power, *((cast,) if cast is not None else ()))
    attributes = {"axis": axis, "epsilon": epsilon}
    new = replace(node, op_type="RMSNormalization", inputs=(source,), attributes=attributes, values={})
    return Match(node=new, absorbed=absorbed)


def root(node: Node, draft: Draft) -> tuple[str, Node, float, list[Node]] | None:
    """Return the numerator, mean, ε and inner nodes of a / √(mean + ε) or a · 1/√(mean + ε)."""
    if node.op_type == "Div":
        return _under_root(node.inputs[0], draft.producer(node.inputs[1], "Sqrt"), [], draft)
    for position in (0, 1):
        inverse = draft.producer(node.inputs[position], "Reciprocal", "Div", "Pow")
        found = _inverse_root(node.inputs[1 - position], inverse, draft) if inverse is not None else None
        if found is not None:
            return found
    return None


def _inverse_root(numerator: str, inverse: Node, draft: Draft) -> tuple[str, Node, float, list[Node]] | None:
    if inverse.op_type == "Pow":
        sum_ = draft.producer(inverse.inputs[0], "Add") if scalar(inverse, 1) == -0.5 else None
        return _mean_plus_epsilon(numerator, sum_, [inverse], draft)
    if inverse.op_type == "Div" and scalar(inverse, 0) != 1.0:
        return None
    return _under_root(numerator, draft.producer(inverse.inputs[-1], "Sqrt"), [inverse], draft)


def _under_root(
    numerator: str, root_: Node | None, nodes: list[Node], draft: Draft
) -> tuple[str, Node, float, list[Node]] | None:
    if root_ is None:
        return None
    return _mean_plus_epsilon(numerator, draft.producer(root_.inputs[0], "Add"), [*nodes, root_], draft)


def _mean_plus_epsilon(
    numerator: str, sum_: Node | None, nodes: list[Node], draft: Draft
) -> tuple[str, Node, float, list[Node]] | None:
    parts = split(sum_) if sum_ is not None else None
    mean = draft.producer(parts[1], "ReduceMean") if parts is not None else None
    if sum_ is None or parts is None or mean is None:
        return None
    return numerator, mean, parts[0], [*nodes, sum_]


def squared(name: str, x: str, draft: Draft) -> Node | None:
    """Return the node that squares ``x``, by Pow or Mul, into the value ``name``."""
    node = draft.producer(name, "Pow", "Mul")
    if node is None or node.inputs[0] != x:
        return None
    by_two = scalar(node, 1) == 2.0 if node.op_type == "Pow" else node.inputs[1] == x
    return node if by_two else None


def squares(mean: Node, centred: Node, draft: Draft) -> tuple[Node, ...]:
    """Return the square below the mean, and the second subtraction where an exporter wrote it twice."""
    direct = squared(mean.inputs[0], centred.outputs[0], draft)
    if direct is not None:
        return (direct,)
    node = draft.producer(mean.inputs[0], "Pow", "Mul")
    twin = draft.producer(node.inputs[0], "Sub") if node is not None else None
    if (
        node is None
        or twin is None
        or twin.inputs != centred.inputs
        or squared(mean.inputs[0], twin.outputs[0], draft) is None
    ):
        return ()
    return (node, twin)


def last_axes(mean: Node, draft: Draft) -> int | None:
    """Return the first axis of a mean over the last axes that keeps them, counted from the end.

    ``None`` for another mean.
    """
    axes = mean.attributes.get("axes", mean.values.get(1))
    if axes is None or not mean.attributes.get("keepdims", 1):
        return None
    rank = len(draft.shape(mean.inputs[0]))
    places = sorted(axis - rank if axis >= 0 else axis for axis in (axes if isinstance(axes, tuple) else (axes,)))
    return places[0] if places and places == list(range(-len(places), 0)) else None


def scale(node: Node, draft: Draft) -> Match | None:
    """Join a norm without scale and the product with a stored scale."""
    return _joined(node, draft, present=1, norms=NORMS)


def bias(node: Node, draft: Draft) -> Match | None:
    """Join a scaled LayerNormalization and the addition of a stored bias."""
    return _joined(node, draft, present=2, norms=NORMS[:1])


def _joined(node: Node, draft: Draft, *, present: int, norms: tuple[str, ...]) -> Match | None:
    for position in (0, 1) if len(node.inputs) == 2 else ():
        norm, other = draft.producer(node.inputs[position], *norms), node.inputs[1 - position]
        if norm is None or len(norm.inputs) != present or not draft.stored(other):
            continue
        if spans(draft.shape(other), draft.shape(norm.outputs[0]), norm.attributes.get("axis", -1)):
            new = replace(norm, name=node.name, inputs=(*norm.inputs, other), outputs=node.outputs)
            return Match(node=new, absorbed=(norm,))
    return None


def group_norm(node: Node, draft: Draft) -> Match | None:
    """Match an InstanceNormalization over groups, reshaped back, then scaled and shifted by channel."""
    shifted = _by_channel(node, draft, "Mul")
    scaled = _by_channel(shifted[0], draft, "Reshape") if shifted is not None else None
    if shifted is None or scaled is None:
        return None
    (product, shift), (outer, scale_) = shifted, scaled
    norm = draft.producer(outer.inputs[0], "InstanceNormalization")
    inner = draft.producer(norm.inputs[0], "Reshape") if norm is not None else None
    if norm is None or inner is None or (scalar(norm, 1), scalar(norm, 2)) not in ((1.0, 0.0), (None, None)):
        return None
    shape, groups = draft.shape(inner.inputs[0]), draft.shape(norm.inputs[0])
    if shape != draft.shape(outer.outputs[0]) or len(groups) != 3 or shape[1] % groups[1]:
        return None
    new = replace(
        node,
        op_type="GroupNormalization",
        inputs=(inner.inputs[0], scale_, shift),
        attributes={"num_groups": groups[1], "epsilon": norm.attributes.get("epsilon", 1e-5)},
        values={},
    )
    return Match(node=new, absorbed=(product, outer, norm, inner))


def _by_channel(node: Node, draft: Draft, made_by: str) -> tuple[Node, str] | None:
    """Return the node that makes one operand of a Mul or Add, and the other operand: one stored number a channel."""
    output = draft.shape(node.outputs[0])
    for position in (0, 1) if len(node.inputs) == 2 else ():
        maker, other = draft.producer(node.inputs[position], made_by), node.inputs[1 - position]
        if maker is None or not draft.stored(other) or len(output) < 2:
            continue
        if draft.shape(other)[-(len(output) - 1) :] == (output[1], *(1 for _ in output[2:])):
            return maker, other
    return None


def spans(shape: tuple[int, ...], output: tuple[int, ...], axis: int) -> bool:
    """Decide whether a stored tensor has one element for each normalised one, except for leading dimensions of 1."""
    while len(shape) > len(output[axis:]) and shape[0] == 1:
        shape = shape[1:]
    return shape == output[axis:]


def returned(node: Node, draft: Draft) -> Match | None:
    """Absorb the cast after an RMS norm that was computed in float32, because the kernel writes the narrower type."""
    norm = draft.producer(node.inputs[0], "RMSNormalization")
    if (
        norm is None
        or len(norm.inputs) != 1
        or draft.tensors[norm.inputs[0]].dtype != draft.tensors[node.outputs[0]].dtype
    ):
        return None
    return Match(node=replace(norm, name=node.name, outputs=node.outputs), absorbed=(norm,))
