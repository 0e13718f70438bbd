"""Test with a real Prometheus the metrics of both processes and every query of the dashboard."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from joulecast_operator.plans.costs import PLANS
from joulecast_operator.plans.status import desired_status
from joulecast_operator.sites.costed import with_cost
from tests.cluster.release import Release, deployment, ready_status
from tests.harness import http
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import CHART
from tests.harness.ports import free_port
from tests.harness.processes import Process
from tests.harness.prometheus import Prometheus
from tests.unit.joulecast_operator.samples.costs import HERE
from tests.unit.joulecast_operator.samples.estimates import REQUEST
from tests.unit.joulecast_operator.samples.plans import planned
from tests.unit.joulecast_operator.samples.sites import COST, STATUS
from tests.unit.joulecast_operator.samples.workloads import generation
from tests.waiting import eventually

IMAGE = "registry.invalid/detector:1"
DASHBOARD = json.loads((CHART / "dashboards" / "joulecast.json").read_text())
QUERIES = sorted({target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())})
ALERTS = yaml.safe_load((CHART / "alerts" / "joulecast.yaml").read_text())["groups"][0]["rules"]
VARIABLES = {"$namespace": ".*", "$accelerator": ".*", "$__rate_interval": "30s"}

# the controller's view of the cluster without its hand in it: it would fetch the images that these tests invent
EXPORTER = """
import asyncio, sys, kopf
from joulecast_operator.workers import isolation
from joulecast_operator.estimates.forecasts import Forecaster
from joulecast_operator.serving.health import Health, served
from joulecast_operator.index.index import Index
from joulecast_operator.api.kinds import CALIBRATIONS, ESTIMATES, PLANS, PROFILES, SITES
from joulecast_operator.api.objects import Scope
from joulecast_operator.cluster.client import Cluster
from joulecast_operator.metrics.certificates import show_certificate
from joulecast_operator.metrics.collector import EstimateCollector
from joulecast_operator.metrics.estimates import shown
from joulecast_operator.metrics.fleet.workloads import ServedWorkload, WorkloadCollector
from joulecast_operator.metrics.reconciles import Reconciles, refused_writes, show_contested, show_index, show_queue
from joulecast_operator.metrics.registry import registry_with
from joulecast_operator.metrics.work import show_isolation
from joulecast_operator.settings import Settings
from joulecast_operator.cluster.watches import Watches

async def main():
    index = Index(shown=shown)
    scopes = [Scope(kind=kind) for kind in (ESTIMATES, PROFILES, SITES, CALIBRATIONS, PLANS)]
    watches = Watches(index=index, cluster=Cluster(), scopes=scopes)
    health = Health(sick=lambda: None, unready=lambda: None if index.ready else "the index is being filled")
    work = Forecaster(Settings(cache_dir=sys.argv[2])).collectors
    registry = registry_with(EstimateCollector(index), refused_writes(), *work)
    show_isolation(registry, await isolation.checked())
    show_queue(registry, lambda: 3, lambda: 0.5)
    show_contested(registry, lambda: 0)
    of = ("shop", "Deployment", "web", "NVIDIA-H200")
    web = ServedWorkload(labels=of, per="inference", values=(2, 0.1, 400.0))
    registry.register(WorkloadCollector(lambda: [web]))
    show_index(registry, index.behind_seconds)
    show_certificate(registry, lambda: 0.0)
    reconciles = Reconciles(registry)
    with reconciles.timed("InferenceEnergyEstimate"):
        reconciles.failed("InferenceEnergyEstimate", "RegistryUnavailable")
    async with served(int(sys.argv[1]), registry, health, host="127.0.0.1"):
        await kopf.operator(registry=watches.registry, settings=watches.settings, clusterwide=True)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    with ControlPlane.start(tmp_path_factory.mktemp("metrics"), controller_manager=False) as plane:
        found = Release(plane)
        found.install()
        plane.kubectl("create", "namespace", "shop")
        with found.webhook().start():
            yield found
        assert list(found.forbidden()) == []


