"""Test on a real API server that costs follow EnergySites and are never those of before, and the power of all pods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.controlled import Cluster, controlled, estimate, merge, metrics
from tests.cluster.release import workload
from tests.cluster.test_plans import made, status
from tests.harness.environment import ROOT
from tests.harness.installation import NAMESPACE

FIGURES = "figures"
SITE = {"pricePerKilowattHour": ["0.2"], "currency": "EUR", "gramsCo2ePerKilowattHour": [400]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with controlled(tmp_path_factory.mktemp("sites"), flags=["--site-poll-seconds=0.5"]) as started:
        started.push("priced")
        yield started
        assert started.forbidden() == []


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    yield cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")
    cluster.plane.kubectl("delete", "esite", "--all")
    gone = lambda: "joulecast_site_info{" not in metrics(cluster.installation.controller_url)  # noqa: E731
    cluster.until(gone, "the controller knows of no site")


def site(name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name}
    return {"apiVersion": "joulecast.dev/v1alpha1", "kind": "EnergySite", "metadata": metadata, "spec": spec}


def asked(cluster: Cluster, name: str, namespace: str, **spec: Any) -> None:
    """Apply an estimate and wait until it is Ready."""
    body = {"workload": {"batchSizes": [8]}, "accelerators": {"names": ["NVIDIA-H200"]}} | spec
    cluster.plane.apply(estimate(name, namespace, cluster.image("priced"), **body))
    cluster.until_ready(name, namespace)


def hourly(cluster: Cluster, name: str, namespace: str) -> float | None:
    """Return what an hour costs by the status of an estimate; None if it has no cost."""
    found = cluster.status(name, namespace).get("cost", {}).get("moneyPerHour", {}).get("mean")
    return None if found is None else float(found)


def kilowatts(cluster: Cluster, name: str, namespace: str) -> float:
    return float(cluster.status(name, namespace)["results"][0]["averagePowerWatts"]) / 1000


def costs(cluster: Cluster, name: str, namespace: str, price: float) -> bool:
    """Tell whether an hour of an estimate costs what its power costs at ``price`` a kilowatt hour."""
    return hourly(cluster, name, namespace) == pytest.approx(price * kilowatts(cluster, name, namespace), rel=1e-4)


def until_costed(cluster: Cluster, name: str, namespace: str, price: float) -> None:
    cluster.until(lambda: costs(cluster, name, namespace, price), f"{name} costs {price} a kilowatt hour")


def costed(cluster: Cluster, name: str, namespace: str) -> str:
    return str(cluster.condition(name, namespace, "Costed").get("reason", ""))


def said(cluster: Cluster, name: str, kind: str = "Ready") -> dict[str, Any]:
    """Return a condition of a site."""
    conditions = (cluster.plane.get("esite", name) or {}).get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


def until_said(cluster: Cluster, name: str, reason: str, kind: str = "Ready") -> None:
    cluster.until(lambda: said(cluster, name, kind).get("reason") == reason, f"{name} says {reason}")


def version(cluster: Cluster, name: str, namespace: str) -> str:
    found = cluster.plane.get("iee", name, namespace)
    assert found is not None
    return str(found["metadata"]["resourceVersion"])


def figures(cluster: Cluster, **data: str) -> None:
    """Make the ConfigMap that a site refers to."""
    metadata = {"name": FIGURES, "namespace": NAMESPACE}
    cluster.plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def refused(cluster: Cluster, **spec: Any) -> str:
    """Return why the API server refuses a site."""
    text = yaml.safe_dump(site("refused", **spec))
    done = cluster.plane.kubectl("apply", "-f", "-", stdin=text, check=False)
    assert done.returncode != 0
    return done.stderr


def test_a_changed_price_is_in_every_estimate_without_another_forecast(cluster: Cluster, namespace: str) -> None:
    other = cluster.plane.create_namespace(f"{namespace}-b")
    cluster.plane.apply(site("here", default=True, **SITE), site("there", **SITE | {"currency": "USD"}))
    asked(cluster, "plain", namespace)
    asked(cluster, "plain", other)
    asked(cluster, "named", namespace, siteName="there")
    for where in (namespace, other):
        until_costed(cluster, "plain", where, 0.2)
    until_costed(cluster, "named", namespace, 0.2)
    fetched, known = bytes_fetched(cluster), cluster.status("plain", namespace)
    named = version(cluster, "named", namespace)
    assert (known["cost"]["site"], known["cost"]["currency"]) == ("here", "EUR")
    assert known["summary"]["cost"].endswith(" EUR/1,000 inferences")
    wide = cluster.plane.kubectl("get", "iee", "plain", "-n", namespace, "-o", "wide").stdout
    assert known["summary"]["cost"] in wide
    assert " here " in wide

    merge(cluster.plane, "esite", "here", "default", {"spec": {"pricePerKilowattHour": ["0.3"]}})
    for where in (namespace, other):
        until_costed(cluster, "plain", where, 0.3)
    now = cluster.status("plain", namespace)
    assert now["estimatedAt"] == known["estimatedAt"]
    assert now["results"] == known["results"]
    assert now["cost"]["gramsCo2e"] == known["cost"]["gramsCo2e"]
    assert bytes_fetched(cluster) == fetched
    assert version(cluster, "named", namespace) == named, "what another site prices is not written"
    counted = lambda: (cluster.plane.get("esite", "here") or {})["status"].get("estimates") == 2  # noqa: E731
    cluster.until(counted, "the site says how many estimates it prices")
    page = metrics(cluster.installation.controller_url)
    assert (
        f'joulecast_predicted_cost_per_hour{{namespace="{namespace}",estimate="plain",site="here",currency="EUR"}}'
        in page
    )
    assert 'joulecast_site_price_per_kilowatt_hour{currency="EUR",site="here"} 0.3' in page


def bytes_fetched(cluster: Cluster) -> str:
    page = metrics(cluster.installation.controller_url).splitlines()
    return next(line for line in page if line.startswith("joulecast_fetched_bytes_total"))


def test_a_changed_price_is_in_every_plan_without_another_plan(cluster: Cluster, namespace: str) -> None:
    cluster.plane.apply(site("here", default=True, **SITE))
    cluster.plane.apply(plan(cluster, namespace, "plain"), plan(cluster, namespace, "lost", siteName="nowhere"))
    known = made(cluster, "plain", namespace)
    assert set(known["cost"]) >= {"choice", "today", "savesPerMonth"}
    until_plan_costs(cluster, namespace, 0.2)
    assert known["summary"]["savesPerMonth"].partition(" ")[2].startswith("EUR (")
    wide = cluster.plane.kubectl("get", "eplan", "plain", "-n", namespace, "-o", "wide").stdout
    assert known["summary"]["cost"] in wide
    assert known["summary"]["savesPerMonth"] in wide
    lost = made(cluster, "lost", namespace)
    assert {each["type"]: each["reason"] for each in lost["conditions"]}["Costed"] == "SiteNotFound"
    assert "cost" not in lost
    fetched = bytes_fetched(cluster)

    merge(cluster.plane, "esite", "here", "default", {"spec": {"pricePerKilowattHour": ["0.4"]}})
    until_plan_costs(cluster, namespace, 0.4)
    now = status(cluster, "plain", namespace)
    assert (now["plannedAt"], now["choice"], now["inputsHash"]) == (
        known["plannedAt"], known["choice"], known["inputsHash"],
    )  # fmt: skip
    assert now["cost"]["savesPerMonth"]["money"] == pytest.approx(2 * known["cost"]["savesPerMonth"]["money"], rel=1e-4)
    assert bytes_fetched(cluster) == fetched
    priced = lambda count: (cluster.plane.get("esite", "here") or {})["status"].get("plans") == count  # noqa: E731
    cluster.until(lambda: priced(1), "the site says how many plans it prices")
    page = metrics(cluster.installation.controller_url)
    assert f'joulecast_plan_saved_cost_per_month{{currency="EUR",namespace="{namespace}",plan="plain",' in page
    merge(cluster.plane, "eplan", "lost", namespace, {"spec": {"siteName": "here"}})
    cluster.until(lambda: priced(2), "a plan that names another site is priced there")
    cluster.plane.kubectl("delete", "eplan", "lost", "-n", namespace)
    cluster.until(lambda: priced(1), "a deleted plan is not counted")
    cluster.plane.kubectl("delete", "esite", "here")
    cluster.until(lambda: "cost" not in status(cluster, "plain", namespace), "the figures of before are gone")
    last = status(cluster, "plain", namespace)
    assert not {"cost", "carbon", "site", "savesPerMonth"} & last["summary"].keys()
    assert "Costed" not in {each["type"] for each in last["conditions"]}


def plan(cluster: Cluster, namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return a plan whose choice is told from how the model runs today."""
    on = "NVIDIA-L40S"
    body = {
        "model": {"image": cluster.image("priced")},
        "candidates": {"accelerators": {"names": [on]}, "batchSizes": [1, 64]},
        "today": {"accelerator": on, "batchSize": 1},
    } | spec
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "joulecast.dev/v1alpha1", "kind": "EnergyPlan", "metadata": metadata, "spec": body}


