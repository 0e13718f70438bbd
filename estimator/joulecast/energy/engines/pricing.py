"""The forecast of engines' passes: seconds, watts and joules of one card while the kernels of a pass run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from joulecast.energy.datasheets import DataSheet, datasheets
from joulecast.energy.engines.coefficients import COMPUTED, KERNELS, Card, engine_named
from joulecast.energy.engines.law import Limits, costs, pace, static_watts
from joulecast.energy.engines.table import ALL_REDUCE, EXECUTED, KernelTable, Passes, passes_of
from joulecast.energy.features import Array
from joulecast.energy.model import LayerEnergy, Origin
from joulecast.energy.physical import clock_share, voltage_squared
from joulecast.energy.profile import AcceleratorProfile, Law, refuse_simulated
from joulecast.errors import NotCalibratedError
from joulecast.layers import Coverage, LayerProfile
from joulecast.units import Joules, Seconds, Watts

_TYPICAL_CLOCK_MHZ = 1500.0  # as in energy.physical, where no source states one


@dataclass(frozen=True, slots=True, kw_only=True)
class PassForecast:
    """One pass on one card, and the wait after it.

    - ``busy_seconds``: of its kernels.
    - ``joules``: of one card while they run; ``power_watts``: their mean power. The power limit is kept in the mean
      over kernels and wait, since a card's control averages over many passes.
    - ``waiting_seconds``, ``waiting_joules``: from its last kernel to the first one of the next pass.
    - ``capped``: whether the power limit lowers the power.
    - ``coverage``: share of FLOPs and ops that the law prices.
    - ``layers``: one entry an executed row, in order; none where they were not asked for.
    """

    busy_seconds: Seconds
    joules: Joules
    power_watts: Watts
    capped: bool
    coverage: Coverage
    waiting_seconds: Seconds
    waiting_joules: Joules
    layers: tuple[LayerEnergy, ...] = ()

    @property
    def step_seconds(self) -> Seconds:
        """Return the time from the start of this pass to that of the next one."""
        return Seconds(self.busy_seconds + self.waiting_seconds)

    @property
    def step_joules(self) -> Joules:
        """Return the energy of one card in that time."""
        return Joules(self.joules + self.waiting_joules)


def price_pass(
    rows: Sequence[LayerProfile],
    accelerator: AcceleratorProfile,
    *,
    engine: str = "vllm",
    cards: int = 1,
    clock_mhz: float | None = None,
    waiting_seconds: float = 0.0,
) -> PassForecast:
    """Forecast one pass from the rows of one of ``cards`` cards that share the model, with an entry for each row.

    Raises NotCalibratedError as ``price_passes`` does.
    """
    (found,) = price_passes(
        [rows],
        accelerator,
        engine=engine,
        cards=cards,
        clock_mhz=clock_mhz,
        waiting_seconds=[waiting_seconds],
        with_layers=1,
    )
    return found


def price_passes(
    passes: Sequence[Sequence[LayerProfile]],
    accelerator: AcceleratorProfile,
    *,
    engine: str = "vllm",
    cards: int = 1,
    clock_mhz: float | None = None,
    times: Sequence[Sequence[int]] | None = None,
    waiting_seconds: Sequence[float] | None = None,
    with_layers: int = 0,
) -> tuple[PassForecast, ...]:
    """Forecast many passes at once: equal kernels are priced once.

    - ``waiting_seconds``: after each pass, in which cards draw ``gap_watts``; none where it is left out.
    - ``times``: for each pass, how often it runs each of its rows; once where it is left out.
    - ``with_layers``: how many of the last passes have an entry for each row, which is that of one where it runs more
      often.

    Raises NotCalibratedError for an unknown engine, for a clock that the accelerator does not have, for an arithmetic
    that its hardware lacks or of which no source states a peak, and for a profile of a simulated device.
    """
    return price_counted(
        passes_of(passes, engine, times),
        passes,
        accelerator,
        engine=engine,
        cards=cards,
        clock_mhz=clock_mhz,
        waiting_seconds=waiting_seconds,
        with_layers=with_layers,
    )


def price_counted(
    counted: Passes,
    passes: Sequence[Sequence[LayerProfile]],
    accelerator: AcceleratorProfile,
    *,
    engine: str = "vllm",
    cards: int = 1,
    clock_mhz: float | None = None,
    waiting_seconds: Sequence[float] | None = None,
    with_layers: int = 0,
) -> tuple[PassForecast, ...]:
    """Forecast ``passes`` as ``price_passes`` does, where their kernels are ``counted`` already: for another card."""
    waits = np.zeros(counted.size) if waiting_seconds is None else np.array(waiting_seconds, dtype=float)
    priced = _Priced(counted, accelerator, engine=engine, cards=cards, clock_mhz=clock_mhz, waits=waits)
    first = len(passes) - with_layers
    return tuple(
        priced.forecast(number, priced.layers(number, rows) if number >= first else ())
        for number, rows in enumerate(passes)
    )


def law_of(accelerator: AcceleratorProfile, card: Card) -> Law:
    """Return the law of a card; where a data sheet alone tells it, with the energies that its die was measured at.

    What an operation and a byte cost belongs to die and memory, not to a board's power limit, which the energies of a
    data sheet are shares of. What a card draws at rest stays that of the board.
    """
    law, die, typical = accelerator.law, card.die, accelerator.law.flop_joules.get("bf16")
    if die is None or die.name not in accelerator.architecture.split():
        return law
    if accelerator.origin != "datasheet" or not typical:
        return law
    clock = min((accelerator.boost_clock_mhz or die.boost_clock_mhz) / die.boost_clock_mhz, 1.0)
    share = die.flop_joules * float(voltage_squared(law, np.array(clock))) / typical
    flops = {name: share * joules for name, joules in law.flop_joules.items()}
    return replace(law, flop_joules=flops, byte_joules=die.byte_joules)


def step_seconds(engine: str, sequences: int) -> Seconds:
    """Return what an engine spends between the kernels of two passes on scheduling and sampling ``sequences``.

    The card draws ``gap_watts`` of its profile meanwhile.
    """
    step = engine_named(engine).step
    return Seconds(step.seconds + step.sequence_seconds * sequences)


def gap_watts(accelerator: AcceleratorProfile, clock_mhz: float | None = None) -> Watts:
    """Return the power of a card with a context alive, clocks up and no kernel."""
    law, clock = accelerator.law, clock_share(accelerator, clock_mhz)
    return Watts(law.gap_watts + law.clock_watts * clock * float(voltage_squared(law, np.array(clock))))


def limits_of(accelerator: AcceleratorProfile) -> Limits:
    """Return the limits of a card: those of its profile, and peaks of narrow arithmetics from its data sheet."""
    sheet = _sheet(accelerator.product)
    narrow = {name: fact.value for name, fact in sheet.quantised_peaks.items()} if sheet else {}
    known = {**narrow, **accelerator.peak_flops}
    return Limits(
        peak_flops=np.array([known.get(name, 0.0) for name in COMPUTED]),
        bandwidth_bytes_per_second=accelerator.bandwidth_bytes_per_second,
        multiprocessors=accelerator.multiprocessors,
        clock_hertz=(accelerator.boost_clock_mhz or _TYPICAL_CLOCK_MHZ) * 1e6,
    )


def _sheet(product: str) -> DataSheet | None:
    return next((sheet for sheet in datasheets() if product in sheet.labels), None)


class _Priced:
    """Passes with the cost of each of their kernels on one accelerator."""

    def __init__(
        self,
        passes: Passes,
        accelerator: AcceleratorProfile,
        *,
        engine: str,
        cards: int,
        clock_mhz: float | None,
        waits: Array,
    ) -> None:
        refuse_simulated(accelerator)
        self.passes, self._accelerator = passes, accelerator
        self._card = engine_named(engine).card_of(accelerator.product, accelerator.architecture)
        limits, law = limits_of(accelerator), law_of(accelerator, self._card)
        _require_peaks(passes.table, accelerator, limits)
        clock = clock_share(accelerator, clock_mhz)
        computing = min(clock, _pace(accelerator, self._card))
        self._costs = costs(passes.table, self._card, limits, law, cards=cards, clock=computing)
        self._compute = float(voltage_squared(law, np.array(clock))) * self._costs.switched_joules
        self._static_watts = static_watts(law, clock)
        self._seconds = passes.sum(self._costs.seconds)
        self._dynamic = passes.sum(self._compute + self._costs.memory_joules)
        self._waits, self._gap_watts = waits, gap_watts(accelerator, clock_mhz)
        held = self._card.held_share * accelerator.power_limit_watts
        allowed = (held - self._static_watts) * self._seconds + (held - self._gap_watts) * waits
        self._kept = kept_shares(self._dynamic, np.maximum(allowed, 0.0))

    def forecast(self, number: int, layers: tuple[LayerEnergy, ...] = ()) -> PassForecast:
        """Return the forecast of pass ``number``."""
        seconds, kept = float(self._seconds[number]), float(self._kept[number])
        joules = self._static_watts * seconds + kept * float(self._dynamic[number])
        return PassForecast(
            busy_seconds=Seconds(seconds),
            joules=Joules(joules),
            power_watts=Watts(joules / seconds if seconds else 0.0),
            capped=kept < 1,
            coverage=_coverage(self.passes, number),
            waiting_seconds=Seconds(float(self._waits[number])),
            waiting_joules=Joules(self._gap_watts * float(self._waits[number])),
            layers=layers,
        )

    def layers(self, number: int, rows: Sequence[LayerProfile]) -> tuple[LayerEnergy, ...]:
        """Return an entry for each executed one of ``rows``, which are those of pass ``number``."""
        kept, executed = float(self._kept[number]), [row for row in rows if row.kind in EXECUTED]
        which = self.passes.which[self.passes.index == number]
        seconds = self._costs.seconds[which]
        return LayerEnergy.of_columns(
            name=[row.name for row in executed],
            op_type=[row.op_type for row in executed],
            scope=[row.scope for row in executed],
            seconds=seconds.tolist(),
            static_joules=(self._static_watts * seconds).tolist(),
            compute_joules=(kept * self._compute[which]).tolist(),
            memory_joules=(kept * self._costs.memory_joules[which]).tolist(),
            origin=[self._origins[position] for position in which.tolist()],
            priced=self.passes.table.priced[which].tolist(),
        )

    @cached_property
    def _origins(self) -> list[Origin]:
        return [_origin(self._accelerator, self._card, kernel) for kernel in self.passes.table.kernel.tolist()]


def _pace(accelerator: AcceleratorProfile, card: Card) -> float:
    """Return the share of the fitted rates that the power limit allows, 1 for a card whose tables were fitted."""
    peak = accelerator.peak_flops.get("bf16")
    if accelerator.product in card.tables or not peak:
        return 1.0
    return pace(accelerator.law, accelerator.power_limit_watts / peak, card.watts_per_flops)


def kept_shares(dynamic_joules: Array, allowed_joules: Array) -> Array:
    """Return the share of the dynamic energy of each pass, (size,), that the power limit leaves it, 1 at most."""
    over = dynamic_joules > allowed_joules
    return np.divide(allowed_joules, dynamic_joules, out=np.ones_like(dynamic_joules), where=over)


def _origin(accelerator: AcceleratorProfile, card: Card, kernel: int) -> Origin:
    if accelerator.product in card.tables and kernel != ALL_REDUCE and KERNELS[kernel] in card.metered:
        return "public"
    return "datasheet" if accelerator.origin == "datasheet" else "transferred"


def _coverage(passes: Passes, number: int) -> Coverage:
    """Return the share of a pass's FLOPs and rows that the law prices."""
    table = passes.table
    if table.priced.all():
        return Coverage(flops=1.0, ops=1.0)
    entries = passes.index == number
    own, times = passes.which[entries], passes.times[entries]
    flops, priced = table.flops[own] * times, table.priced[own]
    told = {table.rows[position].op_type for position in own[~priced].tolist()}
    return Coverage(
        flops=float(flops[priced].sum() / flops.sum()) if flops.sum() else 1.0,
        ops=float(np.average(priced, weights=times)) if priced.size else 1.0,
        unsupported=tuple(sorted(told)),
    )


def _require_peaks(table: KernelTable, accelerator: AcceleratorProfile, limits: Limits) -> None:
    needed = {COMPUTED[position] for position in table.arithmetic.tolist() if position >= 0}
    missing = [name for name, peak in zip(COMPUTED, limits.peak_flops.tolist(), strict=True) if not peak]
    lacking = sorted(needed & set(missing))
    if lacking:
        known = ", ".join(name for name in COMPUTED if name not in missing)
        raise NotCalibratedError(
            f"the model multiplies in {lacking[0]}, of which no source states a peak rate on {accelerator.product}:"
            f" take a model whose products run in one of {known}, or another accelerator"
        )
