"""Test that what is kept of an object is small, but has every field that is read."""

from __future__ import annotations

import copy
import json
import tracemalloc

import pytest

from joulecast_operator.api.kinds import DEPLOYMENTS, ESTIMATES
from joulecast_operator.index import slim
from joulecast_operator.index.index import Index
from joulecast_operator.index.stores import packed, unpacked
from joulecast_operator.workloads.admission import decide
from joulecast_operator.workloads.choice import rows_of
from joulecast_operator.workloads.outputs import outputs_of
from tests.unit.joulecast_operator.samples import many
from tests.unit.joulecast_operator.samples.workloads import deployment, engine, estimate, generation

COUNT = 300
BYTES_AS_DICTS = 25_000  # of an estimate of twenty results, at least
BYTES = 5_000  # packed, with all that finds it


def test_what_is_packed_comes_back_as_it_was() -> None:
    resource = many.estimate(1)
    assert unpacked(packed(resource)) == resource


@pytest.mark.slow
def test_an_estimate_of_twenty_results_takes_few_bytes() -> None:
    assert per_object(lambda text: json.loads(text)) > BYTES_AS_DICTS, "or this test shows nothing"
    index = Index()
    assert per_object(lambda text: index.put(ESTIMATES, json.loads(text))) < BYTES
    lean = Index(estimate=slim.admission_estimate)
    assert per_object(lambda text: lean.put(ESTIMATES, json.loads(text))) < BYTES


def test_a_deployment_takes_few_bytes() -> None:
    index = Index()
    tracemalloc.start()
    for number in range(COUNT):
        index.put(DEPLOYMENTS, json.loads(json.dumps(many.deployment(number))))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / COUNT < BYTES


def test_the_webhook_keeps_what_an_admission_reads_and_nothing_else() -> None:
    whole = many.estimate(1)
    kept = slim.admission_estimate(whole)
    assert set(kept) == {"metadata", "spec", "status"}
    assert kept["metadata"]["annotations"] == {"joulecast.dev/refresh": "1"}
    assert "managedFields" not in kept["metadata"]
    assert set(kept["status"]) == {"image", "modelDigest", "estimatedAt", "results", "summary", "conditions"}
    assert [condition["type"] for condition in kept["status"]["conditions"]] == ["Ready"]
    left_out = {"latencySeconds", "intervalLevel", "topLayers", "intervalReasons"}
    assert set(kept["status"]["results"][0]) == set(whole["status"]["results"][0]) - left_out


def test_the_webhook_decides_with_what_it_keeps_as_with_the_whole() -> None:
    whole, workload = many.estimate(1), many.deployment(1)
    request = {"operation": "CREATE", "namespace": "shop", "object": workload}
    indexes = Index(), Index(estimate=slim.admission_estimate)
    for index in indexes:
        index.put(ESTIMATES, whole)
    full, lean = (decide(request, index) for index in indexes)
    assert full == lean
    assert lean.outcome == "annotated"
    assert lean.warnings
    for row, kept in zip(rows_of(whole), rows_of(slim.admission_estimate(whole)), strict=True):
        assert outputs_of(whole, row) == outputs_of(slim.admission_estimate(whole), kept)


def test_the_webhook_decides_about_a_language_model_with_what_it_keeps_as_with_the_whole() -> None:
    rows = [generation(), generation("NVIDIA-H200", joules=2.0)]
    whole = estimate("llama", rows=rows, spec={"targetRef": {"kind": "Deployment", "name": "web"}})
    whole["metadata"]["resourceVersion"] = "1"
    whole["status"] |= {"image": "hf://a/b", "understood": {"engine": "vLLM", "used": ["-tp"]}}
    for args in (["a/b", "-tp", "2"], ["a/b", "-tp", "4"], ["a/c", "-tp", "2"]):
        request = {"operation": "CREATE", "namespace": "shop", "object": deployment(containers=[engine("s", *args)])}
        indexes = Index(), Index(estimate=slim.admission_estimate)
        for index in indexes:
            index.put(ESTIMATES, whole)
        full, lean = (decide(request, index) for index in indexes)
        assert full == lean
        assert lean.outcome == ("annotated" if args == ["a/b", "-tp", "2"] else "pending")


def test_estimates_of_an_address_are_found_by_it() -> None:
    index = Index()
    found = estimate("llama", spec={"model": {"uri": "hf://a/b"}})
    found["metadata"]["resourceVersion"] = "1"
    index.put(ESTIMATES, found)
    served = deployment(containers=[engine("s", "a/b")])
    served["metadata"]["resourceVersion"] = "1"
    index.put(DEPLOYMENTS, served)
    assert [each["metadata"]["name"] for each in index.by_model("shop", "hf://a/b")] == ["llama"]
    assert {key.name for key in index.workloads_of("shop", model="hf://a/b")} == {"web"}


def test_the_controller_keeps_spec_and_status_whole_as_it_compares_them() -> None:
    whole = many.estimate(1)
    index = Index()
    index.put(ESTIMATES, copy.deepcopy(whole))
    kept = index.get("shop", whole["metadata"]["name"])
    assert kept is not None
    assert kept["spec"] == whole["spec"]
    assert kept["status"] == whole["status"]


def test_an_object_that_no_schema_would_let_in_is_kept_too() -> None:
    index = Index()
    odd = {"metadata": {"name": "odd", "namespace": "shop", "resourceVersion": "1"}}
    odd |= {"spec": {"model": [1, 2], "workload": "many", "targetRef": 7}}  # type: ignore[dict-item]
    assert index.put(ESTIMATES, odd)
    assert Index(estimate=slim.admission_estimate).put(ESTIMATES, odd)


def per_object(take: object) -> float:
    """Return the bytes of memory that each of many estimates takes."""
    texts = [json.dumps(many.estimate(number)) for number in range(COUNT)]
    tracemalloc.start()
    held = [take(text) for text in texts]  # type: ignore[operator]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(held) == COUNT
    return taken / COUNT
