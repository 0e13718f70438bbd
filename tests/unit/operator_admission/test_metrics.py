from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from joulecast_operator import metrics
from tests.unit.operator_admission.resources import H200, IMAGE, Estimates, estimate, row


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
    registry.register(metrics.EstimateCollector(Index(*held, profiles=profiles, calibrations=calibrations)))
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
    assert names(found) == {metric.name for metric in (*metrics.FORECASTS, metrics.INFO)}


def test_a_deleted_estimates_series_go() -> None:
    index = Index(estimate("a"), estimate("b"))
    registry = CollectorRegistry()
    registry.register(metrics.EstimateCollector(index))
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
        extra = {label for label, _ in labels} - set(metrics.FORECAST_LABELS)
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
    counted = metrics.AdmissionMetrics(registry)
    counted.observe("annotated", 0.003)
    found = samples(registry)
    assert found["joulecast_admission_requests_total", frozenset({("decision", "annotated")})] == 1
    assert found["joulecast_admission_requests_total", frozenset({("decision", "error")})] == 0
    assert found["joulecast_admission_duration_seconds_count", frozenset()] == 1


def test_every_declared_metric_is_served_and_no_other() -> None:
    registry = CollectorRegistry()
    metrics.AdmissionMetrics(registry)
    metrics.show_isolation(registry, ["seccomp"])
    metrics.show_expiry(registry, lambda: 0.0)
    registry.register(metrics.refused_writes())
    profile = {"spec": {"product": H200}, "status": {"heldOutError": 0.1}}
    registry.register(metrics.EstimateCollector(Index(estimate(), profiles=(profile,))))
    served = {family.name for family in text_string_to_metric_families(generate_latest(registry).decode())}
    assert served == {metric.name.removesuffix("_total") for metric in metrics.METRICS}


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
