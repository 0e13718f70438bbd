from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from joulecast_operator.estimates.forecasts import Forecasts
from joulecast_operator.metrics import exposition, reconciles
from joulecast_operator.metrics.collector import EstimateCollector
from joulecast_operator.metrics.estimates import FORECAST_LABELS, FORECASTS, INFO, shown
from joulecast_operator.metrics.page import METRICS
from joulecast_operator.metrics.reconciles import refused_writes
from joulecast_operator.metrics.webhook import AdmissionMetrics, show_expiry
from joulecast_operator.metrics.work import show_isolation
from joulecast_operator.settings import Settings
from tests.unit.joulecast_operator.samples import many
from tests.unit.joulecast_operator.samples.workloads import H200, IMAGE, Estimates, estimate, row


class Index(Estimates):
    def __init__(
        self,
        *held: dict[str, Any],
        profiles: tuple[dict[str, Any], ...] = (),
        calibrations: tuple[dict[str, Any], ...] = (),
    ) -> None:
        super().__init__(*held)
        self.profile_list = profiles
        self.calibration_list = calibrations

    def profiles(self) -> list[dict[str, Any]]:
        return list(self.profile_list)

    def calibrations(self) -> list[dict[str, Any]]:
        return list(self.calibration_list)


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
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    registry = CollectorRegistry()
    registry.register(EstimateCollector(Index(*held, profiles=profiles, calibrations=calibrations)))
    return samples(registry)


def names(found: dict[tuple[str, frozenset[tuple[str, str]]], float]) -> set[str]:
    return {name for name, _ in found}


LABELS = {
    "namespace": "shop",
    "estimate": "detector",
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
    target = estimate(spec={"targetRef": {"kind": "Deployment", "name": "web"}})
    owned = estimate()
    owned["metadata"]["ownerReferences"] = [{"kind": "Deployment", "name": "api", "uid": "u"}]
    for held, name in ((target, "web"), (owned, "api")):
        assert all(("workload", name) in labels for _, labels in scrape(held))


def test_a_row_twice_does_not_void_the_scrape() -> None:
    found = scrape(estimate(rows=[row(), row(joules=7.0)]))
    assert found["joulecast_predicted_joules_per_batch", frozenset(LABELS.items())] == 0.42123


def test_a_value_that_is_no_number_has_no_series() -> None:
    assert "joulecast_predicted_power_watts" not in names(scrape(estimate(rows=[row(averagePowerWatts=None)])))


def test_the_worst_profile_of_an_accelerator_speaks_for_it() -> None:
    profiles = tuple({"spec": {"product": H200}, "status": {"heldOutError": error}} for error in (0.1, 0.2))
    assert scrape(profiles=profiles) == {("joulecast_calibration_error_ratio", frozenset({("accelerator", H200)})): 0.2}


def test_admission_is_counted_by_decision_from_zero() -> None:
    registry = CollectorRegistry()
    counted = AdmissionMetrics(registry)
    counted.observe("annotated", 0.003)
    found = samples(registry)
    assert found["joulecast_admission_requests_total", frozenset({("decision", "annotated")})] == 1
    assert found["joulecast_admission_requests_total", frozenset({("decision", "error")})] == 0
    assert found["joulecast_admission_duration_seconds_count", frozenset()] == 1


def test_every_declared_metric_is_served_and_no_other(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    AdmissionMetrics(registry)
    show_isolation(registry, ["seccomp"])
    show_expiry(registry, lambda: 0.0)
    registry.register(refused_writes())
    reconciles.Reconciles(registry)
    reconciles.show_queue(registry, lambda: 0, lambda: 0.0)
    reconciles.show_index(registry, lambda: 0.0)
    for collector in Forecasts(Settings(cache_dir=tmp_path)).collectors:
        registry.register(collector)
    profile = {"spec": {"product": H200}, "status": {"heldOutError": 0.1}}
    registry.register(EstimateCollector(Index(estimate(), profiles=(profile,))))
    served = {family.name for family in text_string_to_metric_families(generate_latest(registry).decode())}
    assert served == {metric.name.removesuffix("_total") for metric in METRICS}


def test_a_calibration_shows_its_phase_and_how_far_it_is() -> None:
    metadata = {"name": "h200", "namespace": "lab"}
    status = {"phase": "Measuring", "progress": 0.42, "accelerator": H200, "quality": {"better": False}}
    status["conditions"] = [{"type": "Accepted", "reason": "Accepted"}, {"type": "Calibrated", "reason": "Retrying"}]
    found = scrape(calibrations=({"metadata": metadata, "spec": {}, "status": status},))
    labels = {"namespace": "lab", "calibration": "h200", "accelerator": H200}
    assert found["joulecast_calibration_progress_ratio", frozenset(labels.items())] == 0.42
    more = labels | {"phase": "Measuring", "reason": "Retrying", "better": "false"}
    assert found["joulecast_calibration_info", frozenset(more.items())] == 1


def test_a_calibration_that_has_no_status_yet_is_counted_without_a_phase() -> None:
    found = scrape(calibrations=({"metadata": {"name": "h200", "namespace": "lab"}, "spec": {}},))
    assert "joulecast_calibration_info" in names(found)
    assert "joulecast_calibration_progress_ratio" not in names(found)


def test_an_image_of_any_name_is_a_label_within_bounds() -> None:
    loud = "registry.example/\x1b[31m\n" + "n" * 60_000
    (found,) = scrape(estimate(ready="False", spec={"model": {"image": loud}}))
    labels = dict(found[1])
    assert labels["model"].isprintable()
    assert len(labels["model"]) <= 512


@pytest.mark.parametrize("odd", [None, "text", 3, [], {}, ["text"], [None], [[]], [{}], {"a": []}])
def test_an_object_of_another_shape_stops_no_scrape(odd: Any) -> None:
    """``odd`` in the place of every part of an estimate, a profile and a calibration, one at a time."""
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
