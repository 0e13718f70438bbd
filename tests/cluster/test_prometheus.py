"""Test that the Prometheus of the tests of metrics is a real one."""

from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from tests.harness.prometheus import Prometheus
from tests.waiting import eventually


@pytest.fixture
def exporter() -> Iterator[str]:
    """Run a target whose gauge `sample_joules` is 42."""
    collectors = CollectorRegistry()
    Gauge("sample_joules", "A sample", registry=collectors).set(42)
    server, thread = start_http_server(0, "127.0.0.1", collectors)
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_scrapes_a_target_and_answers(prometheus: Prometheus, exporter: str) -> None:
    prometheus.scrape(exporter)

    def sample() -> dict[str, object]:
        found = prometheus.query("sum by (instance) (sample_joules)")
        return {each["metric"]["instance"]: each["value"][1] for each in found}

    assert eventually(lambda: sample() == {exporter: "42"})


def test_a_wrong_query_is_refused(prometheus: Prometheus) -> None:
    with pytest.raises(HTTPError, match="400"):
        prometheus.query("sum(")
