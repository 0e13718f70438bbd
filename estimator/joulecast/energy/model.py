"""The values that pass between a model's rows and a forecast."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Literal

from joulecast.layers import Coverage
from joulecast.units import Joules, Seconds, Watts

Origin = Literal["measured", "public", "transferred", "datasheet"]
"""measured: our rows of this accelerator. public: others' energy rows of this accelerator. transferred: no energy row
of this
accelerator. datasheet: only its published limits. Weaker ones stand later."""

ORIGINS: tuple[Origin, ...] = ("measured", "public", "transferred", "datasheet")

ARITHMETIC = ("fp32", "tf32", "fp16", "bf16")
"""The arithmetics that the law prices; a row in any other one (integers, float64) is priced for its bytes alone and
marked."""

FAMILIES = (
    "matmul", "attention", "convolution", "depthwise", "recurrent", "normalisation", "softmax", "broadcast", "other",
    "batched",
)  # fmt: skip
"""Kinds of kernels that reach different shares of the same peaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEnergy:
    """Predicted cost of one row while the device is busy.

    - ``joules``: static + compute + memory.
    - ``priced``: False where no calibrated model prices the row.
    """

    name: str
    op_type: str
    scope: str
    seconds: Seconds
    static_joules: Joules
    compute_joules: Joules
    memory_joules: Joules
    origin: Origin
    priced: bool = True

    @property
    def joules(self) -> Joules:
        return Joules(self.static_joules + self.compute_joules + self.memory_joules)

    @classmethod
    def of_columns(cls, **columns: Sequence[object]) -> tuple[LayerEnergy, ...]:
        """Return one object for each position of the ``columns``, one a field and all of the same length.

        A fifth of the time that as many calls of a frozen class take, which is most of what a forecast takes.
        """
        if set(columns) != set(cls.__slots__):
            raise TypeError(f"the columns of {cls.__name__} are {', '.join(cls.__slots__)}")
        (size,) = {len(column) for column in columns.values()}
        made = tuple(map(object.__new__, repeat(cls, size)))
        for name, column in columns.items():
            deque(map(vars(cls)[name].__set__, made, column), maxlen=0)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyEstimate:
    """A forecast for one batch.

    - ``joules_per_batch``: the rows' joules + ``gap_joules``.
    - ``gap_joules``: energy while no kernel runs.
    - ``parallel``: cards that share the model; joules and watts are those of all of them, seconds those of each.
    - ``interval_level``: probability with which the interval holds the true value.
    - ``interval_guaranteed``: False where the interval rests on too few groups.
    - ``reasons``: why the interval is wider than the profile's own, one clause each.
    """

    accelerator: str
    runtime: str
    precision: str
    batch_size: int
    joules_per_batch: Joules
    joules_per_batch_lower: Joules
    joules_per_batch_upper: Joules
    latency_seconds: Seconds
    average_power_watts: Watts
    gap_joules: Joules
    coverage: Coverage
    origin: Origin
    interval_level: float = 0.9
    interval_guaranteed: bool = False
    reasons: tuple[str, ...] = ()
    layers: tuple[LayerEnergy, ...] = ()
    parallel: int = 1
