"""Rows of what a library launches from Python: kernels, allocations and views, and the calls that they lie in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from joulecast.graph import FLOATING_DTYPES, ITEMSIZE_BYTES
from joulecast.layers import Contraction, LayerProfile

RUNTIMES = ("torch-eager", "torch-cudagraph")

Elements = tuple[float, str]
"""How many, and of which dtype."""


@dataclass(slots=True, kw_only=True)
class Launched:
    """Collects rows under ``scope``. Each scope below it is one more call in Python, which ``module_calls`` counts."""

    scope: str
    domain: str
    rows: list[LayerProfile] = field(default_factory=list)

    def kernel(
        self,
        call: str,
        op_type: str,
        *,
        dtype: str,
        reads: Iterable[Elements] = (),
        weights: Iterable[Elements] = (),
        writes: Iterable[Elements] = (),
        contractions: tuple[Contraction, ...] = (),
        launches: int = 1,
    ) -> None:
        """Add ``launches`` kernels of the call, which together move these elements."""
        reads, weights, writes = tuple(reads), tuple(weights), tuple(writes)
        macs = sum(each.macs for each in contractions)
        moved = (*reads, *weights, *writes)
        self.rows.append(
            LayerProfile(
                name=self._named(call, op_type),
                op_type=op_type,
                kind="counted" if macs else "zero",
                domain=self.domain,
                scope=self._inside(call),
                dtype=dtype,
                macs=macs,
                activations=_count(writes) if macs else 0,
                input_numel=_count(reads),
                output_numel=_count(writes),
                weight_numel=_count(weights),
                float_numel=_count(each for each in moved if each[1] in FLOATING_DTYPES and each[1] == dtype),
                bytes_moved=math.ceil(sum(count * _bytes(of) for count, of in moved)),
                kernels=dict.fromkeys(RUNTIMES, launches),
                contractions=contractions,
            )
        )

    def unpacked(self, call: str, elements: int, dtype: str) -> None:
        """Add the elements that a kernel of the call unpacks in registers: instructions, and no launch of its own."""
        self.rows.append(
            LayerProfile(
                name=self._named(call, "Unpack"),
                op_type="Unpack",
                kind="zero",
                domain=self.domain,
                scope=self._inside(call),
                dtype=dtype,
                output_numel=elements,
                kernels=dict.fromkeys(RUNTIMES, 0),
            )
        )

    def views(self, call: str, count: int = 1) -> None:
        """Add ``count`` views or allocations, which launch nothing."""
        for _ in range(count):
            self.rows.append(
                LayerProfile(
                    name=self._named(call, "View"),
                    op_type="View",
                    kind="free",
                    domain=self.domain,
                    scope=self._inside(call),
                    views=1,
                    kernels=dict.fromkeys(RUNTIMES, 0),
                )
            )

    def _inside(self, call: str) -> str:
        return f"{self.scope}.{call}" if call else self.scope

    def _named(self, call: str, op_type: str) -> str:
        return f"{self._inside(call)}%{op_type}{len(self.rows)}"


def _count(elements: Iterable[Elements]) -> int:
    return math.ceil(sum(count for count, _ in elements))


def _bytes(dtype: str) -> float:
    return 1.0 if dtype == "byte" else float(ITEMSIZE_BYTES[dtype])
