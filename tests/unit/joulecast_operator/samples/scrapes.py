from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from joulecast_operator.metrics.collector import EstimateCollector
from joulecast_operator.metrics.estimates import ServedRow, shown
from tests.unit.joulecast_operator.samples.workloads import Estimates


class Index(Estimates):
    def __init__(
        self,
        *held: dict[str, Any],
        profiles: tuple[dict[str, Any], ...] = (),
        calibrations: tuple[dict[str, Any], ...] = (),
        sites: tuple[dict[str, Any], ...] = (),
        plans: tuple[dict[str, Any], ...] = (),
        all_results: bool = False,
    ) -> None:
        super().__init__(*held)
        self.all_results = all_results
        self.profile_list = profiles
        self.calibration_list = calibrations
        self.site_list = sites
        self.plan_list = plans

    def shown(self) -> list[tuple[ServedRow, ...]]:
        return [shown(found, all_results=self.all_results) for found in self.held]

    def profiles(self) -> list[dict[str, Any]]:
        return list(self.profile_list)

    def calibrations(self) -> list[dict[str, Any]]:
        return list(self.calibration_list)

    def sites(self) -> list[dict[str, Any]]:
        return list(self.site_list)

    def plans(self) -> list[dict[str, Any]]:
        return list(self.plan_list)


def samples(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(generate_latest(registry).decode())
    found = [
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in families
        for sample in family.samples
    ]
    keyed = {(name, labels): value for name, labels, value in found}
    assert len(keyed) == len(found), "a label set came twice"
    return keyed


def scrape(
    *held: dict[str, Any],
    profiles: tuple[dict[str, Any], ...] = (),
    calibrations: tuple[dict[str, Any], ...] = (),
    sites: tuple[dict[str, Any], ...] = (),
    plans: tuple[dict[str, Any], ...] = (),
    all_results: bool = False,
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    registry = CollectorRegistry()
    index = Index(
        *held, profiles=profiles, calibrations=calibrations, sites=sites, plans=plans, all_results=all_results
    )
    registry.register(EstimateCollector(index))
    return samples(registry)


def names(found: dict[tuple[str, frozenset[tuple[str, str]]], float]) -> set[str]:
    return {name for name, _ in found}
