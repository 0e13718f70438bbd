"""Activation functions written out in elementary operators: Gelu, Swish, HardSwish, HardSigmoid, Mish."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from joulecast.canonical.draft import Match
from joulecast.canonical.scalars import Factors, close, multiplied, product, scalar, split

if TYPE_CHECKING:
    from joulecast.canonical.draft import Draft
    from joulecast.graph import Node

TANH_SCALE = math.sqrt(2 / math.pi)
"""Gelu's tanh form: x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))); ONNX operator Gelu, approximate="tanh"."""

TANH_CUBIC = 0.044715


@dataclass(slots=True)
class Gate:
    """The two factors of an activation ``x · gate(x)`` and the product that joins them."""

    x: str
    gate: Node
    whole: Factors


def gates(node: Node, draft: Draft, *op_types: str) -> list[Gate]:
    """List the ways to read a product as ``x · gate`` where an operator of ``op_types`` makes the gate."""
    if node.op_type == "Div" and scalar(node, 1) is None:
        return []
    whole = product(node, draft)
    if len(whole.values) != 2:
        return []
    first, second = whole.values
    made = ((x, draft.producer(name, *op_types)) for x, name in ((first, second), (second, first)))
    return [Gate(x, gate, whole) for x, gate in made if gate is not None]


def activation(node: Node, op_type: str, x: str, absorbed: list[Node], **attributes: Any) -> Match:
    new = replace(node, op_type=op_type, inputs=(x,), attributes=attributes, values={})
    return Match(node=new, absorbed=tuple(n for n in absorbed if n is not node))


def gelu_erf(node: Node, draft: Draft) -> Match | None:
    """Match x · ½ · (1 + erf(x / √2)), multiplied in any order."""
    for gate in gates(node, draft, "Add"):
        erf = one_plus(gate.gate, draft, "Erf")
        if erf is None or not close(gate.whole.constant, 0.5):
            continue
        inner = multiplied(erf.inputs[0], draft)
        if inner.values == [gate.x] and close(inner.constant, math.sqrt(0.5)):
            absorbed = [*gate.whole.nodes, gate.gate, erf, *inner.nodes]
            return activation(node, "Gelu", gate.x, absorbed, approximate="none")
    return None


def gelu_tanh(node: Node, draft: Draft) -> Match | None:
    """Match x · ½ · (1 + tanh(√(2/π) · (x + 0.044715 x³))), also with x factored out of the sum."""
    for gate in gates(node, draft, "Add"):
        tanh = one_plus(gate.gate, draft, "Tanh")
        if tanh is None or not close(gate.whole.constant, 0.5):
            continue
        nodes = tanh_argument(tanh.inputs[0], gate.x, draft)
        if nodes is not None:
            absorbed = [*gate.whole.nodes, gate.gate, tanh, *nodes]
            return activation(node, "Gelu", gate.x, absorbed, approximate="tanh")
    return None


def one_plus(node: Node, draft: Draft, op_type: str) -> Node | None:
    """Return the operator of ``op_type`` to which ``node`` adds 1."""
    parts = split(node)
    return draft.producer(parts[1], op_type) if parts is not None and close(parts[0], 1.0) else None


def tanh_argument(name: str, x: str, draft: Draft) -> list[Node] | None:
    """Return the nodes that compute √(2/π) · (x + 0.044715 x³), or ``None`` where the value is computed otherwise."""
    outer = draft.producer(name, "Mul")
    if outer is None:
        return None
    whole = product(outer, draft)
    sums = [value for value in whole.values if value != x]
    added = draft.producer(sums[0], "Add") if len(sums) == 1 else None
    if added is None:
        return None
    if len(whole.values) == 1:
        nodes = linear_plus_cubic(added, x, draft, whole.constant)
    else:
        nodes = constant_plus_square(added, x, draft, whole.constant)
    return None if nodes is None else [*whole.nodes, added, *nodes]


def linear_plus_cubic(node: Node, x: str, draft: Draft, outer: float) -> list[Node] | None:
    """Return the nodes of x + 0.044715 x³ where ``node`` is that sum and ``outer`` is √(2/π)."""
    others = [name for name in node.inputs if name != x]
    if len(others) != 1 or not close(outer, TANH_SCALE):
        return None
    return monomial(others[0], x, draft, TANH_CUBIC, 3)