def until_plan_costs(cluster: Cluster, namespace: str, price: float) -> None:
    """Wait until an hour of the choice costs what its power costs at ``price`` a kilowatt hour."""

    def costs() -> bool:
        found = status(cluster, "plain", namespace)
        hour = found.get("cost", {}).get("choice", {}).get("moneyPerHour", {}).get("mean")
        expected: float = price * found["choice"]["averagePowerWatts"] / 1000
        return bool(hour == pytest.approx(expected, rel=1e-4))

    cluster.until(costs, f"the choice costs {price} a kilowatt hour")


def test_figures_of_a_config_map_are_followed_and_bad_ones_take_the_cost_away(cluster: Cluster, namespace: str) -> None:
    cluster.plane.apply(site("fed", currency="EUR", configMapRef={"name": FIGURES}))
    asked(cluster, "fed", namespace, siteName="fed")
    until_said(cluster, "fed", "ConfigMapNotFound")
    cluster.until(lambda: costed(cluster, "fed", namespace) == "SiteNotUsable", "the estimate says it")
    assert f"there is no ConfigMap '{FIGURES}' of namespace '{NAMESPACE}'" in said(cluster, "fed")["message"]
    figures(cluster, pricePerKilowattHour="0.4")
    until_costed(cluster, "fed", namespace, 0.4)
    figures(cluster, pricePerKilowattHour=" ".join(["0.1"] * 12 + ["0.3"] * 12))
    until_costed(cluster, "fed", namespace, 0.2)
    charge = cluster.status("fed", namespace)["cost"]["moneyPerHour"]
    assert charge["lowest"] < charge["mean"] < charge["highest"]
    figures(cluster, pricePerKilowattHour="0.1 0.2")
    until_said(cluster, "fed", "InvalidSite")
    cluster.until(lambda: costed(cluster, "fed", namespace) == "SiteNotUsable", "a bad list prices nothing")
    assert hourly(cluster, "fed", namespace) is None
    assert "cost" not in cluster.status("fed", namespace)["summary"]
    assert cluster.condition("fed", namespace)["status"] == "True", "the forecast itself stands"
    figures(cluster, pricePerKilowattHour="0.5")
    until_costed(cluster, "fed", namespace, 0.5)
    cluster.plane.kubectl("delete", "configmap", FIGURES, "-n", NAMESPACE)
    until_said(cluster, "fed", "ConfigMapNotFound")
    cluster.until(lambda: hourly(cluster, "fed", namespace) is None, "the figures of before are gone")