@pytest.fixture(scope="module")
def exporter(release: Release) -> Iterator[str]:
    """Return HOST:PORT of the metrics of forecasts."""
    port = free_port()
    process = Process(
        "exporter",
        [sys.executable, "-c", EXPORTER, str(port), str(release.installation.directory / "cache")],
        directory=release.installation.directory,
        environment=release.plane.environment(release.installation.account("controller")),
        is_ready=lambda: http.answers(f"http://127.0.0.1:{port}/readyz"),
    )
    with process.start():
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def scraped(release: Release, exporter: str, prometheus: Prometheus) -> Prometheus:
    """Return a Prometheus that has scraped estimates, a profile and reviews of every kind."""
    release.estimate("detector", "shop", IMAGE, 0.42)
    release.wait_known("shop", "0.42", IMAGE)
    release.plane.apply(estimate("waiting"), profile())
    generated(release, "chat")
    status = {"status": {"heldOutError": 0.11, "conditions": []}}
    release.plane.kubectl("patch", "aep", "h200", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    release.plane.apply(calibration())
    under_way = {"status": {"phase": "Measuring", "progress": 0.42, "accelerator": "NVIDIA-H200"}}
    release.plane.kubectl(
        "patch", "ecal", "h200", "-n", "shop", "--subresource=status", "--type=merge", "-p", json.dumps(under_way)
    )
    priced(release, "detector")
    release.plane.apply(plan())
    unpriced = desired_status(plan(), planned(), request=REQUEST, now=datetime.now(UTC))
    made = {"status": with_cost(plan(), unpriced, HERE, pricing=PLANS, now=datetime.now(UTC))}
    release.plane.kubectl(
        "patch", "eplan", "detector", "-n", "shop", "--subresource=status", "--type=merge", "-p", json.dumps(made)
    )
    prometheus.scrape(exporter, release.installation.webhook_url.removeprefix("http://"))
    release.plane.apply(deployment("web", "shop"))
    assert eventually(lambda: prometheus.query('joulecast_estimate_info{state="Ready"}'))
    assert eventually(lambda: prometheus.query("rate(joulecast_admission_duration_seconds_count[30s]) > 0"))
    return prometheus


def estimate(name: str) -> dict[str, object]:
    kind = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "InferenceEnergyEstimate"}
    return kind | {"metadata": {"name": name, "namespace": "shop"}, "spec": {"model": {"image": IMAGE}}}


def generated(release: Release, name: str) -> None:
    """Create an estimate of a language model's requests with the status that the controller writes."""
    kind = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "InferenceEnergyEstimate"}
    release.plane.apply(
        kind | {"metadata": {"name": name, "namespace": "shop"}, "spec": {"model": {"uri": "hf://a/chat"}}}
    )
    release.put_status(name, "shop", ready_status(0.42) | {"results": [generation()]})


def priced(release: Release, name: str) -> None:
    """Create a site, and write into its status and that of an estimate what the controller writes."""
    kind = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "EnergySite"}
    spec = {"pricePerKilowattHour": ["0.25"], "currency": "EUR"}
    release.plane.apply(kind | {"metadata": {"name": "falkenstein"}, "spec": spec})
    said = {"status": STATUS}
    release.plane.kubectl(
        "patch", "esite", "falkenstein", "--subresource=status", "--type=merge", "-p", json.dumps(said)
    )
    cost = {"site": "falkenstein", "kilowattHours": 1e-8, "kilowatts": 0.4, "powerOf": "oneReplica"}
    release.put_status(name, "shop", {"cost": COST | cost})


def profile() -> dict[str, object]:
    kind = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "AcceleratorEnergyProfile"}
    return kind | {"metadata": {"name": "h200"}, "spec": {"product": "NVIDIA-H200", "coefficients": "{}"}}


def calibration() -> dict[str, object]:
    kind = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "EnergyCalibration"}
    return kind | {"metadata": {"name": "h200", "namespace": "shop"}, "spec": {"accelerator": "NVIDIA-H200"}}


