"""Scaled dot-product attention."""

from __future__ import annotations

import math
from collections.abc import Mapping

from joulecast.readers.module.names.reading import NamingRule, Reading, entry


def _attention(reading: Reading) -> None:
    """Add one attention kernel.

    Operands without heads are one head; further leading dimensions are part of the batch.
    """
    query = reading.given("query")
    scale = reading.value("scale")
    attributes = {
        "scale": scale if scale is not None else query.shape[-1] ** -0.5,
        "is_causal": int(bool(reading.value("is_causal", False))),
    }
    if len(query.shape) == 3:
        attributes |= {"q_num_heads": 1, "kv_num_heads": 1}
    names = [_in_four(reading, name) for name in ("query", "key", "value")]
    mask = reading.name("attn_mask")
    if len(query.shape) in (3, 4):
        reading.node("Attention", (*names, *((mask,) if mask else ())), reading.outputs[:1], **attributes)
        return
    flat = reading.tensor("flat", _four(reading.output.shape), reading.output.dtype)
    reading.node("Attention", (*names, *((mask,) if mask else ())), (flat,), **attributes)
    reading.node("Reshape", (flat,), reading.outputs[:1])


def _in_four(reading: Reading, name: str) -> str:
    """Return the operand with four dimensions, through a view where it has neither three nor four."""
    given = reading.given(name)
    if len(given.shape) in (3, 4):
        return given.name
    flat = reading.tensor(name, _four(given.shape), given.dtype)
    reading.node("Reshape", (given.name,), (flat,))
    return flat


def _four(shape: tuple[int, ...]) -> tuple[int, ...]:
    shape = (1,) * (4 - len(shape)) + shape
    return (math.prod(shape[:-3]), *shape[-3:])


TABLE: Mapping[str, NamingRule] = {
    "torch.nn.functional.scaled_dot_product_attention": entry(
        _attention, "query key value attn_mask dropout_p is_causal scale enable_gqa"
    ),
}
