"""Simulate a device in virtual time: what is enqueued runs, draws power, warms the chip and is slowed by its cap."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from joulecast_calibration.meter.sensor import Card, Clock, DeviceState
from joulecast_calibration.meter.simulated.chip import (
    STEP_MHZ,
    TICK_SECONDS,
    Conditions,
    Execution,
    Phase,
    pattern_of,
)
from joulecast_calibration.meter.simulated.faults import DeviceFaults
from joulecast_calibration.meter.simulated.history import Pattern, PowerHistory, constant
from joulecast_calibration.meter.simulated.presets import DeviceSpec, preset
from joulecast_calibration.meter.simulated.sensor import SimulatedSensor

_SLEW_STEPS = 10  # of the clock in one tick: from idle to boost in about 0.2 s
_LAUNCH_SECONDS = 1e-5  # what handing work to a driver takes: ~10 µs a launch
_ROUNDING = 1e-9  # share of an execution that floating point may lack when it is done


class DeviceOutOfMemoryError(MemoryError):
    """The load does not fit into the device's memory; replaces torch's OutOfMemoryError where torch is missing."""


class SimulatedLoad:
    """A ``Load`` whose executions cost what ``execution`` says. Raises DeviceOutOfMemoryError if it does not fit."""

    def __init__(self, device: SimulatedDevice, execution: Execution, *, multiple: int = 1) -> None:
        if execution.memory_bytes > device.memory_bytes:
            raise DeviceOutOfMemoryError(
                f"{execution.memory_bytes:,} bytes do not fit into the {device.memory_bytes:,} of the device"
            )
        self.execution = execution
        self._device = device
        self._multiple = multiple
        self._settled = 0
        self._enqueued = 0
        self._began: float | None = None

    @property
    def multiple(self) -> int:
        return self._multiple

    def enqueue(self, executions: int) -> None:
        """Enqueue executions in the host's time, while the device runs already."""
        if executions % self._multiple:
            raise ValueError(f"{executions} executions are not a multiple of {self._multiple}")
        self._device.call(0.0)
        if executions <= 0:
            return
        self._began = self._device.now if self._began is None else self._began
        self._enqueued += executions
        self._device.enqueue(self, executions)
        self._device.advance(max(executions * self.execution.host_seconds, _LAUNCH_SECONDS))

    def completed(self) -> int:
        self._device.call(1e-6)
        return self._settled + (self._device.finished() if self._device.running() is self else 0)

    def drain(self) -> None:
        self._device.call(0.0)
        while self._settled < self._enqueued:
            self._device.advance(self._device.seconds_to_idle())

    def finish(self, executions: int) -> None:
        """Record that so many more executions are done; called by the device."""
        self._settled += executions

    def growth(self, at: float) -> float:
        """Return the factor on the dynamic power at that time."""
        return 1 + self.execution.drift_per_second * (at - (at if self._began is None else self._began))


@dataclass(slots=True)
class _Work:
    load: SimulatedLoad
    executions: int


class VirtualClock:
    """A ``Clock`` that moves when it is read or slept on, so that no loop that waits for it can hang."""

    READ_SECONDS = 1e-6  # chosen: what asking for the time takes on a host

    def __init__(self, device: SimulatedDevice) -> None:
        self._device = device

    def seconds(self) -> float:
        self._device.advance(self.READ_SECONDS)
        return self._device.now

    def sleep(self, seconds: float) -> None:
        self._device.advance(max(seconds, self.READ_SECONDS))


