"""The entry of the energy half: from a model's rows and an accelerator's profile to a forecast with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from joulecast.energy.caps import clocks_were_measured, limited, not_held
from joulecast.energy.features import ARITHMETIC, Features, executed, features, module_calls, views
from joulecast.energy.interval import CARRIES, MINIMUM_GROUPS, Widening, half_width, unmeasured_clock, widenings
from joulecast.energy.model import ORIGINS, EnergyEstimate, LayerEnergy, Origin
from joulecast.energy.physical import (
    Chip,
    Composed,
    Networks,
    at_boost,
    chip_of,
    clock_share,
    compose_at_boost,
    host_seconds,
    layer_energies,
    over_the_limit,
)
from joulecast.energy.profile import AcceleratorProfile, Host, refuse_simulated
from joulecast.errors import NotCalibratedError
from joulecast.layers import Coverage, LayerProfile, ModelProfile
from joulecast.units import Joules, Seconds, Watts

__all__ = ["price"]

OTHER_HOST = 1.8
"""Launch times of another host: nine in ten hosts are at most so much slower or faster than the mean of their
generation, for logarithms spread by 0.35 (ADR 0166)."""


def price(
    profile: ModelProfile,
    accelerator: AcceleratorProfile,
    *,
    precision: str = "default",
    runtime: str = "torch-eager",
    clock_mhz: float | None = None,
    power_limit_watts: float | None = None,
) -> EnergyEstimate:
    """Forecast joules, seconds and watts of one batch of ``profile`` on ``accelerator``.

    - ``precision``: ``default`` (as stored; convolutions of float32 graphs in tf32), ``fp32``, ``tf32``, ``bf16``,
      ``fp16``.
    - ``clock_mhz``: an SM clock lock. ``power_limit_watts``: a limit below the card's own.

    The interval is ``[E·exp(−w), E·exp(w)]``; ``reasons`` say why w is wider than the profile's own.

    Raises NotCalibratedError for a precision, runtime, clock or limit that the accelerator's profile cannot price, for
    a model of which nothing can be priced, and for a profile of a simulated device.
    """
    refuse_simulated(accelerator)
    accelerator = limited(accelerator, power_limit_watts)
    host = _host(accelerator, runtime)
    rows = executed(profile.layers, runtime)
    table = features(rows, precision=precision, runtime=runtime, lacks=accelerator.lacks)
    coverage = _priced(profile, _coverage(profile.coverage, table))
    _require_peaks(accelerator, table, precision)
    clock = clock_share(accelerator, clock_mhz)
    forecast, disturbed = _forecasts(profile.layers, table, accelerator, host, clock)
    layers = layer_energies(rows, table, forecast.busy, accelerator)
    joules, seconds = float(forecast.joules[0]), float(forecast.seconds[0])
    over = bool(over_the_limit(forecast, accelerator.law, chip_of(accelerator))[0])
    if over and power_limit_watts is not None:
        raise not_held(accelerator, power_limit_watts)
    cap = clock_mhz is not None or power_limit_watts is not None
    wider = (
        *widenings(accelerator, runtime, table, rows, layers, joules, disturbed, over_the_limit=over),
        *([unmeasured_clock(accelerator)] if cap and not clocks_were_measured(accelerator) else []),
    )
    width = half_width(accelerator.interval, wider)
    return EnergyEstimate(
        accelerator=accelerator.product,
        runtime=runtime,
        precision=precision,
        batch_size=profile.workload.batch_size,
        joules_per_batch=Joules(joules),
        joules_per_batch_lower=Joules(joules * math.exp(-width)),
        joules_per_batch_upper=Joules(joules * math.exp(width)),
        latency_seconds=Seconds(seconds),
        average_power_watts=Watts(joules / seconds if seconds else 0.0),
        gap_joules=Joules(float(forecast.gap_joules[0])),
        coverage=coverage,
        origin=_weakest(layers, joules, accelerator.origin),
        interval_level=accelerator.interval.level,
        interval_guaranteed=accelerator.interval.guaranteed and not wider,
        reasons=_reasons(accelerator, wider, layers),
        layers=layers,
    )


def _host(accelerator: AcceleratorProfile, runtime: str) -> Host:
    if runtime not in accelerator.hosts:
        raise NotCalibratedError(
            f"{accelerator.product} is not calibrated for runtime {runtime!r}:"
            f" choose one of {', '.join(accelerator.runtimes)}"
        )
    return accelerator.hosts[runtime]


def _require_peaks(accelerator: AcceleratorProfile, table: Features, precision: str) -> None:
    needed = {ARITHMETIC[position] for position in table.arithmetic.tolist() if position >= 0}
    missing = [name for name in ARITHMETIC if name in needed and name not in accelerator.peak_flops]
    if not missing:
        return
    why = "its hardware has none" if missing[0] in accelerator.lacks else "no trusted source states it"
    raise NotCalibratedError(
        f"{accelerator.product} has no {missing[0]} peak rate ({why}), which precision {precision!r} needs here:"
        f" choose one of {', '.join(accelerator.precisions)}"
    )


def _forecasts(
    layers: Sequence[LayerProfile], table: Features, accelerator: AcceleratorProfile, host: Host, clock: float
) -> tuple[Composed, float]:
    """Return the forecast, and the joules of the same network on a host that launches at another pace."""
    chip: Chip = chip_of(accelerator)
    count = table.bytes.size
    networks = Networks(index=np.zeros(count, dtype=np.intp), count=np.ones(count), size=1)
    start = np.array([clock])
    waits = host_seconds(table, host, networks, views=views(layers), modules=module_calls(layers))
    boost = at_boost(table, accelerator.law, chip)
    forecast = compose_at_boost(boost, accelerator.law, chip, networks, start, waits)
    if waits[0] * OTHER_HOST < float(forecast.seconds[0]):
        return forecast, float(forecast.joules[0])
    slower = compose_at_boost(boost, accelerator.law, chip, networks, start, waits * OTHER_HOST)
    return forecast, float(slower.joules[0])


def _coverage(profiled: Coverage, table: Features) -> Coverage:
    """Return the profile's coverage, less the rows with MACs that the law could not price."""
    flops, ops = float(table.flops.sum()), table.priced.size
    if table.priced.all() or not flops:
        return profiled
    priced = float(table.flops[table.priced].sum()) / flops
    return replace(profiled, flops=profiled.flops * priced, ops=profiled.ops * int(table.priced.sum()) / ops)


