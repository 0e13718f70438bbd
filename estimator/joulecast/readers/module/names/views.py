"""Other views of the same memory: no kernel runs."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import NamingRule, Reading, entry, over_tensors


def _axes(reading: Reading, perm: tuple[int, ...]) -> None:
    reading.node("Transpose", (reading.name("self"),), perm=perm)


def _permute(reading: Reading) -> None:
    rank = len(reading.given("self").shape)
    _axes(reading, tuple(axis % rank for axis in reading.value("dims")))


def _transpose(reading: Reading) -> None:
    rank = len(reading.given("self").shape)
    perm = list(range(rank))
    if rank > 0:
        first, second = reading.value("dim0") % rank, reading.value("dim1") % rank
        perm[first], perm[second] = perm[second], perm[first]
    _axes(reading, tuple(perm))


def _reversed(reading: Reading) -> None:
    _axes(reading, tuple(reversed(range(len(reading.given("self").shape)))))


def _split(reading: Reading) -> None:
    reading.node("Split", (reading.name("self"),), axis=reading.value("dim", 0))


TABLE: Mapping[str, NamingRule] = {
    **{
        f"aten.{name}": over_tensors("Reshape")
        for name in (
            "view _unsafe_view reshape _reshape_alias view_as_real view_as_complex view_as flatten unflatten real imag"
            " _neg_view _conj resolve_conj resolve_neg"
        ).split()
    },
    "aten.squeeze": over_tensors("Squeeze"),
    "aten.unsqueeze": over_tensors("Unsqueeze"),
    "aten.expand": over_tensors("Expand"),
    "aten.broadcast_to": over_tensors("Expand"),
    **{
        f"aten.{name}": over_tensors("Slice")
        for name in "slice select narrow diagonal as_strided unfold _unsafe_slice".split()
    },
    **{
        f"aten.{name}": over_tensors("Identity", copies=0) for name in "alias detach lift_fresh lift _fw_primal".split()
    },
    "aten.permute": entry(_permute, "self dims"),
    "aten.transpose": entry(_transpose, "self dim0 dim1"),
    "aten.t": entry(_reversed, "self"),
    "aten.numpy_T": entry(_reversed, "self"),
    "aten.split": entry(_split, "self split_size dim"),
    "aten.unsafe_split": entry(_split, "self split_size dim"),
    "aten.split_with_sizes": entry(_split, "self split_sizes dim"),
    "aten.unsafe_split_with_sizes": entry(_split, "self split_sizes dim"),
    "aten.chunk": entry(_split, "self chunks dim"),
    "aten.unsafe_chunk": entry(_split, "self chunks dim"),
    "aten.tensor_split": entry(_split, "self sections dim"),
    "aten.unbind": entry(_split, "self dim"),
}