def constant_plus_square(node: Node, x: str, draft: Draft, outer: float) -> list[Node] | None:
    """Match ``node`` as c + b x², where c and b times ``outer`` are √(2/π) and 0.044715 √(2/π), and return its
    nodes.
    """
    parts = split(node)
    if parts is None or not close(parts[0] * outer, TANH_SCALE):
        return None
    return monomial(parts[1], x, draft, TANH_CUBIC * parts[0], 2)


def monomial(name: str, x: str, draft: Draft, coefficient: float, degree: int) -> list[Node] | None:
    """Return the nodes that compute coefficient · x^degree, by Pow or by repeated Mul."""
    top = draft.producer(name, "Mul")
    if top is None:
        return None
    whole = product(top, draft)
    nodes, found = list(whole.nodes), 0
    for value in whole.values:
        power = draft.producer(value, "Pow")
        if value == x:
            found += 1
        elif power is not None and power.inputs[0] == x and (exponent := scalar(power, 1)) is not None:
            found += round(exponent)
            nodes.append(power)
        else:
            return None
    return nodes if found == degree and close(whole.constant, coefficient) else None


def swish(node: Node, draft: Draft) -> Match | None:
    """Match x · sigmoid(x)."""
    for gate in gates(node, draft, "Sigmoid"):
        if gate.gate.inputs[0] == gate.x and gate.whole.constant == 1.0:
            return activation(node, "Swish", gate.x, [*gate.whole.nodes, gate.gate])
    return None


def quick_gelu(node: Node, draft: Draft) -> Match | None:
    """Match x · sigmoid(a x): Swish with a slope; a = 1.702 is CLIP's approximate Gelu."""
    for gate in gates(node, draft, "Sigmoid"):
        inner = multiplied(gate.gate.inputs[0], draft)
        if inner.values == [gate.x] and inner.nodes and gate.whole.constant == 1.0:
            absorbed = [*gate.whole.nodes, gate.gate, *inner.nodes]
            return activation(node, "Swish", gate.x, absorbed, alpha=inner.constant)
    return None


def mish(node: Node, draft: Draft) -> Match | None:
    """Match x · tanh(softplus(x))."""
    for gate in gates(node, draft, "Tanh"):
        softplus = draft.producer(gate.gate.inputs[0], "Softplus")
        if softplus is not None and softplus.inputs[0] == gate.x and gate.whole.constant == 1.0:
            return activation(node, "Mish", gate.x, [*gate.whole.nodes, gate.gate, softplus])
    return None


def hard_swish(node: Node, draft: Draft) -> Match | None:
    """Match x · hardsigmoid(x), or x · clip(x + 3, 0, 6) / 6."""
    for gate in gates(node, draft, "HardSigmoid"):
        if gate.gate.inputs[0] == gate.x and gate.whole.constant == 1.0 and sixth(gate.gate):
            return activation(node, "HardSwish", gate.x, [*gate.whole.nodes, gate.gate])
    for gate in gates(node, draft, "Clip"):
        shifted = clipped_shift(gate.gate, draft)
        if shifted is not None and shifted[0] == gate.x and close(gate.whole.constant, 1 / 6):
            return activation(node, "HardSwish", gate.x, [*gate.whole.nodes, gate.gate, shifted[1]])
    return None


def sixth(node: Node) -> bool:
    """Decide whether a HardSigmoid has HardSwish's slope and offset of 1/6 and 1/2 (ONNX's defaults: 0.2 and 0.5)."""
    return close(node.attributes.get("alpha", 0.2), 1 / 6) and close(node.attributes.get("beta", 0.5), 0.5)


def hard_sigmoid(node: Node, draft: Draft) -> Match | None:
    """Match clip(x + 3, 0, 6) / 6."""
    whole = multiplied(node.outputs[0], draft)
    clip = draft.producer(whole.values[0], "Clip")
    shifted = clipped_shift(clip, draft) if clip is not None else None
    if clip is None or shifted is None or not close(whole.constant, 1 / 6):
        return None
    return activation(node, "HardSigmoid", shifted[0], [*whole.nodes, clip, shifted[1]], alpha=1 / 6, beta=0.5)


def clipped_shift(clip: Node, draft: Draft) -> tuple[str, Node] | None:
    """Return x and the Add node of clip(x + 3, 0, 6)."""
    low = clip.attributes.get("min", scalar(clip, 1))
    high = clip.attributes.get("max", scalar(clip, 2))
    added = draft.producer(clip.inputs[0], "Add")
    parts = split(added) if added is not None else None
    if added is None or parts is None or low != 0.0 or high != 6.0 or parts[0] != 3.0:
        return None
    return parts[1], added
