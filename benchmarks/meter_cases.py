"""Loads of every kind on a simulated device, and what the meter makes of them beside the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from joulecast.errors import MeasurementError
from joulecast_calibration.meter import CounterConstants, Policy, Window, characterise, measure
from joulecast_calibration.meter.edges import MODULI_JOULES
from joulecast_calibration.meter.sensor import Card, DeviceState
from joulecast_calibration.meter.simulated.chip import Phase, SimulatedChip
from joulecast_calibration.meter.simulated.device import SimulatedDevice, SimulatedLoad
from joulecast_calibration.meter.simulated.faults import DeviceFaults, ForeignProcess
from joulecast_calibration.meter.simulated.presets import DeviceSpec, preset

LARGEST_ERROR = 0.01
"""Relative, of joules: beyond it a window must say so itself."""
_PREPARED_SECONDS = 1.0  # before a window: the first execution has been, clocks are up
_POWER_DIFFERS = 0.02  # both figures of a preset are without error of their own, and noise is a few parts in a thousand
_SE_SHARE = 2.0  # standard errors: a window whose error is within them has said so


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a window begins, in seconds, and the ``joules`` that a faultless device has used 0.3 s later."""

    seconds: float
    joules: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``load`` makes the load; ``faults`` of the device, by when the window begins. ``cold``: the
    device was at rest, with its clocks down, until the window. ``blind``: why no meter can tell that reads only this
    sensor.
    """

    name: str
    load: Callable[[SimulatedDevice], SimulatedLoad]
    faults: Callable[[Moment], DeviceFaults] = lambda _: DeviceFaults()
    change: Callable[[DeviceSpec], DeviceSpec] = lambda spec: spec
    cold: bool = False
    blind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``error``: relative, of joules per execution; None where the meter refused. ``flags``: what it said itself."""

    error: float | None
    standard_error: float
    flags: tuple[str, ...]

    @property
    def honest(self) -> bool:
        """Right, or wrong and says so."""
        return self.error is None or bool(self.flags) or abs(self.error) <= self.allowed

    @property
    def allowed(self) -> float:
        return max(LARGEST_ERROR, _SE_SHARE * self.standard_error)


def _watts(device: SimulatedDevice, share: float) -> float:
    return share * device.spec.chip.power_limit_watts


def _phases(device: SimulatedDevice, seconds: float, count: int = 2) -> SimulatedLoad:
    """Half of an execution compute at most of the limit, half memory at little."""
    high, low = _watts(device, 0.6), _watts(device, 0.15)
    each = seconds / (2 * count)
    pair = (
        Phase(seconds=each, compute_watts=high),
        Phase(seconds=each, compute_watts=0.0, memory_watts=low, clock_bound=0.2),
    )
    return device.load(phases=pair * count)


def _hot(spec: DeviceSpec) -> DeviceSpec:
    """Its fan has failed: too hot after a second at 80 % of its limit."""
    chip: SimulatedChip = replace(
        spec.chip, celsius_per_watt=130.0 / spec.chip.power_limit_watts, thermal_seconds=2.0, leakage_per_celsius=0.002
    )
    return replace(spec, chip=chip)


def _steady(device: SimulatedDevice) -> SimulatedLoad:
    return device.load(0.002, watts=_watts(device, 0.6))


CASES: tuple[Case, ...] = (
    Case(name="steady, 2 ms", load=_steady),
    Case(name="steady, from rest", load=_steady, cold=True),
    Case(name="steady, 20 µs at low power", load=lambda device: device.load(2e-5, watts=_watts(device, 0.5))),
    Case(
        name="launch-bound, 0.3 of 3 ms",
        load=lambda device: device.load(3e-4, watts=_watts(device, 0.5), host_seconds=0.003),
    ),
    Case(name="phases, 7 ms", load=lambda device: _phases(device, 0.007)),
    Case(name="phases, 37 ms", load=lambda device: _phases(device, 0.037)),
    Case(name="phases, 230 ms", load=lambda device: _phases(device, 0.23)),
    Case(
        name="phases, 100 ms as the sensor's",
        load=lambda device: _phases(device, 0.1, count=1),
    ),
    Case(name="over the power limit", load=lambda device: device.load(0.004, watts=_watts(device, 1.4))),
    Case(name="overheating", load=lambda device: device.load(0.004, watts=_watts(device, 0.8)), change=_hot),
    Case(
        name="drifting, 5 % a second",
        load=lambda device: device.load(0.002, watts=_watts(device, 0.5), drift_per_second=0.07),
    ),
    Case(name="one execution of 5 s, phases", load=lambda device: _phases(device, 5.0)),
    Case(name="counter wraps at 32 bits", load=_steady, faults=lambda begins: _wrapping(begins.joules)),
    Case(name="counter is reset", load=_steady, faults=lambda begins: DeviceFaults(resets=(begins.seconds + 0.4,))),
    Case(name="updates missing, 30 %", load=_steady, faults=lambda _: DeviceFaults(missing_share=0.3)),
    Case(
        name="frozen for 0.5 s",
        load=_steady,
        faults=lambda begins: DeviceFaults(frozen=((begins.seconds + 0.2, begins.seconds + 0.7),)),
    ),
    Case(
        name="reads raise for 0.3 s",
        load=_steady,
        faults=lambda begins: DeviceFaults(raising=((begins.seconds + 0.2, begins.seconds + 0.5),)),
    ),
    Case(
        name="energy lost for 0.3 s",
        load=_steady,
        faults=lambda begins: DeviceFaults(lost=((begins.seconds + 0.2, begins.seconds + 0.5),)),
    ),
    Case(
        name="a foreign process comes",
        load=_steady,
        faults=lambda begins: DeviceFaults(foreign_processes=(ForeignProcess(start=begins.seconds + 0.4, watts=60.0),)),
    ),
    Case(
        name="a hidden foreign process comes",
        load=_steady,
        faults=lambda begins: DeviceFaults(
            foreign_processes=(ForeignProcess(start=begins.seconds + 0.4, watts=60.0, visible=False),)
        ),
    ),
    Case(
        name="a hidden foreign process all the time",
        load=_steady,
        faults=lambda _: DeviceFaults(foreign_processes=(ForeignProcess(start=0.0, watts=60.0, visible=False),)),
        blind="it looks like the load's own energy",
    ),
    Case(
        name="gain 0.954, offset -1.2 W",  # of the A100-PCIE-40GB that was compared with a power meter
        load=_steady,
        change=lambda spec: replace(spec, sensor=replace(spec.sensor, gain=0.954, offset_watts=-1.2)),
        blind="only a meter outside the card can tell",
    ),
)


