"""Which rows of an estimate are served, and as what."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from joulecast_operator.api.objects import Resource
from joulecast_operator.metrics.estimates import (
    FORECASTS,
    GENERATIONS,
    INFO,
    STALE,
    estimate_families,
    shown,
    stale_since,
)
from tests.unit.joulecast_operator.samples.workloads import A100, H200, estimate, generation, row


def test_the_row_of_the_summary_is_served_or_all_of_them() -> None:
    assert [each.labels[4] for each in shown(estimate())] == [H200]
    assert [each.labels[4] for each in shown(estimate(), all_results=True)] == [H200, A100]


def test_rows_with_equal_labels_are_one() -> None:
    first, second = row(joules=1.0), row(joules=2.0)
    (found,) = shown(estimate(rows=[first, second]), all_results=True)
    assert found.values[0] == 1.0


@pytest.mark.parametrize("odd", [math.nan, math.inf, None, "1"])
def test_a_value_that_is_not_a_finite_number_is_none(odd: object) -> None:
    (found,) = shown(estimate(rows=[row(coverage=odd)]))
    assert found.values[-1] is None
    assert found.values[0] == row()["joulesPerBatch"]


def test_an_estimate_without_a_forecast_has_an_info_that_says_its_state() -> None:
    (found,) = shown(estimate(ready="False"))
    assert found.labels == ("shop", "detector", "", "", "", "", "")
    assert (found.known[0], set(found.values)) == ("Failed", {None})


def test_a_family_has_a_point_for_each_row_that_has_a_value() -> None:
    chat = shown(estimate("chat", rows=[generation()]))
    rows = [*shown(estimate(), all_results=True), *shown(estimate("other", ready="Unknown")), *chat]
    found = {family.name: len(family.samples) for family in estimate_families(rows)}
    assert found == (
        {metric.name: 2 for metric in FORECASTS}
        | {metric.name: 1 for metric in GENERATIONS}
        | {"joulecast_coverage_ratio": 3, INFO.name: 4, STALE.name: 0}
    )


def looked_up(resolved: str, profiled: str, *, ready: str = "True", since: str = "2026-01-02T03:04:05Z") -> Resource:
    """Return an estimate whose conditions have these statuses; the model was looked up well until ``since``."""
    found = estimate(ready=ready)
    found["status"]["conditions"] += [
        {"type": "ModelResolved", "status": resolved, "lastTransitionTime": since},
        {"type": "Profiled", "status": profiled, "lastTransitionTime": "2026-01-03T00:00:00Z"},
    ]
    return found


def test_a_forecast_is_stale_while_its_model_cannot_be_looked_up() -> None:
    since = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    assert stale_since(looked_up("True", "True")) is None
    assert stale_since(looked_up("Unknown", "Unknown")) == since
    assert stale_since(looked_up("True", "Unknown")) == since + 20 * 3600 + 55 * 60 + 55
    assert stale_since(looked_up("Unknown", "Unknown", ready="Unknown")) is None, "there is no forecast"
    assert stale_since(looked_up("Unknown", "True", since="yesterday")) == 0.0, "somebody else wrote it"


def test_a_stale_forecast_has_one_series_however_many_results_it_has() -> None:
    rows = shown(looked_up("Unknown", "Unknown"), all_results=True)
    assert len(rows) == 2
    (family,) = [family for family in estimate_families(rows) if family.name == STALE.name]
    assert [each.labels for each in family.samples] == [{"namespace": "shop", "estimate": "detector"}]
