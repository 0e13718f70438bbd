"""Accelerator profiles of the cluster: they take the place of the shipped ones, and a bad one only takes itself out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from joulecast.accelerators.catalogue import installed
from tests.cluster.controlled import Cluster, controlled, estimate
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


def joules(status: dict[str, Any]) -> dict[str, float]:
    """Of the first batch size, by accelerator."""
    return {row["accelerator"]: row["joulesPerBatch"] for row in status["results"] if row["batchSize"] == 1}


def profile_document(product: str) -> str:
    """The shipped profile of ``product``, but for a chip that idles at ten times the watts."""
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
    """The reason of the profile's condition Usable."""
    return str(condition_of(cluster, name).get("reason", ""))


def condition_of(cluster: Cluster, name: str) -> dict[str, Any]:
    found = json.loads(cluster.plane.kubectl("get", "aep", name, "-o", "json").stdout)
    condition: dict[str, Any] = next(iter(found.get("status", {}).get("conditions", [])), {})
    return condition


def version(cluster: Cluster, name: str) -> str:
    return cluster.plane.kubectl("get", "aep", name, "-o", "jsonpath={.metadata.resourceVersion}").stdout