def test_two_defaults_and_a_deleted_site_are_told(cluster: Cluster, namespace: str) -> None:
    asked(cluster, "plain", namespace)
    asked(cluster, "named", namespace, siteName="second")
    assert costed(cluster, "plain", namespace) == "", "no site concerns it"
    assert costed(cluster, "named", namespace) == "SiteNotFound"
    cluster.plane.apply(site("first", default=True, **SITE), site("second", default=True, **SITE))
    for name in ("first", "second"):
        until_said(cluster, name, "SeveralDefaultSites", "Default")
    cluster.until(lambda: costed(cluster, "plain", namespace) == "SeveralDefaultSites", "told")
    until_costed(cluster, "named", namespace, 0.2)
    cluster.plane.kubectl("delete", "esite", "second")
    until_said(cluster, "first", "Default", "Default")
    until_costed(cluster, "plain", namespace, 0.2)
    cluster.until(lambda: costed(cluster, "named", namespace) == "SiteNotFound", "told")
    assert hourly(cluster, "named", namespace) is None
    cluster.plane.kubectl("delete", "esite", "first")
    cluster.until(lambda: costed(cluster, "plain", namespace) == "", "as before")
    assert "cost" not in cluster.status("plain", namespace)


def test_a_price_that_changes_while_the_controller_is_away_is_followed_at_its_start(
    cluster: Cluster, namespace: str
) -> None:
    cluster.plane.apply(site("here", default=True, **SITE), site("there", **SITE))
    asked(cluster, "plain", namespace)
    asked(cluster, "named", namespace, siteName="there")
    until_costed(cluster, "plain", namespace, 0.2)
    until_costed(cluster, "named", namespace, 0.2)
    named = version(cluster, "named", namespace)
    cluster.installation.controller.kill()
    merge(cluster.plane, "esite", "here", "default", {"spec": {"pricePerKilowattHour": ["0.7"]}})
    cluster.installation.controller.start()
    until_costed(cluster, "plain", namespace, 0.7)
    assert version(cluster, "named", namespace) == named, "a restart writes nothing that did not change"


