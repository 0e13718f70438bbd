"""Test the chart with a real API server, Helm 3 and Helm 4: install, upgrade, uninstall and install again."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.release import deployment
from tests.cluster.test_metrics import estimate
from tests.harness.control_plane import FIRST_SERVICE_ADDRESS, ControlPlane
from tests.harness.environment import ROOT
from tests.harness.installation import CHART, NAMESPACE
from tests.waiting import eventually

RUNBOOKS = ROOT / "docs" / "runbooks"
SECRET = ("--set", "webhook.certSecret=webhook-tls", "--set", "webhook.caBundle=")
KINDS = "deployments,services,serviceaccounts,poddisruptionbudgets,configmaps,roles,rolebindings,networkpolicies"
CLUSTER_KINDS = (
    "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings"
)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane.start(tmp_path_factory.mktemp("chart"), controller_manager=False) as started:
        yield started


@pytest.fixture(params=["helm3", "helm"], ids=["helm-3", "helm-4"])
def helm(plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    """Return the program, which finds no release, because each version of Helm begins by itself."""
    for release in ("joulecast", "other"):
        plane.helm("uninstall", release, "-n", NAMESPACE, "--no-hooks", "--ignore-not-found")
    return str(request.param)


def install(plane: ControlPlane, *options: str, release: str = "joulecast", helm: str = "helm") -> None:
    bundle = plane.authority.bundle.read_bytes()
    values = [part.replace("caBundle=", f"caBundle={_base64(bundle)}") for part in SECRET]
    command = ("upgrade", "--install", release, CHART, "-n", NAMESPACE, "--create-namespace")
    plane.helm(*command, *values, *options, program=helm)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def installed(plane: ControlPlane, release: str = "joulecast") -> set[str]:
    selector = f"app.kubernetes.io/instance={release}"
    inside = plane.kubectl("get", KINDS, "-n", NAMESPACE, "-l", selector, "-o", "name").stdout.split()
    return {*inside, *plane.kubectl("get", CLUSTER_KINDS, "-l", selector, "-o", "name").stdout.split()}


def test_its_life(plane: ControlPlane, helm: str) -> None:
    install(plane, "--take-ownership", helm=helm)
    first = installed(plane)
    assert {"deployment.apps/joulecast-controller", "deployment.apps/joulecast-webhook"} <= first
    assert eventually(lambda: plane.kubectl("get", "iee", "-A", check=False).returncode == 0)
    plane.kubectl("create", "namespace", "shop", check=False)  # the other Helm's
    plane.apply(estimate("detector"))

    install(plane, "--set", "webhook.replicas=3", "--set", "metrics.port=9090", helm=helm)
    assert installed(plane) == first
    assert plane.get("deployment", "joulecast-webhook", NAMESPACE)["spec"]["replicas"] == 3

    plane.helm("uninstall", "joulecast", "-n", NAMESPACE, "--no-hooks", program=helm)
    assert eventually(lambda: not installed(plane))
    assert plane.get("iee", "detector", "shop") is not None, "the definitions, and with them the estimates, are kept"

    install(plane, helm=helm)
    assert installed(plane) == first
    plane.helm("uninstall", "joulecast", "-n", NAMESPACE, "--no-hooks", program=helm)
    assert eventually(lambda: not installed(plane))
    install(plane, "--take-ownership", release="other", helm=helm)
    assert "deployment.apps/other-joulecast-controller" in installed(plane, "other")
    plane.helm("uninstall", "other", "-n", NAMESPACE, "--no-hooks", program=helm)


def test_an_upgrade_goes_through_after_an_uninstall_that_was_given_up(plane: ControlPlane, helm: str) -> None:
    """Helm 4 applies server-side, which must not conflict with what the Job of the uninstall has written."""
    install(plane, "--take-ownership", helm=helm)
    rest = "joulecast.dev/rest-until=2026-01-01T00:00:00Z"
    account = f"--as=system:serviceaccount:{NAMESPACE}:joulecast-controller"
    plane.kubectl("annotate", "deployment/joulecast-controller", "-n", NAMESPACE, rest, account)
    install(plane, "--set", "metrics.port=9090", helm=helm)


def test_a_bundle_that_an_injector_wrote_survives_an_upgrade(plane: ControlPlane, helm: str) -> None:
    install(plane, "--take-ownership", "--set", "webhook.caBundle=", helm=helm)
    bundle = _base64(plane.authority.bundle.read_bytes())
    name = "mutatingwebhookconfiguration/joulecast-webhook"
    patch = f'[{{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "{bundle}"}}]'
    plane.kubectl("patch", name, "--type=json", "-p", patch)
    install(plane, "--set", "webhook.caBundle=", "--set", "webhook.replicas=4", helm=helm)
    found = plane.kubectl("get", name, "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}").stdout
    assert found == bundle


def test_the_api_servers_own_addresses_are_all_that_is_open_of_the_cluster(plane: ControlPlane) -> None:
    """They are those of the Service `kubernetes` at the time; if it has none, any address at the usual ports."""
    install(plane, "--take-ownership")
    assert "to" not in egress(plane)
    slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4"}
    labels = {"kubernetes.io/service-name": "kubernetes"}
    plane.apply(
        slice_
        | {
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
            "endpoints": [{"addresses": ["192.0.2.10"]}, {"addresses": ["192.0.2.11"]}],
            "ports": [{"name": "https", "port": 8443, "protocol": "TCP"}],
        }
    )
    install(plane)
    blocks = {peer["ipBlock"]["cidr"] for peer in egress(plane)["to"]}
    assert blocks == {"192.0.2.10/32", "192.0.2.11/32", f"{FIRST_SERVICE_ADDRESS}/32"}
    assert {port["port"] for port in egress(plane)["ports"]} == {443, 6443, 8443}


def test_the_commands_of_the_runbooks_are_understood(plane: ControlPlane) -> None:
    """Those that read objects; there are no pods whose log or load could be read."""
    plane.helm("uninstall", "joulecast", "-n", NAMESPACE, "--no-hooks", "--ignore-not-found")
    plane.helm("install", "joulecast", CHART, "-n", NAMESPACE, "--create-namespace", "--take-ownership")
    assert eventually(lambda: plane.kubectl("get", "iee,aep,ecal", "-A", check=False).returncode == 0)
    blocks = re.findall(r"```console\n(.*?)```", "".join(map(Path.read_text, RUNBOOKS.glob("*.md"))), re.DOTALL)
    lines = [line.removeprefix("$ kubectl ") for block in blocks for line in block.splitlines()]
    read = [words for words in map(before_a_pipe, lines) if {"get", "describe", "auth"} & set(words)]
    assert len(read) > 10
    plane.apply(deployment("web", "default"))
    plane.kubectl("create", "configmap", "web", "-n", NAMESPACE)
    for words in read:
        plane.kubectl(*[word.replace("joulecast:", f"{NAMESPACE}:") for word in in_place(words)])


def before_a_pipe(line: str) -> list[str]:
    words = shlex.split(line)
    return words[: words.index("|")] if "|" in words else words


def in_place(words: list[str]) -> list[str]:
    """Return a command with this release's namespace and a Deployment in place of the examples of the page."""
    named, things = {"joulecast": NAMESPACE, "NAMESPACE": "default"}, {"KIND": "deployment", "NAME": "web"}
    return [
        (named if before == "-n" else things).get(word, word) for before, word in zip(["", *words], words, strict=False)
    ]


def egress(plane: ControlPlane) -> dict[str, Any]:
    """Return the rule that lets every pod of the release connect to the API server."""
    found = plane.get("networkpolicy", "joulecast", NAMESPACE)
    assert found is not None
    (rule,) = found["spec"]["egress"]
    assert isinstance(rule, dict)
    return rule
