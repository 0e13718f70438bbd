"""Rank workloads by the power that is forecast of them, and add it up; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from joulecast_operator.kubectl.standing import Standing, document_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What some workloads draw together.

    - ``workloads``: how many have a forecast, ``with_load`` of them with a known load.
    - ``pods``: those that they ask for, of workloads whose power is known.
    - ``watts``: at their load, of those with one.
    - ``busy_watts``: of all, while every pod runs without a pause; of those pods.
    """

    workloads: int
    with_load: int
    pods: int
    watts: float
    busy_watts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Workloads by forecast power.

    - ``standings``: those with watts at their load first, then by the power of all pods, then those without a forecast.
    - ``unread``: why workloads of a kind could not be read, by kind.
    """

    standings: tuple[Standing, ...]
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def forecast(self) -> list[Standing]:
        """Return the workloads that have a forecast."""
        return [each for each in self.standings if each.row is not None]

    @property
    def total(self) -> Sum:
        """Return the sum of all workloads."""
        return sum_of(self.forecast)

    @property
    def by_accelerator(self) -> dict[str, Sum]:
        """Return the sum of each accelerator's workloads, the most power first."""
        groups: dict[str, list[Standing]] = {}
        for each in self.forecast:
            groups.setdefault(str(each.accelerator), []).append(each)
        sums = {name: sum_of(group) for name, group in groups.items()}
        return dict(sorted(sums.items(), key=lambda item: (-item[1].watts, -item[1].busy_watts, item[0])))


def ranked(standings: Iterable[Standing], unread: Mapping[str, str]) -> Ranking:
    """Return the ranking of workloads. ``unread``: why workloads of a kind could not be read."""
    return Ranking(standings=tuple(sorted(standings, key=_place)), unread=unread)


def sum_of(standings: Sequence[Standing]) -> Sum:
    """Add up workloads that have a forecast."""
    known = [each.watts for each in standings if each.watts is not None]
    return Sum(
        workloads=len(standings),
        with_load=len(known),
        pods=sum(each.pods or 0 for each in standings if each.busy_watts is not None),
        watts=sum(known),
        busy_watts=sum(each.busy_watts or 0.0 for each in standings),
    )


def ranking_document(ranking: Ranking) -> dict[str, Any]:
    """Return a ranking as a document."""
    return {
        "workloads": [document_of(each) for each in ranking.standings],
        "total": _document(ranking.total),
        "byAccelerator": {name: _document(each) for name, each in ranking.by_accelerator.items()},
        "unread": dict(ranking.unread),
    }


def _document(found: Sum) -> dict[str, Any]:
    return {
        "workloads": found.workloads,
        "workloadsWithLoad": found.with_load,
        "pods": found.pods,
        "watts": found.watts,
        "busyWatts": found.busy_watts,
    }


def _place(standing: Standing) -> tuple[Any, ...]:
    watts, busy = standing.watts, standing.busy_watts
    name = (standing.namespace, standing.kind, standing.name)
    return (standing.row is None, watts is None, -(watts or 0.0), -(busy or 0.0), *name)
