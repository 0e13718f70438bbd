"""Scaled dot-product attention: two products and a softmax that one kernel executes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from joulecast.canonical.draft import Match
from joulecast.canonical.scalars import close, multiplied, scalar

if TYPE_CHECKING:
    from joulecast.canonical.draft import Draft
    from joulecast.graph import Node, Shape, Tensor

TRANSPARENT = ("Cast", "Dropout", "Identity")

VIEWS = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Split", "Slice")


@dataclass(slots=True)
class Scores:
    """Softmax(query · keyᵀ · factor + mask) on its way from the result back to the operands."""

    query: str = ""
    key: str = ""
    mask: str = ""
    factor: float = 1.0
    both_scaled: bool = False
    nodes: list[Node] = field(default_factory=list)
    rewritten: list[tuple[Node, Node]] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)

    def take(self, name: str, draft: Draft) -> tuple[str, list[float]]:
        """Absorb a multiplication by a number: the value that it multiplies, and the number if there is one."""
        inner = multiplied(name, draft)
        self.factor *= inner.constant
        self.nodes += inner.nodes
        return inner.values[0], [inner.constant] if inner.nodes else []


def fused(node: Node, draft: Draft) -> Match | None:
    """Match torch's fused attention as exporters write it: query and key each times the root of the scale."""
    scores = scores_of(node, draft)
    return attention(node, scores, draft) if scores is not None and scores.both_scaled else None


def scaled(node: Node, draft: Draft) -> Match | None:
    """Match attention that is scaled by 1/√head_size and adds at most one mask, which inference runtimes fuse."""
    scores = scores_of(node, draft)
    if scores is None or not draft.shape(scores.query):
        return None
    factor = scores.factor * behind_views(scores.query, draft) * behind_views(scores.key, draft)
    return attention(node, scores, draft) if close(factor, draft.shape(scores.query)[-1] ** -0.5) else None


def attention(node: Node, scores: Scores, draft: Draft) -> Match | None:
    """Build one Attention node if the operands fit: (batch, heads, length, size), or (batch · heads, length, size)."""
    tensors = {**draft.tensors, **{tensor.name: tensor for tensor in scores.tensors}}
    query, key, value = (tensors[name].shape or () for name in (scores.query, scores.key, node.inputs[1]))
    if len(query) not in (3, 4) or query[:-2] != key[:-2] or query[:-2] != value[:-2]:
        return None
    if query[-1] != key[-1] or key[-2] != value[-2] or draft.stored(scores.key) or draft.stored(node.inputs[1]):
        return None
    mask = (scores.mask,) if scores.mask else ()
    attributes = {"scale": scores.factor, **({"q_num_heads": 1, "kv_num_heads": 1} if len(query) == 3 else {})}
    inputs = (scores.query, scores.key, node.inputs[1], *mask)
    return Match(
        node=replace(node, op_type="Attention", inputs=inputs, attributes=attributes, values={}),
        absorbed=tuple({n.outputs[0]: n for n in scores.nodes}.values()),
        rewritten=tuple(scores.rewritten),
        tensors=tuple(scores.tensors),
    )


def scores_of(node: Node, draft: Draft) -> Scores | None:
    """Walk back from the product with the values to the product of query and key."""
    scores = Scores()
    softmax = safe_softmax(past(node.inputs[0], draft, scores), scores, draft)
    if softmax is None or softmax.op_type != "Softmax" or not over_last_axis(softmax, draft):
        return None
    scores.nodes.append(softmax)
    product = product_of_scores(past(softmax.inputs[0], draft, scores), scores, draft)
    return operands(product, scores, draft) if product is not None else None


def past(name: str, draft: Draft, scores: Scores) -> Node | None:
    """Return the node that makes a value, skipping casts, dropout and copies, which the match absorbs."""
    node = draft.producer(name)
    while node is not None and node.op_type in TRANSPARENT:
        scores.nodes.append(node)
        node = draft.producer(node.inputs[0])
    return node


def safe_softmax(node: Node | None, scores: Scores, draft: Draft) -> Node | None:
    """Return the softmax node, also where a Where replaces the NaN of rows that are masked out entirely."""
    if node is None or node.op_type != "Where":
        return node
    test = draft.producer(node.inputs[0], "IsNaN")
    if test is None or test.inputs[0] != node.inputs[2]:
        return None
    scores.nodes += [node, test]
    return draft.producer(node.inputs[2])


def over_last_axis(softmax: Node, draft: Draft) -> bool:
    rank = len(draft.shape(softmax.inputs[0]))
    axis = softmax.attributes.get("axis", -1 if draft.opset >= 13 else 1)  # the default changed in opset 13
    return int(axis) in (-1, rank - 1)


