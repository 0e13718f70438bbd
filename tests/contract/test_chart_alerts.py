"""The alerts as the chart ships and the docs describe them; tests/cluster/test_alerts.py says when they fire."""

from __future__ import annotations

import re

import yaml

from joulecast_operator.metrics.page import METRICS
from tests.contract.test_chart import CHART, SECRET, render
from tests.harness.environment import ROOT

GROUPS = yaml.safe_load((CHART / "alerts" / "joulecast.yaml").read_text())
ALERTS = [rule for group in GROUPS["groups"] for rule in group["rules"]]


def test_the_chart_ships_them_where_they_are_asked_for() -> None:
    assert "PrometheusRule" not in {kind for kind, _ in render(*SECRET)}
    asked = "metrics.prometheusRule.enabled=true"
    shipped = render(*SECRET, asked, "metrics.prometheusRule.labels.release=prometheus")["PrometheusRule", "joulecast"]
    assert shipped["spec"] == GROUPS
    assert shipped["metadata"]["labels"]["release"] == "prometheus"


def test_they_ask_for_metrics_that_exist() -> None:
    served = {metric.name for metric in METRICS}
    asked = {name for alert in ALERTS for name in re.findall(r"\bjoulecast_\w+", alert["expr"])}
    assert {name.removesuffix("_bucket") for name in asked} <= served


def test_each_says_what_is_wrong_and_what_to_do_and_stands_in_the_docs() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("warning", "critical")
        assert set(alert["annotations"]) == {"summary", "description"}
        assert f"`{alert['alert']}`" in page
