"""Test that accelerator profiles of the cluster replace shipped ones, and that an invalid one affects no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from joulecast.accelerators.catalogue import installed
from tests.cluster.controlled import Cluster, controlled, estimate, metrics
from tests.harness.installation import NAMESPACE

H200, B200 = "NVIDIA-H200", "NVIDIA-B200"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with controlled(tmp_path_factory.mktemp("profiles")) as started:
        yield started


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")


def test_an_accelerator_profile_takes_the_place_of_the_shipped_one(cluster: Cluster, namespace: str) -> None:
    cluster.push("priced")
    cluster.plane.apply(estimate("priced", namespace, cluster.image("priced"), accelerators={"names": ["NVIDIA-B200"]}))
    shipped = cluster.until_ready("priced", namespace)["results"][0]["joulesPerBatch"]
    joules = lambda: cluster.status("priced", namespace)["results"][0]["joulesPerBatch"]  # noqa: E731
    document = profile_document("NVIDIA-B200")
    cluster.plane.apply(accelerator_profile(coefficients=document))
    cluster.until(lambda: usable(cluster) == "Valid", "the profile is usable")
    cluster.until(lambda: joules() > shipped, "priced by the cluster's own profile")

    cluster.plane.apply(accelerator_profile(coefficients="{}"))
    cluster.until(lambda: usable(cluster) == "InvalidProfile", "it is no profile any more")
    cluster.until(lambda: joules() == shipped, "the shipped one is back")

    reference = {"name": "b200", "digest": f"sha256:{hashlib.sha256(document.encode()).hexdigest()}"}
    cluster.plane.kubectl("delete", "aep", "b200")
    cluster.plane.apply(accelerator_profile(configMapRef=reference))
    cluster.until(lambda: usable(cluster) == "ConfigMapNotFound", "there is no such ConfigMap")
    cluster.plane.apply(config_map(document + " "))
    cluster.until(lambda: usable(cluster) == "DigestMismatch", "another content than was meant")
    cluster.plane.apply(config_map(document))
    cluster.until(lambda: usable(cluster) == "Valid", "read from the ConfigMap")
    cluster.until(lambda: joules() > shipped, "priced by it")
    cluster.plane.kubectl("delete", "aep", "b200")
    cluster.until(lambda: joules() == shipped, "the shipped one is back")


def test_a_profile_of_a_simulated_card_prices_nothing(cluster: Cluster) -> None:
    document = json.loads(profile_document("NVIDIA-B200")) | {"simulated": True}
    cluster.plane.apply(accelerator_profile(coefficients=json.dumps(document)))
    cluster.until(lambda: usable(cluster) == "SimulatedProfile", "it is refused")
    cluster.plane.kubectl("delete", "aep", "b200")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"law": {"byte_joules": float("nan")}}, "law.byte_joules is NaN: give a finite number from 0 to 1e-06 J"),
        ({"law": {"byte_joules": -1}}, "law.byte_joules is -1: give a finite number from 0 to 1e-06 J"),
        ({"origin": "foo"}, 'origin is "foo": give one of measured, public, transferred, datasheet'),
    ],
    ids=["nan", "negative", "odd origin"],
)
def test_a_bad_profile_beside_a_good_one_takes_only_itself_out(
    cluster: Cluster, namespace: str, change: dict[str, Any], said: str
) -> None:
    cluster.push("beside", salt=namespace)
    names = {"names": [H200, B200]}
    cluster.plane.apply(estimate("beside", namespace, cluster.image("beside"), accelerators=names))
    shipped = joules(cluster.until_ready("beside", namespace))
    plain = json.loads(profile_document(B200))
    bad = plain | change | {"law": plain["law"] | change.get("law", {})}
    cluster.plane.apply(
        accelerator_profile(coefficients=json.dumps(bad)),
        accelerator_profile("h200", product=H200, coefficients=profile_document(H200)),
    )
    cluster.until(lambda: usable(cluster, "h200") == "Valid", "the good one is usable")
    cluster.until(lambda: usable(cluster) == "InvalidProfile", "the bad one is not")
    condition = condition_of(cluster, "b200")
    assert condition["status"] == "False"
    assert said in condition["message"]
    price = lambda: joules(cluster.status("beside", namespace))  # noqa: E731
    cluster.until(lambda: price()[H200] > shipped[H200], "priced by the good one")
    assert price()[B200] == shipped[B200], "and by the shipped one in place of the bad one"
    before = version(cluster, "b200")
    cluster.plane.apply(estimate("after", namespace, cluster.image("beside"), accelerators={"names": [B200]}))
    cluster.until_ready("after", namespace)
    assert version(cluster, "b200") == before, "what is refused is not written again"
    assert cluster.answers(400) == cluster.answers(422) == 0, "no status is written that the API server refuses"
    cluster.plane.kubectl("delete", "aep", "b200", "h200")


def test_of_two_profiles_of_one_card_one_is_used_and_the_other_says_why_not(cluster: Cluster, namespace: str) -> None:
    cluster.push("two", salt=namespace)
    names = {"names": ["NVIDIA L40S", "nvidia-l40s"]}
    cluster.plane.apply(estimate("two", namespace, cluster.image("two"), accelerators=names))
    price = lambda: joules(cluster.status("two", namespace))  # noqa: E731
    shipped = joules(cluster.until_ready("two", namespace))
    assert set(shipped) == {"NVIDIA-L40S"}, "one card, however it is spelt"
    document = profile_document("NVIDIA-L40S")
    for name, product, day in (("first", "nvidia l40s", 1), ("second", "NVIDIA-L40S-SHARED", 2)):
        body = accelerator_profile(name, product=product, coefficients=document)
        note = {"joulecast.dev/calibrated-at": f"2026-01-0{day}T00:00:00Z"}
        cluster.plane.apply(body | {"metadata": {"name": name, "annotations": note}})
    cluster.until(lambda: usable(cluster, "second") == "Valid", "the one calibrated last is used")
    cluster.until(lambda: usable(cluster, "first") == "Superseded", "the other is not")
    assert "AcceleratorEnergyProfile second, calibrated at 2026-01-02" in condition_of(cluster, "first")["message"]
    cluster.until(lambda: price()["NVIDIA-L40S"] > shipped["NVIDIA-L40S"], "priced by it")
    cluster.plane.kubectl("delete", "aep", "second")
    cluster.until(lambda: usable(cluster, "first") == "Valid", "the other comes in use")
    cluster.plane.kubectl("delete", "aep", "first")
    cluster.until(lambda: price() == shipped, "the shipped one is back")


def test_the_log_tells_outcomes_and_is_json_alone(cluster: Cluster, namespace: str) -> None:
    cluster.push("told", salt=namespace)
    cluster.plane.apply(
        estimate("told", namespace, cluster.image("told"), accelerators={"names": [H200]}),
        estimate("untold", namespace, "registry.invalid/UPPER", accelerators={"names": [H200]}),
        accelerator_profile("told", coefficients="{}"),
    )
    cluster.until_ready("told", namespace)
    cluster.until_reason("untold", namespace, "InvalidModelReference")
    cluster.until(lambda: usable(cluster, "told") == "InvalidProfile", "the profile is refused")
    cluster.plane.kubectl("delete", "aep", "told")
    running = cluster.installation
    lines = [json.loads(line) for line in running.controller.log.read_text().splitlines()]
    assert [json.loads(line) for line in running.webhook.log.read_text().splitlines() or ["{}"]]
    told = {(line["event"], line["object"], line.get("reason")): line for line in lines if "event" in line}
    assert told["EstimateReady", "told", None]["namespace"] == namespace
    assert told["EstimateReady", "told", None]["seconds"] > 0
    assert told["EstimateFailed", "untold", "InvalidModelReference"]["namespace"] == namespace
    assert ("ProfileRefused", "told", "InvalidProfile") in told
    assert not [line for line in lines if line["logger"].startswith("kopf") and line["level"] == "info"]
    page = metrics(running.controller_url)
    assert 'joulecast_reconcile_errors_total{kind="InferenceEnergyEstimate",reason="InvalidModelReference"}' in page
    assert 'joulecast_reconcile_duration_seconds_count{kind="AcceleratorEnergyProfile"}' in page
    assert "joulecast_queue_oldest_seconds" in page
    assert "joulecast_index_behind_seconds 0.0" in metrics(running.webhook_url)


def joules(status: dict[str, Any]) -> dict[str, float]:
    """Return the joules at the first batch size, by accelerator."""
    return {row["accelerator"]: row["joulesPerBatch"] for row in status["results"] if row["batchSize"] == 1}


def profile_document(product: str) -> str:
    """Return the shipped profile of ``product`` with ten times its idle power."""
    document = json.loads(installed()[product].to_json())
    document["law"]["static_watts"] *= 10
    document["law"]["gap_watts"] = document["law"]["gap_watts"] * 10 + 100
    return json.dumps(document)


def accelerator_profile(name: str = "b200", **spec: object) -> dict[str, object]:
    return {
        "apiVersion": "joulecast.dev/v1alpha1",
        "kind": "AcceleratorEnergyProfile",
        "metadata": {"name": name},
        "spec": {"product": B200, **spec},
    }


def config_map(document: str) -> dict[str, object]:
    metadata = {"name": "b200", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"profile.json": document}}


def usable(cluster: Cluster, name: str = "b200") -> str:
    """Return the reason of the profile's condition Usable."""
    return str(condition_of(cluster, name).get("reason", ""))


def condition_of(cluster: Cluster, name: str) -> dict[str, Any]:
    found = json.loads(cluster.plane.kubectl("get", "aep", name, "-o", "json").stdout)
    condition: dict[str, Any] = next(iter(found.get("status", {}).get("conditions", [])), {})
    return condition


def version(cluster: Cluster, name: str) -> str:
    return cluster.plane.kubectl("get", "aep", name, "-o", "jsonpath={.metadata.resourceVersion}").stdout
