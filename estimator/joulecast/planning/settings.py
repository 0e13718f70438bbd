"""How a model may be run, and what is asked of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from joulecast.errors import WorkloadError

Unit = Literal["inference", "request", "output_token"]
"""What joules are counted by: an input of a pass, a request of a language model, or a token that it writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One way to run a model: an accelerator and what is chosen on it.

    - ``batch_size``: inputs of a pass; None for generation.
    - ``concurrency``: requests at once of generation; None for a pass.
    - ``tensor_parallel``: cards that share the model.
    - ``power_limit_watts``, ``clock_mhz``: a cap set on each card; None where it runs as it comes.
    """

    accelerator: str
    runtime: str
    precision: str
    batch_size: int | None = None
    concurrency: int | None = None
    tensor_parallel: int = 1
    power_limit_watts: float | None = None
    clock_mhz: float | None = None

    def __str__(self) -> str:
        cards = f"{self.tensor_parallel} × " if self.tensor_parallel > 1 else ""
        size = f"batch size {self.batch_size}" if self.batch_size is not None else f"{self.concurrency} at once"
        own = [f"{cards}{self.accelerator}", size]
        if self.precision != "default":
            own.append(self.precision)
        if self.power_limit_watts is not None:
            own.append(f"{self.power_limit_watts:g} W")
        if self.clock_mhz is not None:
            own.append(f"{self.clock_mhz:g} MHz")
        return ", ".join(own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What a plan has to hold, and what it counts joules by.

    - ``unit``: None for the model's own: an inference of a pass, a request of generation.
    - ``latency_milliseconds``: from the arrival of an input or a request to its result.
    - ``time_to_first_token_milliseconds``, ``inter_token_latency_milliseconds``: of generation alone.
    - ``requests_per_second``: of all clients together; the plan then tells replicas, and counts what they draw while
      they wait.
    """

    unit: Unit | None = None
    latency_milliseconds: float | None = None
    time_to_first_token_milliseconds: float | None = None
    inter_token_latency_milliseconds: float | None = None
    requests_per_second: float | None = None

    def __post_init__(self) -> None:
        """Raise WorkloadError, naming the field, for a limit or a rate that is not a positive number."""
        if self.unit not in (None, *get_args(Unit)):
            raise WorkloadError(f"unit {self.unit!r} is not known: choose one of {', '.join(get_args(Unit))}")
        for name in (*LIMITS, "requests_per_second"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise WorkloadError(f"{name} is {value}: give a number above 0")


LIMITS = ("latency_milliseconds", "time_to_first_token_milliseconds", "inter_token_latency_milliseconds")
"""Fields of ``Objective`` that limit a time."""

LIMIT_SHARES = tuple(share / 100 for share in range(95, 39, -5))
"""Power limits that are tried, as shares of the card's own; boards accept none far below 40 % of it."""


def unit_of(objective: Objective, *, generates: bool) -> Unit:
    """Return what joules are counted by. Raises WorkloadError for a unit or a limit that the workload does not have."""
    if generates:
        if objective.unit == "inference":
            raise WorkloadError("a language model that generates is planned by request or output_token, not inference")
        return objective.unit or "request"
    of_generation = [name for name in LIMITS[1:] if getattr(objective, name) is not None]
    if of_generation:
        raise WorkloadError(f"a pass generates no tokens: leave {of_generation[0]} out, or give latency_milliseconds")
    if objective.unit not in (None, "inference"):
        raise WorkloadError(f"a pass is planned by inference, not by {objective.unit}: leave the unit out")
    return "inference"
