"""Test the metrics of the operator itself."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from joulecast_operator.metrics.reasons import OTHER, counted
from joulecast_operator.metrics.reconciles import Reconciles, show_index, show_queue


def test_a_word_that_is_not_ours_is_counted_as_other() -> None:
    registry = CollectorRegistry()
    reconciles = Reconciles(registry)
    for word in ("Made-up", "x" * 10_000, "RegistryUnavailable"):
        reconciles.failed("InferenceEnergyEstimate", word)
    value = lambda reason: registry.get_sample_value(  # noqa: E731
        "joulecast_reconcile_errors_total", {"kind": "InferenceEnergyEstimate", "reason": reason}
    )
    assert (value(OTHER), value("RegistryUnavailable"), value("InternalError")) == (2, 1, 0)
    assert counted("InternalError") == "InternalError"


def test_reconciles_are_timed_by_kind_also_those_that_fail() -> None:
    registry = CollectorRegistry()
    reconciles = Reconciles(registry)
    for error in (None, KeyError("injected")):
        try:
            with reconciles.timed("Deployment"):
                if error:
                    raise error
        except KeyError:
            pass
    count = registry.get_sample_value("joulecast_reconcile_duration_seconds_count", {"kind": "Deployment"})
    assert count == 2


def test_queue_and_index_are_shown_as_they_are_at_the_scrape() -> None:
    registry, now = CollectorRegistry(), [3.0]
    show_queue(registry, lambda: 7, lambda: now[0])
    show_index(registry, lambda: now[0] * 2)
    now[0] = 5.0
    found = [
        registry.get_sample_value(f"joulecast_{name}")
        for name in ("queue_depth", "queue_oldest_seconds", "index_behind_seconds")
    ]
    assert found == [7, 5, 10]