def test_the_power_of_all_pods_is_known_where_the_estimate_says_how_busy_they_are(
    cluster: Cluster, namespace: str
) -> None:
    """Of a workload with two estimates one figure is served; a Job that a CronJob owns has none of its own."""
    cluster.plane.apply(site("here", default=True, **SITE))
    cluster.plane.apply(workload("StatefulSet", "web", namespace, image=cluster.image("priced")))
    cluster.plane.apply(workload("CronJob", "nightly", namespace, image=cluster.image("priced")))
    of = {"targetRef": {"kind": "StatefulSet", "name": "web"}, "accelerators": {"names": ["NVIDIA-H200"]}}
    cluster.plane.apply(estimate("busy", namespace, **of, workload={"batchSizes": [8], "utilizationPercent": 25}))
    cluster.until_ready("busy", namespace)
    row = cluster.status("busy", namespace)["results"][0]
    of_one = 0.25 * row["averagePowerWatts"] + 0.75 * row["idlePowerWatts"]
    assert 0 < row["idlePowerWatts"] < row["averagePowerWatts"]
    until_power(cluster, "busy", namespace, of_one)
    cost = cluster.status("busy", namespace)["cost"]
    assert (cost["powerOf"], cost["kilowatts"]) == ("target", pytest.approx(of_one / 1000, rel=1e-4))
    estimated_at = cluster.status("busy", namespace)["estimatedAt"]
    cluster.plane.kubectl("scale", "statefulset", "web", "-n", namespace, "--replicas=3")
    until_power(cluster, "busy", namespace, 3 * of_one)
    assert cluster.status("busy", namespace)["estimatedAt"] == estimated_at
    cluster.plane.apply(estimate("again", namespace, **of, workload={"batchSizes": [8], "utilizationPercent": 25}))
    cluster.plane.apply(estimate("of-the-image", namespace, cluster.image("priced"), accelerators=of["accelerators"]))
    for name in ("again", "of-the-image"):
        cluster.until_ready(name, namespace)
    cluster.plane.kubectl("create", "job", "once", "--from=cronjob/nightly", "-n", namespace)
    served = lambda: power(cluster, namespace) == {("StatefulSet", "web"): pytest.approx(3 * of_one, rel=1e-4)}  # noqa: E731
    cluster.until(served, "the watts of three pods, once")
    both = {("StatefulSet", "web"): 3.0, ("CronJob", "nightly"): 1.0}
    cluster.until(lambda: series(cluster, namespace, "joulecast_workload_pods") == both, "each workload once")
    cluster.plane.kubectl("delete", "statefulset", "web", "-n", namespace)
    cluster.until(lambda: not power(cluster, namespace), "the series of a deleted workload end")


