"""Candidates of a plan: a setting with what it costs, and the settings that are excluded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from joulecast.planning.settings import LIMITS, Objective, Setting, Unit
from joulecast.units import Joules, Seconds, Watts

if TYPE_CHECKING:
    from joulecast.api.generation import GenerationEstimate
    from joulecast.energy.model import EnergyEstimate, Origin

Why = Literal["memory", "slo", "profile", "degree"]
"""memory: the cards do not hold it. slo: it is slower than asked. profile: nothing prices it there. degree: so many
cards cannot share the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A setting and its forecast.

    - ``joules``: by ``unit``, with what replicas draw while they wait where a rate is known.
    - ``log_half_width``: of the interval of ``joules``.
    - ``latency_seconds``: of a pass, with the time in which its batch fills where a rate is known; of a whole request.
    - ``time_to_first_token_seconds``, ``inter_token_latency_seconds``: 0 of a pass.
    - ``average_power_watts``: of all cards of all replicas.
    - ``replicas``: 1 where no rate is asked for.
    - ``may_miss``: limits that the forecast keeps and the upper end of its interval does not, by name.
    """

    setting: Setting
    unit: Unit
    joules: Joules
    log_half_width: float
    latency_seconds: Seconds
    time_to_first_token_seconds: Seconds
    inter_token_latency_seconds: Seconds
    average_power_watts: Watts
    replicas: int = 1
    origin: Origin
    interval_level: float = 0.9
    interval_guaranteed: bool = False
    may_miss: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def cards(self) -> int:
        """Cards of all replicas."""
        return self.replicas * self.setting.tensor_parallel

    @property
    def joules_lower(self) -> Joules:
        return Joules(self.joules * math.exp(-self.log_half_width))

    @property
    def joules_upper(self) -> Joules:
        return Joules(self.joules * math.exp(self.log_half_width))


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """What is no candidate: a setting, or a whole accelerator where ``setting`` is None.

    - ``reason``: the word of the error; ``message``: a sentence.
    """

    accelerator: str
    setting: Setting | None = None
    why: Why
    reason: str
    message: str


def of_pass(estimate: EnergyEstimate, setting: Setting, objective: Objective, idle_watts: float) -> Candidate:
    """Return the candidate of a pass; ``idle_watts``: of one card that waits.

    At a rate, inputs arrive one by one: the first of a batch waits for the last.
    """
    size, seconds = estimate.batch_size, float(estimate.latency_seconds)
    load = _Load.of(objective.requests_per_second, size / seconds if seconds else math.inf)
    filling = (size - 1) * load.replicas / objective.requests_per_second if objective.requests_per_second else 0.0
    busy = float(estimate.joules_per_batch) / size
    idle = load.idle_joules(idle_watts * estimate.parallel)
    return Candidate(
        setting=setting,
        unit="inference",
        joules=Joules(busy + idle),
        log_half_width=_log_half_width(estimate.joules_per_batch, estimate.joules_per_batch_upper),
        latency_seconds=Seconds(seconds + filling),
        time_to_first_token_seconds=Seconds(0.0),
        inter_token_latency_seconds=Seconds(0.0),
        average_power_watts=load.watts(busy + idle, estimate.average_power_watts),
        replicas=load.replicas,
        origin=estimate.origin,
        interval_level=estimate.interval_level,
        interval_guaranteed=estimate.interval_guaranteed,
        reasons=estimate.reasons,
    )


def of_generation(
    estimate: GenerationEstimate, setting: Setting, objective: Objective, unit: Unit, idle_watts: float
) -> Candidate:
    """Return the candidate of generation; ``idle_watts``: of one card that waits.

    What replicas draw while they wait is added to input and output in equal shares of their joules.
    """
    load = _Load.of(objective.requests_per_second, estimate.concurrency / estimate.request_seconds)
    request = estimate.joules_per_request
    idle = load.idle_joules(idle_watts * estimate.parallel)
    counted = request.value if unit == "request" else estimate.joules_per_output_token.value
    first, later = estimate.time_to_first_token_seconds, estimate.inter_token_latency_seconds
    uppers = {
        LIMITS[0]: estimate.request_seconds * (first.upper / first.value if first.value else 1.0),
        LIMITS[1]: first.upper,
        LIMITS[2]: later.upper,
    }
    return Candidate(
        setting=setting,
        unit=unit,
        joules=Joules(counted * (1 + idle / request.value)),
        log_half_width=_log_half_width(request.value, request.upper),
        latency_seconds=estimate.request_seconds,
        time_to_first_token_seconds=Seconds(first.value),
        inter_token_latency_seconds=Seconds(later.value),
        average_power_watts=load.watts(request.value + idle, estimate.average_power_watts),
        replicas=load.replicas,
        origin=estimate.origin,
        interval_level=estimate.interval_level,
        interval_guaranteed=estimate.interval_guaranteed,
        may_miss=tuple(name for name, upper in uppers.items() if _over(objective, name, upper)),
        reasons=estimate.reasons,
    )


def missed(candidate: Candidate, objective: Objective) -> tuple[str, ...]:
    """Return a clause for each limit that the forecast of ``candidate`` does not keep."""
    found = {
        "latency": (LIMITS[0], candidate.latency_seconds),
        "time to the first token": (LIMITS[1], candidate.time_to_first_token_seconds),
        "time between tokens": (LIMITS[2], candidate.inter_token_latency_seconds),
    }
    return tuple(
        f"{what} of {1e3 * seconds:.3g} ms, above {getattr(objective, name):g} ms"
        for what, (name, seconds) in found.items()
        if _over(objective, name, seconds)
    )


def _over(objective: Objective, name: str, seconds: float) -> bool:
    limit = getattr(objective, name)
    return limit is not None and 1e3 * seconds > limit


def _log_half_width(value: float, upper: float) -> float:
    return math.log(upper / value) if value > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """Replicas that complete a rate of requests, and the share of time for which they run."""

    replicas: int = 1
    requests_per_second: float | None = None
    busy_share: float = 1.0

    @classmethod
    def of(cls, rate: float | None, completed_per_second: float) -> _Load:
        """Return the fewest replicas for ``rate``, each of which completes so many requests a second."""
        if rate is None:
            return cls()
        replicas = max(1, math.ceil(rate / completed_per_second * (1 - _ROUNDING)))
        busy = min(1.0, rate / (replicas * completed_per_second))
        return cls(replicas=replicas, requests_per_second=rate, busy_share=busy)

    def idle_joules(self, replica_watts: float) -> float:
        """Return what waiting replicas of ``replica_watts`` draw, by request."""
        if self.requests_per_second is None:
            return 0.0
        return (1 - self.busy_share) * self.replicas * replica_watts / self.requests_per_second

    def watts(self, joules_per_request: float, busy_watts: Watts) -> Watts:
        """Return the power of all replicas: at the rate, else of one that always runs."""
        rate = self.requests_per_second
        return busy_watts if rate is None else Watts(rate * joules_per_request)


_ROUNDING = 1e-9  # of floating point: a rate that one replica completes exactly needs no second one
