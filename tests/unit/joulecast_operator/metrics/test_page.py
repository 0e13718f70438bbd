from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from joulecast_operator.estimates.forecasts import Forecaster
from joulecast_operator.metrics import reconciles
from joulecast_operator.metrics.certificates import show_certificate
from joulecast_operator.metrics.collector import EstimateCollector
from joulecast_operator.metrics.fleet.workloads import WorkloadCollector
from joulecast_operator.metrics.page import METRICS
from joulecast_operator.metrics.reconciles import refused_writes
from joulecast_operator.metrics.webhook import AdmissionMetrics, show_expiry
from joulecast_operator.metrics.work import show_isolation
from joulecast_operator.settings import Settings
from tests.unit.joulecast_operator.samples.scrapes import Index
from tests.unit.joulecast_operator.samples.workloads import H200, estimate


def test_every_declared_metric_is_served_and_no_other(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    AdmissionMetrics(registry)
    show_isolation(registry, ["seccomp"])
    show_expiry(registry, lambda: 0.0)
    show_certificate(registry, lambda: 0.0)
    registry.register(refused_writes())
    reconciles.Reconciles(registry)
    reconciles.show_queue(registry, lambda: 0, lambda: 0.0)
    reconciles.show_index(registry, lambda: 0.0)
    reconciles.show_contested(registry, lambda: 0)
    for collector in Forecaster(Settings(cache_dir=tmp_path)).collectors:
        registry.register(collector)
    profile = {"spec": {"product": H200}, "status": {"heldOutError": 0.1}}
    registry.register(WorkloadCollector(lambda: ()))
    registry.register(EstimateCollector(Index(estimate(), profiles=(profile,))))
    served = {family.name for family in text_string_to_metric_families(generate_latest(registry).decode())}
    assert served == {metric.name.removesuffix("_total") for metric in METRICS}
