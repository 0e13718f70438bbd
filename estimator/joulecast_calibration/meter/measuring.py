"""Measure joules per execution of a load: warm it up, read the counter, stop when the error is small enough."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.constants import POWER, CounterConstants
from joulecast_calibration.meter.edges import joules_at
from joulecast_calibration.meter.estimate import Beginning, Estimate, beginning, estimate
from joulecast_calibration.meter.loop import MeasuringLoop, undisturbed
from joulecast_calibration.meter.policy import Policy
from joulecast_calibration.meter.sensor import Clock, DeviceState, Load, Sensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One measured configuration.

    - ``joules``, ``seconds``: of one execution.
    - ``watts``: mean power while ``executions`` ran without a gap for ``window_seconds``, over ``edges`` edges.
    - ``drift``: relative rise of power from begin to end; None where fewer than three executions longer than the
      counter's period were seen.
    - ``steady``: whether ``drift`` is within the policy or its own noise, and executions did not take far less before
      the window; None like ``drift``.
    - ``phase_gap``: largest share of an execution in which no edge fell; None where executions are too short to alias
      with the sensor. Near 1 they keep step with it, which is a bias outside all standard errors.
    - ``single``: whether there was just one execution.
    - ``power_joules``: of one execution by integration of the power reading over the same window; None where that
      reading averages over more than what ran, or is what was measured.
    - ``warmup_seconds``: for which the load ran before the window.
    - ``dropped_seconds``: end of the warm-up that was cut off because the window was not good with it.
    - ``dropped_watts``, ``dropped_execution_seconds``: over its whole executions; None where it has none.
    - ``redone``: windows that were discarded because the counter was reset in them.
    - ``missed``: samples that the sensor did not give.
    - clocks and temperature are means over the window, throttle reasons their union.
    """

    method: str
    executions: int
    seconds: float
    seconds_standard_error: float
    watts: float
    watts_standard_error: float
    joules: float
    joules_standard_error: float
    window_seconds: float
    warmup_seconds: float
    dropped_seconds: float
    dropped_watts: float | None
    dropped_execution_seconds: float | None
    edges: int
    drift: float | None
    steady: bool | None
    phase_gap: float | None
    single: bool
    power_joules: float | None
    sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    temperature_celsius: float | None
    throttle_reasons: tuple[str, ...]
    redone: int
    missed: int

    def row(self) -> dict[str, Any]:
        """Return JSON values by column name; an infinite standard error becomes None."""
        row = asdict(self) | {"throttle_reasons": list(self.throttle_reasons)}
        return {name: None if isinstance(value, float) and math.isinf(value) else value for name, value in row.items()}


_WARM_STEPS = 3  # the moment of beginning, then an execution that may still initialise, then one that does not
_JUDGED_SECONDS = 0.05  # between two looks at whether a window is good: half a period of the usual counter


def measure(
    load: Load, sensor: Sensor, clock: Clock, constants: CounterConstants, policy: Policy | None = None
) -> Window:
    """Measure joules, seconds and watts of one execution of ``load``, which runs again and again meanwhile.

    Raises MeasurementError for a foreign process on the device before or after (``ForeignProcessOnDevice``), a counter
    that is reset in every attempt or stands still (``CounterReset``, ``CounterSilent``), and a load that hangs
    (``LoadStalled``). What the load itself raises passes through.
    """
    policy = policy or Policy()
    redone = 0
    while True:
        refuse_foreign_processes(sensor)
        try:
            return _attempt(load, sensor, clock, constants, policy, redone)
        except MeasurementError as error:
            redone += 1
            if error.reason != "CounterReset" or redone >= policy.attempts:
                raise


def _attempt(
    load: Load, sensor: Sensor, clock: Clock, constants: CounterConstants, policy: Policy, redone: int
) -> Window:
    try:
        with undisturbed():
            loop = MeasuringLoop(load, sensor, clock, constants, policy)
            found, cut = _watch(loop, clock, constants, policy)
    except MeasurementError as error:
        if error.reason != "LoadStalled":
            load.drain()
        raise
    load.drain()
    refuse_foreign_processes(sensor)
    return _window(loop, found, cut, constants, policy, redone)


def refuse_foreign_processes(sensor: Sensor) -> None:
    """Check for foreign processes. Raises MeasurementError (``ForeignProcessOnDevice``) if there is one."""
    foreign = sensor.foreign_processes()
    if foreign:
        listed = ", ".join(str(process) for process in foreign)
        raise MeasurementError(
            f"process {listed} also uses {sensor.card.accelerator}, so its energy is not the load's alone:"
            " end it, or take a device of your own",
            reason="ForeignProcessOnDevice",
            transient=True,
        )


