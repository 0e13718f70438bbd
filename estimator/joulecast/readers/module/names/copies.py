"""Kernels that only move or convert elements."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import NamingRule, Reading, entry, over_tensors


def _copied(reading: Reading, source: str) -> None:
    """Add a copy to other memory or to another type."""
    given, output = reading.given(source), reading.output
    if given.dtype != output.dtype:
        reading.node("Cast", (given.name,), to=output.dtype)
    elif output.role == "activation":
        reading.node("Identity", (given.name,))
    else:  # of stored values a file shows no copies
        reading.node("Identity", (given.name,), copies=1)


def _clone(reading: Reading) -> None:
    _copied(reading, "self")


def _copy(reading: Reading) -> None:
    """Add a copy of ``src`` over all of ``self``, whose content is not read."""
    _copied(reading, "src")


def _roll(reading: Reading) -> None:
    """Add one kernel for each dimension, because torch rolls them one after the other."""
    dims = reading.value("dims") or (0,)
    name = reading.name("self")
    for dim in dims[:-1]:
        rolled = reading.tensor(f"rolled{dim}", reading.output.shape, reading.output.dtype)
        reading.node("Concat", (name,), (rolled,), axis=dim)
        name = rolled
    reading.node("Concat", (name,), axis=dims[-1])


TABLE: Mapping[str, NamingRule] = {
    "aten.clone": entry(_clone, "self"),
    "aten.contiguous": entry(_clone, "self"),
    "aten._to_copy": entry(_clone, "self"),
    "aten.copy": entry(_copy, "self src"),
    "aten.cat": over_tensors("Concat"),
    "aten.concat": over_tensors("Concat"),
    "aten.stack": over_tensors("Concat"),
    "aten.roll": entry(_roll, "self shifts dims"),
    "aten.flip": over_tensors("Identity"),
    "aten.repeat": over_tensors("Tile"),
    "aten.tile": over_tensors("Tile"),
    "aten.repeat_interleave": over_tensors("Tile"),
    **{
        f"aten.{name}": over_tensors("Pad")
        for name in (
            "constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d"
            " replication_pad3d pad"
        ).split()
    },
    "aten.tril": over_tensors("Trilu"),
    "aten.triu": over_tensors("Trilu"),
    "aten.pixel_shuffle": over_tensors("DepthToSpace"),
    "aten.pixel_unshuffle": over_tensors("SpaceToDepth"),
    "aten.channel_shuffle": over_tensors("Identity"),
    "aten.native_channel_shuffle": over_tensors("Identity"),
    "aten.unfold_backward": over_tensors("Col2Im"),
    "aten.im2col": over_tensors("Gather"),
    "aten.col2im": over_tensors("Col2Im"),
}
