"""Scaled dot-product attention."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import NamingRule, Reading, entry


def _attention(reading: Reading) -> None:
    """Add one attention kernel.

    Operands without heads are one head. Those of more than four axes keep them, which no fused kernel takes.
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
    if len(query.shape) >= 3:
        reading.node("Attention", (*names, *((mask,) if mask else ())), reading.outputs[:1], **attributes)
        return
    flat = reading.tensor("flat", _four(reading.output.shape), reading.output.dtype)
    reading.node("Attention", (*names, *((mask,) if mask else ())), (flat,), **attributes)
    reading.node("Reshape", (flat,), reading.outputs[:1])


def _in_four(reading: Reading, name: str) -> str:
    """Return the operand with four dimensions at least, through a view where it has less than three."""
    given = reading.given(name)
    if len(given.shape) >= 3:
        return given.name
    flat = reading.tensor(name, _four(given.shape), given.dtype)
    reading.node("Reshape", (given.name,), (flat,))
    return flat


def _four(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * (4 - len(shape)) + shape


TABLE: Mapping[str, NamingRule] = {
    "torch.nn.functional.scaled_dot_product_attention": entry(
        _attention, "query key value attn_mask dropout_p is_causal scale enable_gqa"
    ),
}
