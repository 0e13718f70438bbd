from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from joulecast_operator.metrics.collector import EstimateCollector
from joulecast_operator.metrics.estimates import (
    FORECAST_LABELS,
    FORECASTS,
    GENERATION_LABELS,
    GENERATIONS,
    INFO,
    is_generation,
    shown,
)
from tests.unit.joulecast_operator.samples import many
from tests.unit.joulecast_operator.samples.scrapes import Index, names, samples, scrape
from tests.unit.joulecast_operator.samples.workloads import A100, H200, IMAGE, estimate, generation, row

LABELS = {
    "namespace": "shop",
    "estimate": "detector",
    "workload_kind": "",
    "workload": "",
    "accelerator": H200,
    "batch_size": "32",
    "precision": "default",
}


def test_a_ready_estimate_has_one_series_a_row_of_every_forecast() -> None:
    found = scrape(estimate(rows=[row()]))
    key = frozenset(LABELS.items())
    assert found["joulecast_predicted_joules_per_batch", key] == 0.42123
    assert found["joulecast_predicted_latency_seconds", key] == 0.00123456
    assert found["joulecast_predicted_power_watts", key] == 341.2
    assert found["joulecast_coverage_ratio", key] == 1.0
    assert names(found) == {metric.name for metric in (*FORECASTS, INFO)}


def test_a_result_of_requests_has_the_series_of_requests_and_tokens_and_none_of_a_batch() -> None:
    result = generation(H200, joules=3.0712, coverage=0.98)
    found = scrape(estimate("chat", rows=[result]))
    key = frozenset(
        {
            "namespace": "shop",
            "estimate": "chat",
            "workload_kind": "",
            "workload": "",
            "accelerator": H200,
            "precision": result["precision"],
            "phase": "request",
            "concurrency": "32",
            "input_tokens": "512",
            "output_tokens": "256",
            "parallel": "2",
        }.items()
    )
    assert found["joulecast_predicted_joules_per_request", key] == 3.0712
    assert {metric.name: found[metric.name, key] for metric in GENERATIONS} == {
        metric.name: result[metric.field] for metric in GENERATIONS
    }
    assert names(found) == {metric.name for metric in (*GENERATIONS, INFO)} | {"joulecast_coverage_ratio"}
    ((labels, coverage),) = ((set(each), value) for (name, each), value in found.items() if "coverage" in name)
    assert coverage == 0.98
    assert {("estimate", "chat"), ("accelerator", H200), ("batch_size", "")} <= labels


def test_what_a_phase_has_no_value_of_has_no_series() -> None:
    decode = generation(phase="decode", joulesPerRequest=None, timeToFirstTokenSeconds=None)
    found = names(scrape(estimate(rows=[decode])))
    assert "joulecast_predicted_joules_per_output_token" in found
    assert not found & {"joulecast_predicted_joules_per_request", "joulecast_predicted_time_to_first_token_seconds"}


@pytest.mark.parametrize("all_results", [False, True])
def test_batches_and_requests_are_served_together_and_no_label_set_comes_twice(all_results: bool) -> None:
    held = (
        many.estimate(1),
        estimate("chat", rows=[generation(H200), generation(A100, joules=5.0), generation(H200, joules=7.0)]),
        estimate("web", rows=[row(), row(A100), row(batch_size=1), row(joules=9.0)]),
        estimate("waiting", ready="False", rows=[generation()]),
    )
    found = scrape(*held, all_results=all_results)
    assert names(found) == {metric.name for metric in (*FORECASTS, *GENERATIONS, INFO)}
    per_request = {
        dict(labels)["accelerator"]: value
        for (name, labels), value in found.items()
        if name == "joulecast_predicted_joules_per_request"
    }
    assert per_request == ({H200: 3.1, A100: 5.0} if all_results else {H200: 3.1})
    for metric in (*FORECASTS, *GENERATIONS, INFO):
        label_sets = {frozenset(dict(labels)) for name, labels in found if name == metric.name}
        assert label_sets == {frozenset(metric.labels)}


def test_every_family_that_is_collected_is_described() -> None:
    collector = EstimateCollector(Index(estimate(rows=[row()]), estimate("chat", rows=[generation()])))
    assert {family.name for family in collector.describe()} == {family.name for family in collector.collect()}


def test_a_row_of_requests_holds_no_more_than_its_values_and_shared_labels() -> None:
    """Rows of one kind share their labels' strings, so that thousands of estimates stay small."""
    first, second = (shown(estimate("chat", rows=[generation()]))[0] for _ in range(2))
    assert all(one is other for one, other in zip(first.generation, second.generation, strict=True))
    assert len(first.generation) == len(GENERATION_LABELS)
    (batch,) = shown(estimate(rows=[row()]))
    assert batch.generation == batch.generated == ()