def _watch(
    loop: MeasuringLoop, clock: Clock, constants: CounterConstants, policy: Policy
) -> tuple[Estimate, Beginning]:
    warm = _warm_up(loop, clock, constants, policy)
    skipped, judged = len(loop.edges), 0
    due = clock.seconds() + policy.shortest_seconds
    while True:
        loop.turn()
        edges = len(loop.edges) - skipped
        if edges > judged and edges >= policy.fewest_edges and clock.seconds() >= due:
            judged, due = edges, clock.seconds() + _JUDGED_SECONDS
            found = _judge(loop, skipped, warm, constants, policy)
            if found is not None:
                return found


def _warm_up(loop: MeasuringLoop, clock: Clock, constants: CounterConstants, policy: Policy) -> float:
    """Wait at least the lag, and until executions have their final speed; return the time when that was reached."""
    feeder = loop.feeder
    while True:
        loop.turn()
        now, pace = clock.seconds(), feeder.seconds_per_execution()
        enough = _WARM_STEPS if pace is None or pace <= policy.single_seconds else _WARM_STEPS - 1
        if len(feeder.steps) >= enough and now - loop.begun >= constants.lag_seconds:
            return feeder.steps[-1].after


def _judge(
    loop: MeasuringLoop, skipped: int, warm: float, constants: CounterConstants, policy: Policy
) -> tuple[Estimate, Beginning] | None:
    """Return the window if it may close: in whole, or without its beginning if only the rest is good."""
    edges, steps = loop.edges[skipped:], loop.feeder.steps
    whole = estimate(edges, steps, constants, policy, warm)
    if whole is None or not _long_enough(whole, policy):
        return None
    if whole.settled(policy):
        return whole, Beginning()
    for dropped in sorted({1, 2, 3, len(edges) // 4, len(edges) // 2}):
        rest = estimate(edges[dropped:], steps, constants, policy, warm)
        if rest is not None and _long_enough(rest, policy) and rest.settled(policy):
            return rest, beginning(edges, dropped, steps, warm)
    long = whole.seconds > policy.single_seconds
    return (whole, Beginning()) if long or whole.ends - whole.begins >= policy.longest_seconds else None


def _long_enough(found: Estimate, policy: Policy) -> bool:
    if found.edges < policy.fewest_edges:
        return False
    if found.seconds > policy.single_seconds:
        return True
    return found.executions > 1 and found.ends - found.begins >= policy.shortest_seconds


def _window(
    loop: MeasuringLoop, found: Estimate, cut: Beginning, constants: CounterConstants, policy: Policy, redone: int
) -> Window:
    states = [state for seconds, state in loop.states if found.begins <= seconds <= found.ends]
    states = states or [state for _, state in loop.states[-1:]]
    joules = found.watts * found.seconds
    relative = found.watts_standard_error / found.watts, found.seconds_standard_error / found.seconds
    return Window(
        method=constants.method,
        executions=found.executions,
        seconds=found.seconds,
        seconds_standard_error=found.seconds_standard_error,
        watts=found.watts,
        watts_standard_error=found.watts_standard_error,
        joules=joules,
        joules_standard_error=joules * (relative[0] ** 2 + relative[1] ** 2) ** 0.5,
        window_seconds=found.ends - found.begins,
        warmup_seconds=found.begins - loop.begun,
        dropped_seconds=cut.seconds,
        dropped_watts=cut.watts,
        dropped_execution_seconds=cut.execution_seconds,
        edges=found.edges,
        drift=found.drift,
        steady=found.steady(policy) if cut.undisturbed(found, policy) else False,
        phase_gap=found.phase_gap,
        single=found.executions == 1,
        power_joules=_power_joules(loop, found, constants),
        sm_clock_mhz=_mean(states, "sm_clock_mhz"),
        memory_clock_mhz=_mean(states, "memory_clock_mhz"),
        temperature_celsius=_mean(states, "temperature_celsius"),
        throttle_reasons=tuple(sorted({reason for state in states for reason in state.throttle_reasons})),
        redone=redone,
        missed=loop.missed,
    )


def _power_joules(loop: MeasuringLoop, found: Estimate, constants: CounterConstants) -> float | None:
    """Integrate the power readings of the window, from where they no longer include the time before the load."""
    if constants.method == POWER:
        return None
    settled = max(found.begins, loop.begun + constants.power_lag_seconds)
    edges = [edge for edge in loop.power.edges if edge.seconds >= settled]
    if len(edges) < 2:
        return None
    begins, ends = edges[0].seconds, min(edges[-1].seconds, max(found.ends, edges[1].seconds))
    energy = joules_at(edges, [begins, ends])
    return float((energy[1] - energy[0]) / (ends - begins)) * found.seconds


def _mean(states: Sequence[DeviceState], name: str) -> float | None:
    values = [value for state in states if (value := getattr(state, name)) is not None]
    return statistics.fmean(values) if values else None