def _wrapping(joules: float) -> DeviceFaults:
    return DeviceFaults(wrap_joules=MODULI_JOULES[0], start_joules=MODULI_JOULES[0] - joules)


class _Watched:
    """A ``Sensor`` that notes when each attempt began: the meter looks for foreign processes before and after it."""

    def __init__(self, device: SimulatedDevice) -> None:
        self._device = device
        self.card: Card = device.sensor.card
        self.looked: list[float] = []

    def energy_joules(self) -> float | None:
        return self._device.sensor.energy_joules()

    def power_watts(self) -> float:
        return self._device.sensor.power_watts()

    def state(self) -> DeviceState:
        return self._device.sensor.state()

    def foreign_processes(self) -> tuple[int, ...]:
        found = self._device.sensor.foreign_processes()
        self.looked.append(self._device.now)
        return found

    def close(self) -> None:
        self._device.sensor.close()


def constants_of(name: str, seed: int) -> CounterConstants:
    """As found out on a faultless device of that preset."""
    device = SimulatedDevice(name, seed=seed)
    return characterise(device.sensor, device.clock, device.load(0.002, watts=_watts(device, 0.7)))


def faults_of(case: Case, name: str, seed: int, constants: CounterConstants) -> DeviceFaults:
    """Those of the case, at their moments."""
    device = SimulatedDevice(case.change(preset(name)), seed=seed)
    load = _prepared(case, device)
    begins = device.now + constants.lag_seconds
    load.enqueue(1000)  # of 2 ms: two seconds
    device.advance(constants.lag_seconds + 0.3)
    return case.faults(Moment(seconds=begins, joules=device.true_joules(0.0, device.now)))


def run(case: Case, name: str, seed: int, constants: CounterConstants, policy: Policy | None = None) -> Outcome:
    """Measure the case on a fresh device of the preset ``name``."""
    spec = case.change(preset(name))
    faults = faults_of(case, name, seed, constants)
    try:
        window, true = _measured(case, SimulatedDevice(spec, seed=seed, faults=faults), constants, policy)
    except MeasurementError as error:
        return Outcome(error=None, standard_error=0.0, flags=(error.reason,))
    if faults.foreign_processes:  # what the load costs when it is alone
        _, true = _measured(case, SimulatedDevice(spec, seed=seed), constants, policy)
    return Outcome(
        error=window.joules / true - 1,
        standard_error=window.joules_standard_error / window.joules,
        flags=flags_of(window),
    )


def _measured(
    case: Case, device: SimulatedDevice, constants: CounterConstants, policy: Policy | None
) -> tuple[Window, float]:
    """The window, and the true joules of an execution in it."""
    sensor = _Watched(device)
    load = _prepared(case, device)
    window = measure(load, sensor, device.clock, constants, policy)
    begins = sensor.looked[-2] + window.warmup_seconds
    return window, device.true_joules(begins, begins + window.window_seconds) / window.executions


def _prepared(case: Case, device: SimulatedDevice) -> SimulatedLoad:
    load = case.load(device)
    if not case.cold:
        load.enqueue(1)
        load.drain()
        device.advance(max(_PREPARED_SECONDS - device.now, 0.0))
    return load


def flags_of(window: Window) -> tuple[str, ...]:
    """What a window says against itself."""
    said: Mapping[str, bool] = {
        "unsteady": window.steady is False,
        "one execution": window.single,
        "standard error": window.joules_standard_error > LARGEST_ERROR * window.joules,
        "redone": window.redone > 0,
        "missed": window.missed > 0,
        "power reading differs": abs((window.power_joules or window.joules) / window.joules - 1) > _POWER_DIFFERS,
        "in step with the sensor": (window.phase_gap or 0.0) > Policy().largest_phase_gap,
    }
    return tuple(flag for flag, raised in said.items() if raised)