class SimulatedDevice:
    """A simulated device. The same seed and the same calls give the same readings.

    - ``spec``: a preset's name or a ``DeviceSpec``.
    """

    def __init__(self, spec: str | DeviceSpec = "hopper", *, seed: int = 0, faults: DeviceFaults | None = None) -> None:
        self.spec = preset(spec) if isinstance(spec, str) else spec
        self.faults = faults or DeviceFaults()
        self.now = 0.0
        self.calls = 0
        self._random = random.Random(f"device {seed}")  # noqa: S311 - a simulation's noise, no secret
        self._chip = self.spec.chip
        self.celsius = self._chip.settled_celsius(self._chip.parked_watts)
        self._queue: deque[_Work] = deque()
        self._step = self._chip.lowest_step
        self._capped = self._chip.steps
        self._pace = self._draw = 1.0
        self._worked = -math.inf  # when the last execution ended
        self._pattern, self._elapsed, self._began = constant(self._chip.parked_watts), 0.0, 0.0
        self._ticked = 0
        self._due = 0.0  # when anything changes next
        self.history = PowerHistory(self._chip.parked_watts)
        self.clock: Clock = VirtualClock(self)
        self.sensor = SimulatedSensor(self, self.spec.sensor, self._card(), seed=seed, faults=self.faults)

    def load(
        self,
        seconds: float | None = None,
        *,
        watts: float | None = None,
        phases: Sequence[Phase] = (),
        host_seconds: float = 0.0,
        drift_per_second: float = 0.0,
        memory_bytes: int = 0,
        multiple: int = 1,
    ) -> SimulatedLoad:
        """Make a load of ``phases``, or of one phase of ``seconds`` in which the board draws ``watts``.

        The single phase is at boost and 25 °C, with a third of the dynamic power in memory.
        """
        if seconds is not None:
            dynamic = (watts or 0.8 * self._chip.power_limit_watts) - self._chip.busy_watts(1.0, 25.0)
            phases = (Phase(seconds=seconds, compute_watts=dynamic * 2 / 3, memory_watts=dynamic / 3),)
        execution = Execution(
            phases=tuple(phases),
            host_seconds=host_seconds,
            drift_per_second=drift_per_second,
            memory_bytes=memory_bytes,
        )
        return SimulatedLoad(self, execution, multiple=multiple)

    @property
    def memory_bytes(self) -> int:
        return self._chip.memory_bytes

    def true_joules(self, start: float, end: float) -> float:
        """Return exactly what the device used from ``start`` to ``end``, neither of which is after now."""
        return self.history.joules(end) - self.history.joules(start)

    def call(self, seconds: float) -> float:
        """Count a call of that many seconds; return the time when it returns."""
        self.calls += 1
        self.advance(seconds)
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while (event := self._due) <= end:
            self._settle(event)
            if event >= self._ticked * TICK_SECONDS:
                self._tick()
            self._begin()
        self.now = end

    def enqueue(self, load: SimulatedLoad, executions: int) -> None:
        """Enqueue executions; a device at rest starts at once."""
        if self._queue and self._queue[-1].load is load:
            self._queue[-1].executions += executions
            self._due = self._next_event()
            return
        resting = not self._queue
        if resting:
            self._settle(self.now)  # before the work is there: it has done nothing while the device was at rest
        self._queue.append(_Work(load=load, executions=executions))
        if resting:
            self._begin()

    def cancel(self, load: SimulatedLoad) -> None:
        """Drop what is not finished of ``load``."""
        self._settle(self.now)
        if self.running() is load:
            self._elapsed, self._worked = 0.0, self.now
        self._queue = deque(work for work in self._queue if work.load is not load)
        self._begin()

    def finished(self) -> int:
        """Return the executions that the running work has finished and that are not settled yet."""
        if not self._queue:
            return 0
        done = math.floor((self._elapsed + self.now - self._began) / self._pattern.period + _ROUNDING)
        return min(done, self._queue[0].executions)

    def running(self) -> SimulatedLoad | None:
        return self._queue[0].load if self._queue else None

    def seconds_to_idle(self) -> float:
        """Return the time until the next event of the queue; waiting that long, again and again, drains it."""
        return max(self._due - self.now, 0.0)

    def state(self) -> DeviceState:
        return DeviceState(
            sm_clock_mhz=float(self._step * STEP_MHZ),
            memory_clock_mhz=self._chip.memory_mhz,
            temperature_celsius=float(round(self.celsius)),
            throttle_reasons=self._throttle_reasons(),
        )

    def foreign_processes_at(self, at: float) -> tuple[int, ...]:
        return tuple(s.pid for s in self.faults.foreign_processes if s.visible and s.start <= at < s.end)

    def _card(self) -> Card:
        return Card(
            accelerator=f"simulated-{self.spec.name}",
            card=f"simulated-{self.spec.name}-0",
            driver="simulated",
            power_limit_watts=self._chip.power_limit_watts,
            memory_bytes=self._chip.memory_bytes,
            simulated=True,
        )

    def _throttle_reasons(self) -> tuple[str, ...]:
        if self._parked():
            return ("gpu_idle",)
        if self._capped >= self._chip.steps:
            return ()
        return ("sw_thermal_slowdown",) if self.celsius > self._chip.throttle_celsius else ("sw_power_cap",)

    def _parked(self) -> bool:
        return not self._queue and self.now - self._worked >= self._chip.parking_seconds

    def _next_event(self) -> float:
        times = [self._ticked * TICK_SECONDS]
        times += [t for s in self.faults.foreign_processes for t in (s.start, s.end) if t > self._began]
        return min(*times, self._completion())

    def _completion(self) -> float:
        """Return when the running work will be done at its present pace."""
        if not self._queue:
            return math.inf
        return self._began + max(self._queue[0].executions * self._pattern.period - self._elapsed, 0.0)

    def _settle(self, at: float) -> None:
        """Account for what happened since the last piece began."""
        self.now = at
        passed = at - self._began
        if passed > 0:
            settled = self._chip.settled_celsius(self.history.mean_watts(self._began, at))
            self.celsius = settled + (self.celsius - settled) * math.exp(-passed / self._chip.thermal_seconds)
        if self._queue:
            self._finish(self._queue[0].executions if at >= self._completion() else self.finished(), passed)
        self._began = at

    def _finish(self, done: int, passed: float) -> None:
        work = self._queue[0]
        work.executions -= done
        work.load.finish(done)
        self._elapsed = max(self._elapsed + passed - done * self._pattern.period, 0.0)
        if not work.executions:
            self._queue.popleft()
            self._elapsed, self._worked = 0.0, self.now

    def _tick(self) -> None:
        """Decide on the clock."""
        self._ticked += 1
        noise = self.spec.power_noise
        self._draw = self._random.gauss(1.0, noise) if noise else 1.0
        self._pace = self._random.gauss(1.0, self.spec.pace_noise) if self.spec.pace_noise else 1.0
        self._capped = self._highest_step()
        wanted = self._chip.lowest_step if self._parked() else self._capped
        self._step += max(-_SLEW_STEPS, min(_SLEW_STEPS, wanted - self._step))

    def _highest_step(self) -> int:
        """Return the highest clock at which the running work stays below the limit, searched from the last one."""
        limit, step = self._chip.limit_watts(self.celsius), min(self._capped, self._chip.steps)
        if not self._queue:
            return self._chip.steps
        while step > self._chip.lowest_step and self._demand(step) > limit:
            step -= 1
        while step < self._chip.steps and self._demand(step + 1) <= limit:
            step += 1
        return step

    def _demand(self, step: int) -> float:
        """Return the power at that clock: of the whole execution if it fits into a tick, else of the running phase."""
        pattern = self._pattern_at(step)
        if pattern.period <= TICK_SECONDS:
            return pattern.mean_watts
        return pattern.watts[self._pattern.step_at(self._elapsed)[0] % len(pattern.watts)]

    def _begin(self) -> None:
        """Begin a piece of history at the present clock, temperature and work."""
        fresh = self._pattern_at(self._step)
        if self._elapsed > 0 and len(fresh.seconds) == len(self._pattern.seconds):
            self._elapsed = fresh.elapsed_at(*self._pattern.step_at(self._elapsed))
        self._pattern = fresh
        self.history.begin(self.now, fresh, self._elapsed)
        self._due = self._next_event()

    def _pattern_at(self, step: int) -> Pattern:
        others = [s for s in self.faults.foreign_processes if s.start <= self.now < s.end]
        at = Conditions(
            clock=step / self._chip.steps,
            celsius=self.celsius,
            pace=self._pace,
            draw=self._draw,
            more_watts=sum(s.watts for s in others),
        )
        if self._queue:
            load = self._queue[0].load
            slow = at.pace * math.prod(s.slowdown for s in others)
            return pattern_of(self._chip, load.execution, replace(at, pace=slow, draw=at.draw * load.growth(self.now)))
        if self._parked():
            return constant(self._chip.parked_watts + at.more_watts)
        return constant(self._chip.rest_watts(at.clock, at.celsius) + at.more_watts)
