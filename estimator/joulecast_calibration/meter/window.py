"""One measured configuration, as it enters a row."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One measured configuration.

    ``joules``, ``seconds``: of one execution; ``watts``: the mean while ``executions`` of them ran without a gap for
    ``window_seconds``, seen through ``edges`` edges. ``drift``: relative rise of power from begin to end; ``steady``:
    whether that is within the policy or its own noise; both None where fewer than three executions longer than the
    counter's period were seen. ``phase_gap``: the largest share of an execution in which no edge fell, None where
    executions are too short to alias with the sensor; near 1 they keep step with it, and no standard error knows of
    that bias. ``single``: just one execution. ``power_joules``: of one execution by integration of the power reading
    over the same window, None where that reading averages over more than what ran, or is what was measured.
    ``warmup_seconds``: for which the load ran before the window; ``dropped_seconds``: the end of that, cut off because
    the window was not good with it, with ``dropped_watts`` and ``dropped_execution_seconds`` over its whole executions
    (None where it has none). Where an execution took far less there, something came: it is not steady.
    ``redone``: windows thrown away because the counter was reset in them; ``missed``: samples that the sensor did not
    give. Clocks and temperature are means over the window, throttle reasons their union.
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
        """JSON values by column name; an infinite standard error (nothing to tell it from) becomes None."""
        row = asdict(self) | {"throttle_reasons": list(self.throttle_reasons)}
        return {name: None if isinstance(value, float) and math.isinf(value) else value for name, value in row.items()}
