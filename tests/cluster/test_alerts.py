"""Test with Prometheus' promtool when each alert of the chart fires; no server is started."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness import binaries
from tests.harness.installation import CHART

RULES = CHART / "alerts" / "joulecast.yaml"
ALERTS = [rule["alert"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]]
ERRORS = 'joulecast_reconcile_errors_total{kind="InferenceEnergyEstimate", reason="%s"}'
QUEUE = ("joulecast_queue_depth", "0x60")
OLDEST, BEHIND = "joulecast_queue_oldest_seconds", "joulecast_index_behind_seconds"
STALE = 'joulecast_stale_forecast_since_timestamp_seconds{namespace="shop", estimate="%s"}'
SITE = 'joulecast_site_info{site="falkenstein", ready="%s", reason="InvalidSite"}'
LATENCY = 'joulecast_admission_duration_seconds_bucket{le="%s"}'

# one value a minute; (series, values) of the trouble, and of the same without it
CASES: dict[str, tuple[list[tuple[str, str]], list[tuple[str, str]]]] = {
    "JoulecastControllerAbsent": ([("joulecast_queue_depth", "_x60")], [QUEUE]),
    "JoulecastWebhookAbsent": (
        [('joulecast_admission_requests_total{decision="annotated"}', "_x60")],
        [('joulecast_admission_requests_total{decision="annotated"}', "0x60")],
    ),
    "JoulecastForecastStale": ([(STALE % "old", "-25200x60"), (STALE % "new", "-60x60")], [(STALE % "new", "-60x60")]),
    "JoulecastSiteNotReady": ([(SITE % "False", "1x60")], [(SITE % "True", "1x60")]),
    "JoulecastQueueSlow": ([(OLDEST, "400x60")], [(OLDEST, "200x60")]),
    "JoulecastIndexBehind": ([(BEHIND, "90x60")], [(BEHIND, "0x60")]),
    "JoulecastDefect": ([(ERRORS % "InternalError", "0x50 1x10")], [(ERRORS % "RegistryUnavailable", "0+1x60")]),
    "JoulecastApiErrors": ([(ERRORS % "ApiUnavailable", "0+2x60")], [(ERRORS % "ApiUnavailable", "0x50 1x10")]),
    "JoulecastWritesRefused": (
        [('joulecast_refused_writes_total{kind="Deployment"}', "0x50 1x10")],
        [('joulecast_refused_writes_total{kind="Deployment"}', "7x60")],
    ),
    "JoulecastAnnotationsUndone": (
        [("joulecast_contested_workloads", "2x60")],
        [("joulecast_contested_workloads", "0x50 1x4 0x4")],
    ),
    "JoulecastCertificateExpires": (
        [("joulecast_webhook_certificate_expiry_timestamp_seconds", "86400x60")],
        [("joulecast_webhook_certificate_expiry_timestamp_seconds", "6048000x60")],
    ),
    "JoulecastCertificateNotRenewed": (
        [("joulecast_webhook_certificate_behind_seconds", "7200x60")],
        [("joulecast_webhook_certificate_behind_seconds", "600x60")],
    ),
    "JoulecastAdmissionErrors": (
        [('joulecast_admission_requests_total{decision="error"}', "0x50 1x10")],
        [('joulecast_admission_requests_total{decision="annotated"}', "0+9x60")],
    ),
    "JoulecastAdmissionSlow": (
        [(LATENCY % "0.5", "0x60"), (LATENCY % "2", "0+9x60"), (LATENCY % "+Inf", "0+9x60")],
        [(LATENCY % "0.5", "0+9x60"), (LATENCY % "2", "0+9x60"), (LATENCY % "+Inf", "0+9x60")],
    ),
}  # fmt: skip


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(binaries.program("promtool")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_prometheus_takes_the_rules() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_has_a_case() -> None:
    assert set(CASES) == set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_it_fires_where_it_should_and_not_elsewhere(tmp_path: Path, alert: str) -> None:
    trouble, well = CASES[alert]
    tests = [case(alert, trouble, fires=True), case(alert, [QUEUE, *well], fires=False)]
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": tests}))
    said = promtool("test", "rules", file)
    assert "FAILED" not in said.stdout + said.stderr, said.stdout + said.stderr
    assert said.returncode == 0, said.stdout + said.stderr


def case(alert: str, series: list[tuple[str, str]], *, fires: bool) -> dict[str, Any]:
    """Return a test case for promtool: whether an alert of that name fires after an hour."""
    firing = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
    expected = [{"labels": firing, "value": 1}] if fires else []
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series],
        "promql_expr_test": [
            {
                "expr": f"group by (__name__, alertname, alertstate) ({firing})",
                "eval_time": "58m",
                "exp_samples": expected,
            }
        ],
    }
