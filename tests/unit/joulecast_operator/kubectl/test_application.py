"""The command line as kubectl calls it: documents, exit codes and sentences."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from joulecast_operator import kubectl
from joulecast_operator.api.kinds import DEPLOYMENTS, ESTIMATES, PLANS
from tests.unit.joulecast_operator.kubectl.test_plans import plan
from tests.unit.joulecast_operator.samples.api_server import ApiServer, api_server
from tests.unit.joulecast_operator.samples.workloads import estimate, workload


class Finished(NamedTuple):
    """How a command ended."""

    code: Any
    out: str
    err: str


class Plugin:
    """Calls the entry point with arguments, and the kubeconfig of an API server that holds little."""

    def __init__(self, there: ApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.there = there
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: str) -> Finished:
        self._monkeypatch.setattr(sys, "argv", ["kubectl-joulecast", *arguments])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            kubectl.main()
        return Finished(ended.value.code, *self._capsys.readouterr())


@pytest.fixture
def plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugin]:
    with api_server(tmp_path) as server:
        server.hold_nothing()
        server.hold(ESTIMATES, estimate())
        server.hold(DEPLOYMENTS, workload("Deployment"))
        server.hold(PLANS, plan())
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
        yield Plugin(server, capsys, monkeypatch)


@pytest.mark.parametrize(
    "command",
    [
        ["explain", "deployment/web"],
        ["explain", "deploy/web", "--accelerator", "NVIDIA-A100-SXM4-80GB", "-b", "32"],
        ["explain", "iee", "detector"],
        ["top"],
        ["top", "-A"],
        ["plan"],
        ["plan", "web"],
    ],
)
def test_every_command_prints_a_table_json_and_yaml(plugin: Plugin, command: list[str]) -> None:
    table, document, text = (plugin(*command, *form) for form in ([], ["-o", "json"], ["-o", "yaml"]))
    assert [(each.code, each.err) for each in (table, document, text)] == [(0, "")] * 3
    assert len(table.out.splitlines()) > 2
    assert json.loads(document.out) == yaml.safe_load(text.out)


def test_diff_reads_manifests_and_stores_nothing(plugin: Plugin, tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(yaml.safe_dump(workload("Deployment")))
    done = plugin("diff", "-f", str(tmp_path / "web.yaml"), "-o", "json")
    assert (done.code, done.err) == (0, "")
    (change,) = json.loads(done.out)["changes"]
    assert (change["name"], change["outcome"]) == ("web", "same")
    writes = [query for method, _, query, _ in plugin.there.requests if method != "GET"]
    assert [(each["dryRun"], each["fieldManager"]) for each in writes] == [("All", "kubectl")]
    plugin("diff", "-f", str(tmp_path), "--field-manager", "flux")
    assert plugin.there.requests[-2][2]["fieldManager"] == "flux"


def test_an_error_is_one_sentence_on_standard_error(plugin: Plugin) -> None:
    done = plugin("explain", "deployment/absent")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "error: there is no Deployment 'absent' in the namespace 'shop': correct the name, or name another namespace by"
        " -n [NotFound]\n"
    )


def test_a_result_that_is_not_there_is_an_error_that_names_those_that_are(plugin: Plugin) -> None:
    done = plugin("explain", "deploy/web", "-b", "7")
    assert (done.code, done.out) == (1, "")
    assert "no result for batch size 7: its batch sizes are 32 [ResultNotFound]" in done.err


@pytest.mark.parametrize(
    "wrong",
    [
        ["explain"],
        ["explain", "deploy/web", "-b", "0"],
        ["diff"],
        ["top", "-o", "wide"],
        ["rank"],
        ["plan", "--manifest"],
        ["plan", "web", "--latency-milliseconds", "5"],
        ["plan", "deploy/web", "--manifest", "--latency-milliseconds", "0"],
    ],
)
def test_wrong_usage_ends_with_two_and_names_the_program(plugin: Plugin, wrong: list[str]) -> None:
    done = plugin(*wrong)
    assert done.code == 2
    assert "Usage: kubectl joulecast" in done.err


def test_a_library_that_is_left_out_is_named(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubectl, "find_spec", lambda name: None)
    assert "pip install 'joulecast[kubectl]'" in str(plugin("top").code)


def test_a_plan_for_a_workload_is_printed_and_nothing_is_asked(plugin: Plugin) -> None:
    done = plugin("plan", "deploy/web", "--manifest", "--latency-milliseconds", "20", "--requests-per-second", "500m")
    assert (done.code, done.err) == (0, "")
    assert yaml.safe_load(done.out) == {
        "apiVersion": "joulecast.dev/v1alpha1",
        "kind": "EnergyPlan",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "slo": {"latencyMilliseconds": 20},
            "requestsPerSecond": "500m",
        },
    }
    assert plugin.there.requests == []
