"""The dashboard, by Grafana's own model of it; its queries are run in tests/cluster/test_metrics.py."""

from __future__ import annotations

import json
import re
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from joulecast_operator.metrics import page
from tests.contract.test_chart import CHART, SECRET, render

TEXT = (CHART / "dashboards" / "joulecast.json").read_text()
DASHBOARD = json.loads(TEXT)
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
WIDTH = 24  # columns of Grafana's grid


def queries() -> list[str]:
    return [target["expr"] for panel in PANELS for target in panel["targets"]]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def test_grafana_reads_all_of_it() -> None:
    encoded = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(DASHBOARD)))
    assert without_nulls(encoded) == DASHBOARD


def test_the_chart_ships_it_where_the_sidecar_looks() -> None:
    shipped = render(*SECRET)["ConfigMap", "joulecast-dashboard"]
    assert json.loads(shipped["data"]["joulecast.json"]) == DASHBOARD
    assert shipped["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_its_queries_name_metrics_that_exist_and_every_metric_is_shown() -> None:
    served = {metric.name for metric in page.METRICS}
    asked = {name.removesuffix("_bucket") for query in queries() for name in re.findall(r"\bjoulecast_\w+", query)}
    assert asked == served


def test_every_panel_says_what_it_shows_and_none_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH
        cells = {(place["x"] + right, place["y"] + down) for right in range(place["w"]) for down in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_data_source_is_a_variable_of_the_dashboard() -> None:
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert {"datasource", "namespace", "accelerator"} <= names
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    used = {name for query in queries() for name in re.findall(r"\$(\w+)", query)}
    assert used <= names | {"__rate_interval"}


def test_energies_of_different_models_are_not_added_up() -> None:
    """The power of all pods of workloads may be: it is drawn at once, and each workload has one series."""
    apart = re.compile(r"\b(sum|avg)\b.*_(joules_per|latency|first_token|power)")
    assert not [query for query in queries() if apart.search(query) and "joulecast_workload_" not in query]


def test_the_operators_own_health_has_a_row() -> None:
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    shown = titles[titles.index("Operator health") + 1 :]
    assert {
        "Queue depth", "Oldest in the queue", "Time to reconcile", "Failures by reason", "Writes refused or undone",
        "Webhook certificate ends in", "Index behind the API server", "Webhook latency",
    } <= set(shown)  # fmt: skip
    ids = [panel["id"] for panel in DASHBOARD["panels"] if "id" in panel]
    assert len(ids) == len(set(ids))