def product_of_scores(node: Node | None, scores: Scores, draft: Draft) -> Node | None:
    """Return the MatMul that makes the scores, skipping a scale and at most one mask."""
    while node is not None and node.op_type != "MatMul":
        if node.op_type in ("Add", "Where") and not scores.mask:
            following = masked(node, scores, draft)
        elif node.op_type in ("Mul", "Div"):
            following = scores.take(node.outputs[0], draft)[0]
        else:
            return None
        if following == node.outputs[0] or not following:
            return None
        if node.op_type in ("Add", "Where"):
            scores.nodes.append(node)
        node = past(following, draft, scores)
    return node


def masked(node: Node, scores: Scores, draft: Draft) -> str:
    """Return the scores below an additive mask or a Where with a number, or ``""`` if neither operand is the scores."""
    if node.op_type == "Where":
        positions = [p for p in (1, 2) if scalar(node, 3 - p) is not None]
        mask = node.inputs[0]
    else:
        positions = [p for p in (0, 1) if leads_to_product(node.inputs[p], draft)]
        mask = node.inputs[1 - positions[0]] if len(positions) == 1 else ""
    if len(positions) != 1 or not broadcasts(draft.shape(mask) if mask else (), draft.shape(node.outputs[0])):
        return ""
    scores.mask = mask
    return node.inputs[positions[0]]


def leads_to_product(name: str, draft: Draft) -> bool:
    node = draft.producer(name)
    while node is not None and node.op_type in ("Mul", "Div", *TRANSPARENT):
        node = draft.producer(multiplied(name, draft).values[0] if node.op_type in ("Mul", "Div") else node.inputs[0])
        if node is not None and node.outputs[0] == name:
            return False
        name = node.outputs[0] if node is not None else ""
    return node is not None and node.op_type == "MatMul"


def broadcasts(mask: Shape, scores: Shape) -> bool:
    """Decide whether a mask of that shape broadcasts to the scores without enlarging them."""
    pairs = zip(reversed(mask), reversed(scores), strict=False)
    return len(mask) <= len(scores) and all(a in (1, b) for a, b in pairs)


def operands(product: Node, scores: Scores, draft: Draft) -> Scores | None:
    """Return query and key without the factors that are applied right before the product."""
    scores.nodes.append(product)
    scores.query, query_factors = scores.take(product.inputs[0], draft)
    transposed, key_factors = scores.take(product.inputs[1], draft)
    key = untransposed(transposed, scores, draft)
    if key is None:
        return None
    if scores.rewritten or key_factors:
        scores.key = key
    else:
        scores.key, key_factors = scores.take(key, draft)
    scores.both_scaled = bool(query_factors) and query_factors == key_factors
    return scores


def untransposed(name: str, scores: Scores, draft: Draft) -> str | None:
    """Return the key (…, length, size) of which ``name`` is the transposed form (…, size, length)."""
    node = draft.producer(name, "Transpose", "Reshape", "Identity")
    if node is not None and node.op_type == "Identity":  # a copy that batched products ask for
        scores.nodes.append(node)
        node = draft.producer(node.inputs[0], "Transpose", "Reshape")
    if node is None:
        return None
    return flattened(node, scores, draft) if node.op_type == "Reshape" else permuted(node, scores, draft)


def flattened(node: Node, scores: Scores, draft: Draft) -> str | None:
    """Return the key that was transposed and whose batch and heads were then joined into one dimension."""
    transpose = draft.producer(node.inputs[0], "Transpose")
    outer = draft.producer(transpose.inputs[0], "Reshape") if transpose is not None else None
    if transpose is None or outer is None or tuple(transpose.attributes.get("perm", ())) != (0, 2, 1):
        return None
    if draft.shape(outer.inputs[0]) != swapped(draft.shape(node.outputs[0])):
        return None
    scores.nodes += [node, transpose, outer]
    return outer.inputs[0]


def permuted(node: Node, scores: Scores, draft: Draft) -> str | None:
    """Return the input of a node that only swaps the last two dimensions.

    Of a larger transposition, its remaining part.
    """
    rank = len(draft.shape(node.inputs[0]))
    perm = tuple(node.attributes.get("perm", range(rank - 1, -1, -1)))
    left = swapped(perm)
    if left == tuple(range(rank)):
        scores.nodes.append(node)
        return node.inputs[0]
    name = node.outputs[0]
    scores.rewritten.append((node, replace(node, attributes={**node.attributes, "perm": left})))
    scores.tensors.append(replace(draft.tensors[name], shape=swapped(draft.shape(name))))
    return name


def swapped(shape: Shape) -> Shape:
    """Return the shape with its last two dimensions exchanged."""
    return (*shape[:-2], shape[-1], shape[-2]) if len(shape) > 1 else shape


def behind_views(name: str, draft: Draft) -> float:
    """Return the factor that a value was multiplied by before it was split into heads; that kernel remains a row."""
    node = draft.origin(name)
    while node is not None and not node.folded and node.op_type in VIEWS:
        name = node.inputs[0]
        node = draft.origin(name)
    return multiplied(name, draft).constant
