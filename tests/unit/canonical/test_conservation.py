"""A pass that loses something is an error that names it, never a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from joulecast import canonical
from joulecast.canonical import canonicalise
from joulecast.canonical.conservation import require_results
from joulecast.canonical.draft import Draft, Match
from joulecast.errors import InternalInconsistencyError
from joulecast.graph import ModelGraph, Node, Tensor


def graph() -> ModelGraph:
    """x·w + b, and a rectifier after it."""
    shapes = {"x": (2, 4), "p": (2, 8), "s": (2, 8), "y": (2, 8)}
    tensors = {name: Tensor(name=name, dtype="float32", shape=shape) for name, shape in shapes.items()}
    stored = {"w": (4, 8), "b": (8, 1)}
    tensors |= {n: Tensor(name=n, dtype="float32", shape=shape, role="parameter") for n, shape in stored.items()}
    nodes = (
        Node(name="product", op_type="MatMul", inputs=("x", "w"), outputs=("p",)),
        Node(name="sum", op_type="Add", inputs=("p", "b"), outputs=("s",)),
        Node(name="relu", op_type="Relu", inputs=("s",), outputs=("y",)),
    )
    return ModelGraph(name="m", nodes=nodes, tensors=tensors, inputs=("x",), outputs=("y",), opset=21)


def loses_a_product(node: Node, draft: Draft) -> Match | None:
    product = draft.producer(node.inputs[0], "Gemm")
    return Match(node=replace(node, inputs=("x", "b")), absorbed=(product,)) if product is not None else None


def loses_a_parameter(node: Node, draft: Draft) -> Match | None:
    return Match(node=replace(node, inputs=node.inputs[:1])) if len(node.inputs) == 2 else None


def hides_an_unknown(node: Node, draft: Draft) -> Match | None:
    return Match(node=replace(node, op_type="Mystery"))


def no_longer_runs(node: Node, draft: Draft) -> Match | None:
    return None if node.folded else Match(node=replace(node, folded=True))


@pytest.mark.parametrize(
    ("pattern", "lost"),
    [
        (loses_a_product, "the multiply-accumulates from 64 to 0"),
        (loses_a_parameter, "whether 'b' counts as a parameter"),
        (no_longer_runs, "whether 'b' counts as a parameter"),
        (hides_an_unknown, "the operators without a counting rule from 0 to 1"),
    ],
)
def test_a_pattern_that_loses_something_is_named_with_its_node(
    pattern: Callable[[Node, Draft], Match | None], lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canonical, "DECOMPOSED", {**canonical.DECOMPOSED, "Add": (pattern,)})
    with pytest.raises(
        InternalInconsistencyError, match=f"{pattern.__name__} at the node 'sum' changed {lost}.*report"
    ):
        canonicalise(graph())


def test_a_removed_node_that_something_needs_is_named() -> None:
    whole = graph()
    with pytest.raises(InternalInconsistencyError, match="the test removed the node 'product', whose value 'p'"):
        require_results(whole, replace(whole, nodes=whole.nodes[1:]), "the test")
    with pytest.raises(InternalInconsistencyError, match="'relu', whose value 'y'"):
        require_results(whole, replace(whole, nodes=whole.nodes[:2]), "the test")


def test_an_internal_error_is_no_transient_one() -> None:
    error = InternalInconsistencyError("x")
    assert (error.reason, error.transient) == ("InternalError", False)
