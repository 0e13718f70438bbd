"""What every reader of kernels returns: measurements, each of one or a few rows, with seconds and maybe watts."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from joulecast.energy.features import Array, Flags, Index
from joulecast.layers import Contraction, LayerProfile

ENGINE = "vllm"
MORE = "aiconfigurator_ops_more"
OPERATORS = "aiconfigurator_ops"
_HELD = 5
"""One shape in so many is held out: the fit never sees it on any card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Measurements of one kind of kernel on one card.

    - ``passes``: the rows of each measurement; ``seconds``: (measurements,) of all of its rows.
    - ``watts``: (measurements,), nan where none were kept.
    """

    passes: tuple[tuple[LayerProfile, ...], ...]
    seconds: Array
    watts: Array | None = None

    @property
    def held(self) -> Flags:
        """Return which measurements are held out, by a hash of their shapes."""
        return np.array([_digest(rows) % _HELD == 0 for rows in self.passes], dtype=bool)

    def take(self, kept: Flags | Index) -> Timed:
        """Return the measurements that ``kept`` selects, by flags or positions."""
        positions = np.flatnonzero(kept) if kept.dtype == bool else kept
        return Timed(
            passes=tuple(self.passes[position] for position in positions.tolist()),
            seconds=self.seconds[positions],
            watts=None if self.watts is None else self.watts[positions],
        )

    def thinned(self, most: int) -> Timed:
        """Return at most ``most`` measurements, chosen by a hash of their shapes, so that any fit is the same again."""
        if len(self.passes) <= most:
            return self
        order = np.argsort([_digest(rows) // _HELD for rows in self.passes], kind="stable")
        return self.take(np.sort(order[:most]))


def timed(measured: Sequence[tuple[Sequence[LayerProfile], float]]) -> Timed | None:
    """Return the measurements, or None where there are none."""
    if not measured:
        return None
    return Timed(
        passes=tuple(tuple(rows) for rows, _ in measured), seconds=np.array([seconds for _, seconds in measured])
    )


def _digest(rows: Sequence[LayerProfile]) -> int:
    shapes = [(row.op_type, row.dtype, row.bytes_moved, row.macs) for row in rows]
    return zlib.crc32(repr(shapes).encode())


def entries(path: Path) -> Iterator[Mapping[str, str]]:
    """Yield the rows of a table by column; none where the file is missing."""
    if path.is_file():
        with gzip.open(path, "rt", newline="", encoding="utf-8") as text:
            yield from csv.DictReader(text)


def whole(entry: Mapping[str, str], *names: str) -> tuple[int, ...]:
    """Return columns as whole numbers."""
    return tuple(int(float(entry[name])) for name in names)


def column_of(card: str, entry: Mapping[str, str]) -> str:
    """Return the name of a card's column of milliseconds in a wide table, ``""`` where it has none."""
    return next((name for name in entry if name.startswith(card) and name.endswith("_ms")), "")


def row(
    op_type: str,
    *,
    reads: int,
    writes: int,
    weights: int = 0,
    stored_bytes: float = 0.0,
    contractions: tuple[Contraction, ...] = (),
    dtype: str = "bfloat16",
    launches: int = 1,
) -> LayerProfile:
    """Return a row as ``serving.kernels`` adds it, activations in 16 bits."""
    macs = sum(each.macs for each in contractions)
    return LayerProfile(
        name=op_type,
        op_type=op_type,
        kind="counted" if macs else "zero",
        dtype=dtype,
        macs=macs,
        input_numel=reads,
        output_numel=writes,
        weight_numel=weights,
        bytes_moved=round(2 * (reads + writes) + stored_bytes),
        kernels={ENGINE: launches},
        contractions=contractions,
    )