def plan() -> dict[str, Any]:
    kind = {"apiVersion": "joulecast.dev/v1alpha1", "kind": "EnergyPlan"}
    return kind | {"metadata": {"name": "detector", "namespace": "shop"}, "spec": {"model": {"image": IMAGE}}}


def answer(scraped: Prometheus, query: str) -> list[dict[str, Any]]:
    """Return the result when there is one; after a scrape that took too long there is none for a second."""
    found: list[dict[str, Any]] = []
    assert eventually(lambda: found.extend(scraped.query(query)) or found), f"nothing for {query}"
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_the_dashboard_finds_something(scraped: Prometheus, query: str) -> None:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query
    assert answer(scraped, query)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_no_alert_fires_where_all_is_well(scraped: Prometheus, alert: dict[str, Any]) -> None:
    assert eventually(lambda: scraped.query("joulecast_queue_depth"))
    assert scraped.query(alert["expr"]) == []


def test_the_variables_of_the_dashboard_have_values(scraped: Prometheus) -> None:
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()
            assert [each for each in answer(scraped, f"group by ({label}) ({metric})") if each["metric"].get(label)]


def test_a_forecast_arrives_with_its_labels_and_value(scraped: Prometheus) -> None:
    (found,) = answer(scraped, 'joulecast_predicted_joules_per_batch{accelerator="NVIDIA-H200", estimate="detector"}')
    labels = {key: value for key, value in found["metric"].items() if key not in ("__name__", "instance", "job")}
    assert labels == {
        "namespace": "shop",
        "estimate": "detector",
        "accelerator": "NVIDIA-H200",
        "batch_size": "32",
        "precision": "default",
    }  # an empty label, such as `workload` here, is none to Prometheus
    assert float(found["value"][1]) == 0.42


def test_joules_of_requests_arrive_with_their_tokens(scraped: Prometheus) -> None:
    (found,) = answer(scraped, 'joulecast_predicted_joules_per_request{estimate="chat"}')
    labels = {key: value for key, value in found["metric"].items() if key not in ("__name__", "instance", "job")}
    assert labels == {
        "namespace": "shop",
        "estimate": "chat",
        "accelerator": generation()["accelerator"],
        "precision": generation()["precision"],
        "phase": "request",
        "concurrency": "32",
        "input_tokens": "512",
        "output_tokens": "256",
        "parallel": "2",
    }
    assert float(found["value"][1]) == generation()["joulesPerRequest"]


def test_a_plan_arrives_with_its_choice_and_what_it_saves(scraped: Prometheus) -> None:
    (found,) = answer(scraped, 'joulecast_plan_info{plan="detector"}')
    told = {"accelerator": "NVIDIA-H200", "choice": "NVIDIA-H200, batch size 8", "reason": "Chosen"}
    assert told.items() <= found["metric"].items()
    (saved,) = answer(scraped, 'joulecast_plan_saving_ratio{plan="detector"}')
    assert float(saved["value"][1]) == pytest.approx(0.333)


def test_admissions_are_counted_by_decision(scraped: Prometheus) -> None:
    samples = answer(scraped, "joulecast_admission_requests_total")
    found = {each["metric"]["decision"]: float(each["value"][1]) for each in samples}
    assert found["annotated"] >= 1
    assert found["error"] == 0


def test_each_process_shows_how_current_its_index_is(scraped: Prometheus) -> None:
    assert eventually(lambda: len(scraped.query("joulecast_index_behind_seconds == 0")) == 2)


def test_the_series_of_a_deleted_estimate_end(release: Release, scraped: Prometheus) -> None:
    release.estimate("short-lived", "shop", "registry.invalid/other:1", 3.0)
    query = 'joulecast_predicted_joules_per_batch{estimate="short-lived"}'
    assert eventually(lambda: scraped.query(query))
    release.plane.kubectl("delete", "iee", "short-lived", "-n", "shop")
    assert eventually(lambda: not scraped.query(query))