def until_power(cluster: Cluster, name: str, namespace: str, watts: float) -> None:
    """Wait until the status says this power of all pods of the target."""
    power = lambda: cluster.status(name, namespace).get("target", {}).get("averagePowerWatts")  # noqa: E731
    cluster.until(lambda: power() == pytest.approx(watts, rel=1e-4), f"{watts} W in all")


def power(cluster: Cluster, namespace: str) -> dict[tuple[str, str], float]:
    return series(cluster, namespace, "joulecast_workload_predicted_power_watts")


def series(cluster: Cluster, namespace: str, name: str) -> dict[tuple[str, str], float]:
    """Return the values of a metric of workloads by kind and name."""
    page = metrics(cluster.installation.controller_url)
    samples = (each for family in text_string_to_metric_families(page) for each in family.samples)
    own = [each for each in samples if each.name == name and each.labels["namespace"] == namespace]
    found = {(each.labels["workload_kind"], each.labels["workload"]): each.value for each in own}
    assert len(found) == len(own), "a workload is counted twice"
    return found


def test_the_api_server_refuses_what_no_site_is(cluster: Cluster) -> None:
    assert "give one value, or 24" in refused(cluster, pricePerKilowattHour=["0.1"] * 23, currency="EUR")
    assert "give pricePerKilowattHour and currency, or neither" in refused(cluster, pricePerKilowattHour=["0.1"])
    both = {"zone": "DEU", "gramsCo2ePerKilowattHour": [1]}
    assert "give at most one of zone and gramsCo2ePerKilowattHour" in refused(cluster, **both)
    assert "give a price, gramsCo2ePerKilowattHour, a zone or a configMapRef" in refused(cluster, default=True)
    assert "pricePerKilowattHour[0]" in refused(cluster, pricePerKilowattHour=["cheap"], currency="EUR")


def applied(cluster: Cluster, name: str, namespace: str) -> None:
    """Apply an example in ``namespace``, with the registry of the test, and the ConfigMap where joulecast reads it."""
    text = (ROOT / "examples" / f"{name}.yaml").read_text().replace("REGISTRY", cluster.registry.host)
    for document in yaml.safe_load_all(text):
        if document["kind"] != "EnergySite":
            where = NAMESPACE if document["kind"] == "ConfigMap" else namespace
            document["metadata"]["namespace"] = where
        cluster.plane.apply(document)


def test_the_examples_of_the_docs_price_an_estimate_and_tell_the_power_of_replicas(
    cluster: Cluster, namespace: str
) -> None:
    cluster.push("models/detector")
    applied(cluster, "energy-site", namespace)
    cluster.until_ready("detector-in-oslo", namespace)
    until_costed(cluster, "detector-in-oslo", namespace, 0.62 * 1.08)
    until_said(cluster, "falkenstein", "Valid")
    status = (cluster.plane.get("esite", "falkenstein") or {})["status"]
    assert status["carbonSource"].startswith("codecarbon ")
    listed = json.loads(cluster.plane.kubectl("get", "esite", "oslo", "-o", "json").stdout)
    assert listed["status"]["summary"]["price"] == "0.62 NOK/kWh"
    applied(cluster, "workload-power", namespace)
    row = cluster.until_ready("detector", namespace)["results"][0]
    until_power(cluster, "detector", namespace, 3 * (0.4 * row["averagePowerWatts"] + 0.6 * row["idlePowerWatts"]))
    cluster.push("models/classifier")
    applied(cluster, "plan", namespace)
    found = made(cluster, "classifier", namespace)
    assert (found["cost"]["site"], found["cost"]["currency"], found["cost"]["powerOf"]) == (
        "falkenstein", "EUR", "allReplicas",
    )  # fmt: skip
    cluster.plane.kubectl("delete", "configmap", "oslo-figures", "-n", NAMESPACE)