def test_only_a_result_without_joules_per_batch_is_of_requests() -> None:
    assert is_generation(generation())
    assert not is_generation(row())
    assert not is_generation({})


def test_an_estimate_has_the_series_of_its_summary_unless_all_are_asked_for() -> None:
    held = many.estimate(1)
    assert len(held["status"]["results"]) == 20
    families = len(FORECASTS) + 1
    for all_results, rows in ((False, 1), (True, 20)):
        index = Index()
        served = shown(held, all_results=all_results)
        index.shown = lambda served=served: [served]  # type: ignore[method-assign, misc]
        registry = CollectorRegistry()
        registry.register(EstimateCollector(index))
        assert len(samples(registry)) == rows * families
    (labels,) = (labels for name, labels in scrape(held) if name == "joulecast_coverage_ratio")
    assert {("accelerator", many.ACCELERATORS[0]), ("batch_size", "1")} <= labels


def test_a_deleted_estimates_series_go() -> None:
    index = Index(estimate("a"), estimate("b"))
    registry = CollectorRegistry()
    registry.register(EstimateCollector(index))
    assert any(("estimate", "b") in labels for _, labels in samples(registry))
    index.held = (estimate("a"),)
    assert not any(("estimate", "b") in labels for _, labels in samples(registry))


def test_what_is_not_ready_has_an_info_alone() -> None:
    found = scrape(estimate(ready="False"))
    assert names(found) == {"joulecast_estimate_info"}
    ((_, labels),) = found
    assert {("state", "Failed"), ("accelerator", ""), ("model", IMAGE)} <= labels


def test_the_model_of_a_targeted_workload_is_the_image_that_was_read() -> None:
    targeted = estimate(spec={"targetRef": {"kind": "Deployment", "name": "web"}})
    targeted["status"]["image"] = "registry.example/models/other:2"
    found = {labels for name, labels in scrape(targeted) if name == "joulecast_estimate_info"}
    assert found
    assert all(("model", "registry.example/models/other:2") in labels for labels in found)


def test_the_info_alone_carries_digest_origin_and_runtime() -> None:
    for name, labels in scrape(estimate()):
        extra = {label for label, _ in labels} - set(FORECAST_LABELS)
        assert extra == ({"state", "origin", "runtime", "model", "model_digest"} if name.endswith("_info") else set())


def test_the_workload_is_the_target_or_the_owner() -> None:
    target = estimate(spec={"targetRef": {"kind": "StatefulSet", "name": "web"}})
    plain = estimate(spec={"targetRef": {"name": "web"}})
    owned = estimate()
    owned["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "api", "uid": "u"}]
    for held, kind, name in ((target, "StatefulSet", "web"), (plain, "Deployment", "web"), (owned, "Job", "api")):
        assert all({("workload_kind", kind), ("workload", name)} <= labels for _, labels in scrape(held))


def test_a_row_twice_does_not_void_the_scrape() -> None:
    found = scrape(estimate(rows=[row(), row(joules=7.0)]))
    assert found["joulecast_predicted_joules_per_batch", frozenset(LABELS.items())] == 0.42123


def test_a_value_that_is_no_number_has_no_series() -> None:
    assert "joulecast_predicted_power_watts" not in names(scrape(estimate(rows=[row(averagePowerWatts=None)])))


def test_an_image_of_any_name_is_a_label_within_bounds() -> None:
    loud = "registry.example/\x1b[31m\n" + "n" * 60_000
    (found,) = scrape(estimate(ready="False", spec={"model": {"image": loud}}))
    labels = dict(found[1])
    assert labels["model"].isprintable()
    assert len(labels["model"]) <= 512


@pytest.mark.parametrize("odd", [None, "text", 3, [], {}, ["text"], [None], [[]], [{}], {"a": []}])
def test_an_object_of_another_shape_stops_no_scrape(odd: Any) -> None:
    """Yield an estimate, a profile and a calibration with ``odd`` in place of one part, for each of their parts."""
    whole, other = estimate("whole"), frozenset((LABELS | {"estimate": "other"}).items())
    calibration = {"metadata": {"name": "c", "namespace": "lab"}, "spec": {}, "status": {"conditions": [{}]}}
    for resource in (whole, calibration, {"metadata": {"name": "p"}, "spec": {}, "status": {"conditions": [{}]}}):
        for part in resource:
            places = [{part: odd}]
            if isinstance(resource[part], dict):
                places += [{part: resource[part] | {name: odd}} for name in resource[part]]
            for place in places:
                changed = resource | place
                found = scrape(changed, estimate("other"), profiles=(changed,), calibrations=(changed,))
                assert ("joulecast_predicted_joules_per_batch", other) in found
