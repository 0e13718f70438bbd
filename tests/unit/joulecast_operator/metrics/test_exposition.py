from __future__ import annotations

import gzip

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from joulecast_operator.metrics import exposition
from joulecast_operator.metrics.collector import EstimateCollector
from joulecast_operator.metrics.webhook import AdmissionMetrics
from tests.unit.joulecast_operator.samples import many
from tests.unit.joulecast_operator.samples.scrapes import Index
from tests.unit.joulecast_operator.samples.workloads import estimate


def test_ten_thousand_estimates_are_a_page_of_few_bytes() -> None:
    count = 200
    registry = CollectorRegistry()
    registry.register(EstimateCollector(Index(*(many.estimate(number) for number in range(count)))))
    page = exposition.page(registry)
    assert len(page) * 10_000 / count < 20e6
    assert len(gzip.compress(page)) * 10_000 / count < 5e6


def test_the_page_says_what_the_client_library_would_write() -> None:
    odd = estimate("odd", spec={"model": {"image": 'a"b\\c'}})
    registry = CollectorRegistry()
    AdmissionMetrics(registry)
    registry.register(EstimateCollector(Index(estimate(), odd, estimate("waits", ready="False"))))
    ours, theirs = (
        list(text_string_to_metric_families(page.decode()))
        for page in (exposition.page(registry), generate_latest(registry))
    )
    assert ours == theirs
