"""Test with a real scheduler and disruption controller that the webhook's replicas are spread, and go one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.control_plane import ControlPlane
from tests.harness.installation import CHART, NAMESPACE
from tests.waiting import eventually

NODES = {"a-1": "a", "a-2": "a", "b-1": "b", "b-2": "b"}
"""Name and zone of each node."""

WEBHOOK = ("get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=webhook", "-o", "json")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Install the chart in a cluster with four nodes that accept pods and start none."""
    with ControlPlane.start(tmp_path_factory.mktemp("replicas"), scheduler=True) as started:
        for name, zone in NODES.items():
            labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}
            started.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
        assert eventually(lambda: all_accept(started)), "the nodes accept no pods"
        started.helm("install", "joulecast", CHART, "-n", NAMESPACE, "--create-namespace", "--no-hooks")
        yield started


def beat(plane: ControlPlane) -> None:
    """Report every node as ready, as its kubelet would."""
    room = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    status = {"capacity": room, "allocatable": room, "conditions": [{"type": "Ready", "status": "True", "reason": "T"}]}
    for name in NODES:
        plane.kubectl(
            "patch", "node", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
        )


def all_accept(plane: ControlPlane) -> bool:
    """Report the nodes as ready, and tell whether each of them accepts pods."""
    beat(plane)
    nodes = json.loads(plane.kubectl("get", "nodes", "-o", "json").stdout)["items"]
    return not any(node["spec"].get("taints") for node in nodes)


def running(plane: ControlPlane) -> list[dict[str, Any]]:
    """Return the webhook's pods that have a node and are not being deleted."""
    pods = json.loads(plane.kubectl(*WEBHOOK).stdout)["items"]
    return [pod for pod in pods if pod["spec"].get("nodeName") and "deletionTimestamp" not in pod["metadata"]]


def until_two(plane: ControlPlane) -> list[dict[str, Any]]:
    assert eventually(lambda: len(running(plane)) == 2), "two pods of the webhook have no node"
    return running(plane)


def ready(plane: ControlPlane, pod: dict[str, Any]) -> None:
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    named = ("pod", pod["metadata"]["name"], "-n", NAMESPACE, "--subresource=status", "--type=merge")
    plane.kubectl("patch", *named, "-p", json.dumps({"status": status}))


def evicted(plane: ControlPlane, pod: dict[str, Any], **options: Any) -> bool:
    """Evict a pod as a drain of its node does, and tell whether the budget allowed it."""
    name = pod["metadata"]["name"]
    named = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
    body = named | {"deleteOptions": options}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    done = plane.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body), check=False)
    assert done.returncode == 0 or "disruption budget" in done.stderr, done.stderr
    return done.returncode == 0


def is_kept(plane: ControlPlane, pod: dict[str, Any]) -> bool:
    """Tell whether the budget keeps a pod from being evicted."""
    return not evicted(plane, pod, dryRun=["All"])


def allowed(plane: ControlPlane) -> int:
    found = plane.get("poddisruptionbudget", "joulecast-webhook", NAMESPACE)
    return int(((found or {}).get("status") or {}).get("disruptionsAllowed", -1))


def test_replicas_lie_in_two_zones_and_a_drain_takes_one_at_a_time(plane: ControlPlane) -> None:
    first, second = until_two(plane)
    assert {NODES[pod["spec"]["nodeName"]] for pod in (first, second)} == {"a", "b"}
    for pod in (first, second):
        ready(plane, pod)
    assert eventually(lambda: allowed(plane) == 1), "both count as healthy"
    assert evicted(plane, first)
    assert eventually(lambda: allowed(plane) == 0), "one is left"
    assert eventually(lambda: is_kept(plane, second)), "it may be evicted, too"
    (new,) = [pod for pod in until_two(plane) if pod["metadata"]["name"] != second["metadata"]["name"]]
    assert evicted(plane, new), "a pod that does not start keeps no node from being drained"
    assert eventually(lambda: is_kept(plane, second)), "it may be evicted after all"


def test_a_rollout_is_spread_among_its_own_pods(plane: ControlPlane) -> None:
    plane.kubectl("rollout", "restart", "deployment/joulecast-webhook", "-n", NAMESPACE)
    first = plane.kubectl("get", "deployment", "joulecast-webhook", "-n", NAMESPACE, "-o", "json").stdout
    restarted = json.loads(first)["spec"]["template"]["metadata"]["annotations"]

    def new() -> list[dict[str, Any]]:
        pods = running(plane)
        for pod in pods:
            ready(plane, pod)
        return [pod for pod in pods if restarted.items() <= pod["metadata"].get("annotations", {}).items()]

    assert eventually(lambda: len(new()) == 2), "two pods of the rollout have no node"
    assert {NODES[pod["spec"]["nodeName"]] for pod in new()} == {"a", "b"}
