"""What each MAC-bearing node test must count, from its arrays alone and in other ways than the code under test.

A product of arrays of ones sums to its number of multiply-accumulates, so numpy itself does the counting wherever it
has the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import helper

Arrays = Sequence[Any]
Formula = Callable[[Mapping[str, Any], Arrays, Arrays], int]


def ones(array: Any) -> Any:
    return np.ones(np.shape(array), dtype=np.int64)


def _matmul(left: int, right: int) -> Formula:
    return lambda attributes, given, out: int(np.sum(np.matmul(ones(given[left]), ones(given[right]))))


def _gemm(attributes: Mapping[str, Any], given: Arrays, out: Arrays) -> int:
    a = ones(given[0]).T if attributes.get("transA") else ones(given[0])
    b = ones(given[1]).T if attributes.get("transB") else ones(given[1])
    return int((a @ b).sum())


def _einsum(attributes: Mapping[str, Any], given: Arrays, out: Arrays) -> int:
    if len(given) == 1:
        return 0
    return int(np.sum(np.einsum(attributes["equation"].decode(), *(ones(a) for a in given))))


def _conv(weight: int) -> Formula:
    """Every output element takes one pass over the kernel of its output channel."""
    return lambda attributes, given, out: out[0].size * given[weight][0].size


def _conv_transpose(attributes: Mapping[str, Any], given: Arrays, out: Arrays) -> int:
    """Every input element is spread over the kernel slice of its input channel."""
    return int(given[0].size * given[1][0].size)


def _recurrent(attributes: Mapping[str, Any], given: Arrays, out: Arrays) -> int:
    """Every element of W and of R is used once a step and batch element."""
    steps_and_batch = given[0].shape[0] * given[0].shape[1]
    return int(steps_and_batch * (given[1].size + given[2].size))


def _attention(attributes: Mapping[str, Any], given: Arrays, out: Arrays) -> int:
    query, key, value = (np.asarray(a) for a in given[:3])
    if query.ndim == 3:
        query = _split(query, attributes["q_num_heads"])
        key, value = _split(key, attributes["kv_num_heads"]), _split(value, attributes["kv_num_heads"])
    if len(given) > 5 and given[4] is not None:
        key, value = np.concatenate([given[4], key], axis=2), np.concatenate([given[5], value], axis=2)
    group = query.shape[1] // key.shape[1]
    key, value = ones(key).repeat(group, 1), ones(value).repeat(group, 1)
    scores = ones(query) @ key.swapaxes(-1, -2)
    return int(scores.sum() + (ones(scores) @ value).sum())


def _split(array: Any, heads: int) -> Any:
    batch, tokens, width = array.shape
    return array.reshape(batch, tokens, heads, width // heads).swapaxes(1, 2)


def _linear_attention(attributes: Mapping[str, Any], given: Arrays, out: Arrays) -> int:
    """Step by step: an outer product a key head, a reading a query head, and for the delta rules a reading a key
    head."""
    query, key, value = (
        _split(np.asarray(a), attributes[f"{w}_num_heads"]) for a, w in zip(given, ("q", "kv", "kv"), strict=False)
    )
    rule = attributes.get("update_rule", b"gated_delta").decode()
    macs = 0
    for step in range(query.shape[2]):
        k, v, q = ones(key[:, :, step]), ones(value[:, :, step]), ones(query[:, :, step])
        state = k[..., :, None] * v[..., None, :]
        macs += state.size
        macs += int(np.einsum("bhk,bhkv->bhv", q, ones(state).repeat(q.shape[1] // k.shape[1], 1)).sum())
        if rule in ("delta", "gated_delta"):
            macs += int(np.einsum("bhk,bhkv->bhv", k, ones(state)).sum())
    return macs


def _affine_grid(attributes: Mapping[str, Any], given: Arrays, out: Arrays) -> int:
    positions = int(np.prod(out[0].shape[1:-1]))
    grid = np.ones((given[0].shape[0], given[0].shape[2], positions), dtype=np.int64)
    return int((ones(given[0]) @ grid).sum())


def _linear_model(attributes: Mapping[str, Any], given: Arrays, out: Arrays) -> int:
    return int(given[0].shape[0] * len(attributes["coefficients"]))


FORMULAS: dict[str, Formula] = {
    "MatMul": _matmul(0, 1),
    "MatMulInteger": _matmul(0, 1),
    "QLinearMatMul": _matmul(0, 3),
    "Gemm": _gemm,
    "Einsum": _einsum,
    "Conv": _conv(1),
    "ConvInteger": _conv(1),
    "QLinearConv": _conv(3),
    "DeformConv": _conv(1),
    "CausalConvWithState": _conv(1),
    "ConvTranspose": _conv_transpose,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Attention": _attention,
    "FlexAttention": _attention,
    "LinearAttention": _linear_attention,
    "AffineGrid": _affine_grid,
    "LinearRegressor": _linear_model,
    "LinearClassifier": _linear_model,
}


def expected(node: Any, given: Mapping[str, Any], recorded: Arrays) -> int | None:
    """MACs of a single-node test, ``None`` for an operator that has no formula."""
    formula = FORMULAS.get(node.op_type)
    if formula is None:
        return None
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return formula(attributes, [given.get(name) for name in node.input], recorded)
