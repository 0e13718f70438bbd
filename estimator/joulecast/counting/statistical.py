"""ai.onnx.ml's linear models and support vectors: products of rows of features with stored coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.counting.contraction import shape_of
from joulecast.counting.registry import Cost, rule
from joulecast.layers import Contraction

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Node

ML = "ai.onnx.ml"


def _rows(node: Node, graph: ModelGraph) -> tuple[int, int]:
    """Return rows and features of the input; a vector is one row."""
    shape = shape_of(node, graph, 0)
    return (1, shape[0] if shape else 1) if len(shape) < 2 else (shape[0], shape[1])


@rule("counted", "LinearRegressor", "LinearClassifier", domain=ML)
def _linear(node: Node, graph: ModelGraph) -> Cost:
    """Count one column for each target or class that the model scores.

    There are as many as intercepts, whatever surplus coefficients there are; without intercepts, as many as the
    coefficients allow.
    """
    rows, features = _rows(node, graph)
    intercepts = len(node.attributes.get("intercepts", ()))
    columns = intercepts or len(node.attributes.get("coefficients", ())) // max(features, 1)
    return Cost(
        kind="counted",
        contractions=(Contraction(batch=1, m=rows, n=columns, k=features),),
        attribute_params=columns * features + intercepts,
    )


@rule("counted", "SVMRegressor", "SVMClassifier", domain=ML)
def _support_vectors(node: Node, graph: ModelGraph) -> Cost:
    """Count the kernel of each row with each support vector, then the weighted sums.

    Without support vectors, each row meets each linear coefficient vector.

    A classifier of ``c`` classes has ``c - 1`` coefficients a support vector, a regressor one.
    """
    rows, features = _rows(node, graph)
    width = max(features, 1)
    vectors = len(node.attributes.get("support_vectors", ())) // width
    coefficients = len(node.attributes.get("coefficients", ()))
    stored = vectors * width + coefficients + len(node.attributes.get("rho", ()))
    if not vectors:
        product = Contraction(batch=1, m=rows, n=coefficients // width, k=features)
        return Cost(kind="counted", contractions=(product,), attribute_params=stored)
    kernel = Contraction(batch=1, m=rows, n=vectors, k=features)
    sums = Contraction(batch=1, m=rows, n=coefficients // vectors, k=vectors)
    return Cost(kind="counted", contractions=(kernel, sums), attribute_params=stored)
