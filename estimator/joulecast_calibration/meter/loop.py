"""Record everything while one load runs: its steps, the counter's edges, power, and the device's state."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.constants import COUNTER, CounterConstants
from joulecast_calibration.meter.edges import Edge, EdgeRecorder, PowerRecorder
from joulecast_calibration.meter.feeder import Feeder
from joulecast_calibration.meter.policy import Policy
from joulecast_calibration.meter.sensor import Clock, DeviceState, Load, Sensor


class MeasuringLoop:
    """Runs the single loop of the meter: feed the load, read what is due, else sleep for a moment.

    - ``states``: the device's state by the time of its reading.
    """

    def __init__(self, load: Load, sensor: Sensor, clock: Clock, constants: CounterConstants, policy: Policy) -> None:
        self.begun = clock.seconds()
        self.states: list[tuple[float, DeviceState]] = []
        self.feeder = Feeder(load, clock, policy)
        self._sensor, self._clock, self._policy = sensor, clock, policy
        spacing = max(constants.power_period_seconds, policy.state_seconds)
        self.power = PowerRecorder(sensor, clock, spacing, policy.looking_share)
        self._meter: EdgeRecorder | PowerRecorder
        if constants.method == COUNTER:
            self._meter = EdgeRecorder(sensor, clock, policy, constants)
        else:
            self._meter = PowerRecorder(sensor, clock, max(constants.period_seconds, policy.chunk_seconds))
        self._state_due = self.begun

    @property
    def edges(self) -> list[Edge]:
        return self._meter.edges

    @property
    def missed(self) -> int:
        return self._meter.missed + self.power.missed

    def turn(self) -> None:
        """Run the loop once."""
        worked = self.feeder.feed()
        self._meter.poll()
        self.power.poll()
        self._look_at_state()
        if not worked:
            self._clock.sleep(self._policy.poll_seconds)

    def _look_at_state(self) -> None:
        now = self._clock.seconds()
        if now < self._state_due:
            return
        try:
            self.states.append((now, self._sensor.state()))
        except MeasurementError as error:
            if not error.transient:
                raise
        took = self._clock.seconds() - now
        self._state_due = now + max(self._policy.state_seconds, took / self._policy.looking_share)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Suspend the interpreter's garbage collection, which would stop the loop for tens of milliseconds."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
