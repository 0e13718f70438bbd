"""Simulate a chip: the time and power of executions at a clock and a temperature.

The law is that of ``energy.physical``: dynamic energy of arithmetic ∝ V², of memory constant, static power and the
power of the clock tree beside them. The shares of the power limit are those that the law's fit gave for an
A100-PCIE-40GB; thermal constants are chosen so that a card reaches its temperature in about a minute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from joulecast_calibration.meter.simulated.history import Pattern

STEP_MHZ = 15  # NVIDIA's clocks are multiples of 15 MHz (nvidia-smi -q -d SUPPORTED_CLOCKS)
TICK_SECONDS = 0.02  # between two decisions on the clock; short against the 100 ms of the sensors


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedChip:
    """Constants of a simulated chip.

    - ``static_watts``: at 25 °C, rising by ``leakage_per_celsius``.
    - ``clock_watts``: power of the clock tree at boost.
    - parked: at rest, with lowered clocks.
    - ``thermal_seconds``: time constant of its heat sink.
    """

    boost_mhz: float = 1410.0  # A100-PCIE-40GB (data sheet), as the three next
    memory_mhz: float = 1215.0
    power_limit_watts: float = 250.0
    memory_bytes: int = 40 * 2**30
    static_watts: float = 62.6  # of the law fitted to its measured networks, as the five next
    clock_watts: float = 32.9
    gap_watts: float = 30.5
    voltage_floor: float = 0.323
    voltage_exponent: float = 6.70
    lowest_mhz: float = 210.0  # idle clock of an A100 (nvidia-smi -q -d CLOCK)
    parked_watts: float = 35.0  # chosen: a card without a context draws 30 to 60 W
    parking_seconds: float = 5.0  # chosen: after that long without work the clocks fall
    leakage_per_celsius: float = 0.002  # chosen: 10 % more static power at 75 °C than at 25 °C
    ambient_celsius: float = 30.0  # chosen, as the four next
    celsius_per_watt: float = 0.16
    thermal_seconds: float = 30.0
    throttle_celsius: float = 83.0
    highest_celsius: float = 90.0

    @property
    def steps(self) -> int:
        """Return the number of the boost clock among the multiples of 15 MHz."""
        return round(self.boost_mhz / STEP_MHZ)

    @property
    def lowest_step(self) -> int:
        return max(1, round(self.lowest_mhz / STEP_MHZ))

    def voltage_squared(self, clock: float) -> float:
        """Return V² relative to boost at the clock share ``clock``."""
        return self.voltage_floor + (1 - self.voltage_floor) * math.pow(clock, self.voltage_exponent)

    def busy_watts(self, clock: float, celsius: float) -> float:
        """Return the power under load without the dynamic power of what runs."""
        return self.static_watts * self._leakage(celsius) + self._tree_watts(clock)

    def rest_watts(self, clock: float, celsius: float) -> float:
        """Return P_gap: the power with a context and raised clocks, but no kernel."""
        return self.gap_watts * self._leakage(celsius) + self._tree_watts(clock)

    def settled_celsius(self, watts: float) -> float:
        """Return the temperature that the chip reaches after a long time at ``watts``."""
        return self.ambient_celsius + self.celsius_per_watt * watts

    def limit_watts(self, celsius: float) -> float:
        """Return the power limit, lowered from ``throttle_celsius`` on to keep the chip below ``highest_celsius``."""
        hot = (celsius - self.throttle_celsius) / (self.highest_celsius - self.throttle_celsius)
        if hot <= 0:
            return self.power_limit_watts
        held = 0.95 * (self.highest_celsius - self.ambient_celsius) / self.celsius_per_watt
        low = min(held, self.power_limit_watts)
        return self.power_limit_watts + min(hot, 1.0) * (low - self.power_limit_watts)

    def _leakage(self, celsius: float) -> float:
        return 1 + self.leakage_per_celsius * (celsius - 25.0)

    def _tree_watts(self, clock: float) -> float:
        return self.clock_watts * clock * self.voltage_squared(clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of an execution at the boost clock.

    - ``compute_watts``, ``memory_watts``: dynamic power, beside static power.
    - ``clock_bound``: share of its time that a lower clock stretches.
    """

    seconds: float
    compute_watts: float
    memory_watts: float = 0.0
    clock_bound: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What one execution does.

    - ``host_seconds``: time that the host takes to launch it; where that is longer than the phases, the device waits.
    - ``drift_per_second``: growth of its dynamic power from the first execution on.
    """

    phases: tuple[Phase, ...]
    host_seconds: float = 0.0
    drift_per_second: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Conditions of an execution.

    - ``clock``: share of boost.
    - ``pace``: factor on times.
    - ``draw``: factor on dynamic power.
    - ``more_watts``: power of other processes.
    """

    clock: float
    celsius: float
    pace: float = 1.0
    draw: float = 1.0
    more_watts: float = 0.0


def pattern_of(chip: SimulatedChip, execution: Execution, at: Conditions) -> Pattern:
    """Compute the power steps of one execution; a wait for the host, if any, is the last one."""
    squared, rest = chip.voltage_squared(at.clock), chip.rest_watts(at.clock, at.celsius) + at.more_watts
    busy = chip.busy_watts(at.clock, at.celsius) + at.more_watts
    seconds, watts = [], []
    for phase in execution.phases:
        stretch = phase.clock_bound / at.clock + 1 - phase.clock_bound
        dynamic = (phase.compute_watts * squared + phase.memory_watts) / stretch
        seconds.append(phase.seconds * stretch * at.pace)
        watts.append(busy + at.draw * dynamic / at.pace)
    wait = execution.host_seconds - sum(seconds)
    if execution.host_seconds:  # a step even where there is no wait now: clocks may make one later
        seconds.append(max(wait, 0.0))
        watts.append(rest)
    return Pattern(seconds=tuple(seconds), watts=tuple(watts))