def _priced(profile: ModelProfile, coverage: Coverage) -> Coverage:
    """Return ``coverage`` if it is above zero. Raises NotCalibratedError (NothingPriced)."""
    if coverage.flops > 0 or coverage.ops > 0:
        return coverage
    lacking = ", ".join(profile.coverage.unsupported) or "what it runs"
    raise NotCalibratedError(
        f"nothing of {profile.source} can be priced, so there is no forecast: {lacking} has no counting rule or no"
        " price; export the model with standard operators",
        reason="NothingPriced",
    )


def _weakest(layers: Sequence[LayerEnergy], joules: float, strongest: Origin) -> Origin:
    shares: dict[Origin, float] = {}
    for layer in layers:
        shares[layer.origin] = shares.get(layer.origin, 0.0) + layer.joules
    found = [origin for origin, carried in shares.items() if carried > CARRIES * joules]
    return max([strongest, *found], key=ORIGINS.index)


def _reasons(
    accelerator: AcceleratorProfile, wider: Sequence[Widening], layers: Sequence[LayerEnergy]
) -> tuple[str, ...]:
    unpriced = sorted({layer.op_type for layer in layers if not layer.priced})
    told = [widening.reason for widening in wider]
    if unpriced:
        told.append(f"the arithmetic of {', '.join(unpriced)} is priced for its bytes alone")
    if not accelerator.interval.guaranteed:
        told.append(f"not guaranteed: {accelerator.interval.groups} calibration groups, fewer than {MINIMUM_GROUPS}")
    return tuple(told)
