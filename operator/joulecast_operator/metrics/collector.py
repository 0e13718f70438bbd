"""Collect the series of estimates, plans, profiles, sites and calibrations from the index at scrape time.

Nothing is stored here, so the series of a deleted object end with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from joulecast_operator.api.objects import Resource
from joulecast_operator.metrics.calibrations import (
    CALIBRATION_ERROR,
    CALIBRATION_INFO,
    CALIBRATION_PROGRESS,
    calibration_family,
    run_families,
)
from joulecast_operator.metrics.estimates import FAMILIES, ServedRow, estimate_families
from joulecast_operator.metrics.fleet.costs import COSTS, cost_families
from joulecast_operator.metrics.fleet.sites import SITE_METRICS, site_families
from joulecast_operator.metrics.plans import PLANS, plan_families


class LiveIndex(Protocol):
    """What the collector reads from the index at scrape time."""

    def shown(self) -> Iterable[tuple[ServedRow, ...]]:
        """Return the rows to serve of every estimate."""

    def profiles(self) -> Iterable[Resource]:
        """Return all accelerator profiles."""

    def sites(self) -> Iterable[Resource]:
        """Return all energy sites."""

    def calibrations(self) -> Iterable[Resource]:
        """Return all calibrations."""

    def plans(self) -> Iterable[Resource]:
        """Return all plans."""


class EstimateCollector(Collector):
    """Collects the series of every estimate, plan, profile, site and calibration that the index holds now."""

    def __init__(self, index: LiveIndex) -> None:
        self._index = index

    def collect(self) -> Iterator[GaugeMetricFamily]:
        rows = [row for rows in self._index.shown() for row in rows]
        yield from estimate_families(rows)
        yield from cost_families(row.cost for row in rows if row.cost)
        yield from site_families(self._index.sites())
        yield calibration_family(self._index.profiles())
        yield from run_families(self._index.calibrations())
        yield from plan_families(self._index.plans())

    def describe(self) -> Iterator[GaugeMetricFamily]:
        for metric in (
            *FAMILIES,
            *COSTS,
            *SITE_METRICS,
            CALIBRATION_ERROR,
            CALIBRATION_PROGRESS,
            CALIBRATION_INFO,
            *PLANS,
        ):
            yield metric.family()
