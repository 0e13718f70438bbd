"""Constants of a device's counter and power reading, found before anything is measured with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

COUNTER = "counter"
POWER = "power"


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterConstants:
    """Constants of one sensor under one load.

    - ``method``: ``counter``, or ``power`` where the device has no counter and its power reading is integrated.
    - ``period_seconds``, ``jitter_seconds``: median and scatter of the time between two updates of what ``method``
      reads.
    - ``resolution_joules``: the step in which the counter counts; None by integration.
    - ``rise_seconds``, ``fall_seconds``: from a step of the load until what ``method`` reads stays within 2 % of the
      step from where it ends, and executions have their final speed; at least a period, since less cannot be seen.
    - ``lag_seconds``: the longer of the two.
    - ``power_lag_seconds``: the same of the power reading.
    - ``read_seconds``: how long one reading takes the process.
    - ``idle_watts``, ``busy_watts``: power before and under the load.
    """

    method: str
    period_seconds: float
    jitter_seconds: float
    resolution_joules: float | None
    rise_seconds: float
    fall_seconds: float
    power_period_seconds: float
    power_lag_seconds: float
    read_seconds: float
    idle_watts: float
    busy_watts: float
    notes: tuple[str, ...] = ()

    @property
    def lag_seconds(self) -> float:
        return max(self.rise_seconds, self.fall_seconds)

    def row(self) -> dict[str, Any]:
        """Return JSON values for a row of kind ``constants``."""
        return asdict(self) | {"notes": list(self.notes), "lag_seconds": self.lag_seconds}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> CounterConstants:
        """Read what ``row()`` returned, ignoring other columns. Raises KeyError where a column is missing."""
        values = {field.name: row[field.name] for field in fields(cls)}
        return cls(**values | {"notes": tuple(values["notes"])})
