"""Compute what all replicas of a workload draw together, from a forecast of one of them; pure."""

from __future__ import annotations

from dataclasses import dataclass

from joulecast.units import round_significant
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.api.workload import quantity
from joulecast_operator.estimates.replicas import replicas_like
from joulecast_operator.sites.costs import unit_energy
from joulecast_operator.workloads.pods import PODS

_PERCENT = 100
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFigures:
    """What a workload asks for and spends by its forecast.

    - ``accelerator``: product name of the accelerator that the forecast is of.
    - ``pods``: the pods that it asks for at once; None where that is not known.
    - ``per``, ``joules``: what joules are of (``inference``, ``request``, ``input_token``, ``output_token``), and those
      of one of it.
    - ``watts``: of all replicas together; None where the estimate says neither a rate nor a utilization, or where the
      forecast is not of one replica.
    """

    accelerator: str
    pods: int | None
    per: str
    joules: float
    watts: float | None


def figures(asked: Resource, row: Resource, workload: Resource) -> WorkloadFigures | None:
    """Return the figures of a stored workload; None if the result has no energy.

    ``asked``: the estimate's ``spec.workload``. ``row``: its result that speaks for the workload.
    """
    energy = unit_energy(row)
    if energy is None:
        return None
    per, joules = energy
    watts, pods = power_watts(asked, row, replicas_like(workload, row)), workload.get(PODS)
    return WorkloadFigures(accelerator=str(row.get("accelerator")), pods=pods, per=per, joules=joules, watts=watts)


def power_watts(asked: Resource, row: Resource, replicas: int | None) -> float | None:
    """Return the mean power of ``replicas``, each busy as ``asked`` says; None where that, or the number, is not known.

    A replica that is not busy draws the power of its accelerators with a context and no kernel.
    """
    busy, running = busy_share(asked, row), row.get("averagePowerWatts")
    idle = row.get("idlePowerWatts", None if busy is not None and busy < 1 else 0.0)
    if busy is None or replicas is None or running is None or idle is None:
        return None
    return round_significant(replicas * (busy * running + (1 - busy) * idle), _DIGITS)


def busy_share(asked: Resource, row: Resource) -> float | None:
    """Return for which share of the time a replica is busy, by its utilization or its rate; None if neither.

    A replica that gets more requests than it completes is busy all the time.
    """
    percent, rate = asked.get("utilizationPercent"), asked.get("requestsPerSecond")
    if isinstance(percent, int):
        return percent / _PERCENT
    joules, watts = row.get("joulesPerRequest"), row.get("averagePowerWatts")
    if not isinstance(rate, (int, str)) or not joules or not watts:
        return None
    return min(1.0, quantity(rate) * float(joules) / float(watts))


def asked_of(estimate: Resource) -> Resource:
    """Return how an estimate says that its model is run."""
    return mapping(mapping(estimate.get("spec")).get("workload"))
