"""What the shipped law says of a card's rows by kind of kernel, and the clock that the power limit leaves them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from joulecast.energy.algorithms import KINDS, forms_of, kind_of
from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import ARITHMETIC, Array, Features, Flags, Index, features
from joulecast.energy.generic import chip_of_sheet, generic, law_of
from joulecast.energy.physical import LOWEST_CLOCK, Chip, at_boost, busy, held_watts, voltage_squared
from joulecast.energy.profile import Law
from joulecast.layers import LayerProfile
from joulecast_calibration.fit.latencies import LatencyTable
from joulecast_calibration.fit.table import EAGER

HOW = ("", " fp32", " last", " wide")
COLUMNS = tuple(f"{kind}{how}" for kind in KINDS for how in HOW)
"""A kind of kernel with arithmetic on tensor cores or none; in fp32 outside them; on images channels last; and without
MACs on elements of 32 bits, whose loads are twice as wide."""

_LAID_OUT = frozenset("pointwise square strided large stem grouped depthwise pool".split()) | {
    "narrow groups",
    "batch norm",
    "resize",
}
_HALVINGS = 20
"""Of the range of clocks: the clock is then known to 1e-6 of boost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What the shipped law says of a card's rows.

    - ``seconds``: (size,) of the whole pass, by the shipped law; ``launching``: (size,) of the host's part.
    - ``by_kind``: (size, columns) of the device's at the boost clock; ``computing``: the part of those that a lower
      clock stretches.
    - ``switched_joules``, ``byte_joules``: (size,) what operations take at boost, and bytes at any clock.
    """

    seconds: Array
    launching: Array
    by_kind: Array
    computing: Array
    switched_joules: Array
    byte_joules: Array
    law: Law
    chip: Chip

    def device_seconds(self, factors: Array, asked: Flags | slice = slice(None)) -> Array:
        """Return the device's seconds of the rows ``asked``, where kernels take ``factors`` (columns,) of the law's.

        Kernels that end sooner than the law says spend the same joules in less time, so that the power limit lowers
        the clock further.
        """
        clock = self.clocks(factors, asked)
        seconds: Array = self.by_kind[asked] @ factors + (1 / clock - 1) * (self.computing[asked] @ factors)
        return seconds

    def clocks(self, factors: Array, asked: Flags | slice = slice(None)) -> Array:
        """Return the highest clocks over boost at which the rows ``asked`` draw what the card holds under its limit."""
        computing = self.computing[asked] @ factors
        memory = self.by_kind[asked] @ factors - computing
        launching, switched, moved = self.launching[asked], self.switched_joules[asked], self.byte_joules[asked]
        law, held = self.law, held_watts(self.law, self.chip)

        def holds(clock: Array) -> Flags:
            squared = voltage_squared(law, clock)
            active = computing / clock + memory
            lasts = np.maximum(active, launching)
            clocked = law.clock_watts * clock * squared * lasts
            resting = law.static_watts * active + law.gap_watts * (lasts - active)
            within: Flags = clocked + resting + switched * squared + moved <= held * lasts
            return within

        top = np.ones(computing.size)
        low, high = LOWEST_CLOCK * top, top
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            fits = holds(middle)
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        return np.where(holds(top), top, low)


def priced(sheet: DataSheet, timed: LatencyTable, *, winograd: bool) -> Priced:
    """Price the rows of the card ``sheet`` by the shipped law, convolutions the fastest way if ``winograd``."""
    table, chip = timed.table, chip_of_sheet(sheet)
    law, host = law_of(generic().law, sheet), generic().hosts[EAGER]
    layers = table.layers.tolist()
    shortest = None if not winograd else fastest(table.features, layers, law, sheet)
    boost = at_boost(table.features, law, chip, shortest)
    capped = table.compose(law, host, chip, np.ones(table.size), shortest)
    unlimited = replace(chip, power_limit_watts=math.inf)
    spent = table.compose(law, host, unlimited, np.ones(table.size), shortest).busy.seconds
    beside = np.maximum(boost.memory_seconds, boost.issue_seconds)
    share = boost.compute_seconds / np.maximum(boost.compute_seconds + beside, np.finfo(float).tiny)
    columns = _laid_out(_columns(layers, table.features)[table.which], timed)

    def by_kind(seconds: Array) -> Array:
        found = np.zeros((table.size, len(COLUMNS)))
        np.add.at(found, (table.networks.index, columns), seconds * table.networks.count)
        return found

    return Priced(
        seconds=capped.seconds,
        launching=table.launch_seconds(host),
        by_kind=by_kind(spent),
        computing=by_kind(spent * share[table.which]),
        switched_joules=table.networks.sum(boost.switched_joules[table.which]),
        byte_joules=table.networks.sum(boost.memory_joules[table.which]),
        law=law,
        chip=chip,
    )


def _laid_out(columns: Index, timed: LatencyTable) -> Index:
    """Return the ``columns`` of rows of networks whose images lie channels last, where that matters."""
    last = np.array([row.channels_last for row in timed.rows], dtype=bool)[timed.table.networks.index]
    matters = np.array([kind in _LAID_OUT for kind in KINDS])[columns // len(HOW)]
    return np.where(last & matters, columns - columns % len(HOW) + HOW.index(" last"), columns)


def _columns(layers: Sequence[LayerProfile], rows: Features) -> Index:
    fp32 = rows.arithmetic == ARITHMETIC.index("fp32")
    wide = np.array([not layer.macs and layer.dtype == "float32" for layer in layers], dtype=bool)
    how = HOW.index(" fp32") * fp32 + HOW.index(" wide") * wide
    kinds = np.array([KINDS.index(kind_of(layer)) for layer in layers], dtype=np.intp)
    return np.asarray(len(HOW) * kinds + how, dtype=np.intp)


def fastest(rows: Features, layers: Sequence[LayerProfile], law: Law, sheet: DataSheet) -> Array:
    """Return the compute seconds (n,) with which each row takes as long as by its fastest algorithm.

    A convolution in float32 that tensor cores run in tf32 is a direct product.
    """
    chip, clock = chip_of_sheet(sheet), np.ones(rows.bytes.size)
    computing = at_boost(rows, law, chip).compute_seconds.copy()
    outside = np.flatnonzero(rows.arithmetic == ARITHMETIC.index("fp32")).tolist()
    forms = [(place, form) for place in outside for form in forms_of(layers[place])[1:]]
    if not forms:
        return computing
    table = features([form for _, form in forms], precision="fp32", runtime=EAGER, lacks=sheet.lacks)
    spent = busy(table, law, chip, np.ones(len(forms))).seconds
    direct = busy(rows, law, chip, clock).seconds
    for (place, _), seconds in zip(forms, spent.tolist(), strict=True):
        if seconds < direct[place]:
            computing[place] = min(computing[place], seconds)
    return computing
