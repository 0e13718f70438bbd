"""The alerts as the chart ships and the docs describe them; tests/cluster/test_alerts.py says when they fire."""

from __future__ import annotations

import re

import yaml

from joulecast_operator.metrics.page import METRICS
from tests.contract.test_chart import CHART, OUTSIDE, SECRET, render
from tests.harness.environment import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
GROUPS = yaml.safe_load((CHART / "alerts" / "joulecast.yaml").read_text())
ALERTS = [rule for group in GROUPS["groups"] for rule in group["rules"]]


def test_the_chart_ships_them_where_they_are_asked_for() -> None:
    assert "PrometheusRule" not in {kind for kind, _ in render(*SECRET)}
    asked = "metrics.prometheusRule.enabled=true"
    shipped = render(*SECRET, asked, "metrics.prometheusRule.labels.release=prometheus")["PrometheusRule", "joulecast"]
    assert shipped["spec"] == GROUPS
    assert shipped["metadata"]["labels"]["release"] == "prometheus"


def shipped_alerts(*values: str) -> dict[str, dict[str, str]]:
    """Return the annotations of each alert of the PrometheusRule, by the alert's name."""
    rule = render(*SECRET, "metrics.prometheusRule.enabled=true", *values)["PrometheusRule", "joulecast"]
    return {alert["alert"]: alert["annotations"] for group in rule["spec"]["groups"] for alert in group["rules"]}


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    pages = {page.stem: page.read_text() for page in RUNBOOKS.glob("*.md")}
    assert pages.keys() == {alert["alert"] for alert in ALERTS}
    for name, text in pages.items():
        assert re.fullmatch(rf"# {name}\n\n\*\*Means\.\*\* .+\n## See\n.+```console\n.+\n## Do\n.+", text, re.DOTALL), (
            name
        )


def test_each_alert_links_to_its_runbook_where_an_address_is_given() -> None:
    address = "https://docs.example/runbooks"
    for given in (address, address + "/"):
        alerts = shipped_alerts(f"metrics.prometheusRule.runbookUrl={given}")
        assert {name: found["runbook_url"] for name, found in alerts.items()} == {
            alert["alert"]: f"{address}/{alert['alert']}.md" for alert in ALERTS
        }
    assert [found for found in shipped_alerts().values() if "runbook_url" in found] == []


def test_nobody_is_alarmed_that_a_webhook_is_away_which_the_chart_does_not_run() -> None:
    assert "JoulecastWebhookAbsent" in shipped_alerts()
    for values in (("webhook.enabled=false",), OUTSIDE):
        rule = render(*values, "metrics.prometheusRule.enabled=true")["PrometheusRule", "joulecast"]
        assert "JoulecastWebhookAbsent" not in {alert["alert"] for alert in rule["spec"]["groups"][0]["rules"]}


def test_they_ask_for_metrics_that_exist() -> None:
    served = {metric.name for metric in METRICS}
    asked = {name for alert in ALERTS for name in re.findall(r"\bjoulecast_\w+", alert["expr"])}
    assert {name.removesuffix("_bucket") for name in asked} <= served


def test_each_says_what_is_wrong_and_what_to_do_and_stands_in_the_docs() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("warning", "critical")
        assert set(alert["annotations"]) == {"summary", "description"}
        assert f"[`{alert['alert']}`](runbooks/{alert['alert']}.md)" in page
