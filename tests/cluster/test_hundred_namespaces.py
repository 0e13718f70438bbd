"""Test that a hundred namespaces end right, whatever was forged, deleted and restarted on the way.

Each namespace has one role, one kind of workload and one fate; what must be in it at the end follows from the three.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from joulecast_operator.api import annotations as notes
from joulecast_operator.api.kinds import ANNOTATED, ESTIMATES, NAMESPACES, NODES
from joulecast_operator.cluster import client as kube
from tests.cluster.controlled import CONTROLLER, Cluster, controlled, estimate, metrics
from tests.cluster.patience import be_patient
from tests.cluster.release import workload
from tests.harness import http
from tests.waiting import eventually

H200, L4 = "NVIDIA-H200", "NVIDIA-L4"
KINDS = tuple(ANNOTATED)
ROLES = ("image", "target", "annotated", "unknown", "either")
"""How the workload gets its forecast: by an estimate of its image; by one that targets it; by its own annotations; not,
as there is no such image; by an estimate that targets it while two kinds of nodes may run it."""
FATES = ("stays", "loses its estimate", "is replaced by another kind", "is forged while nobody looks")
FORGED = {notes.JOULES: "0.001", notes.STATE: "Ready", notes.ACCELERATOR: "NVIDIA-FORGED", notes.ORIGIN: "measured"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A namespace, by its number; ``image`` and ``missing`` are one that holds a model and one that does not exist."""

    number: int
    image: str
    missing: str

    @property
    def namespace(self) -> str:
        return f"tenant-{self.number:02}"

    @property
    def role(self) -> str:
        return ROLES[self.number % 5]

    @property
    def kind(self) -> str:
        return KINDS[self.number // 5 % 5]

    @property
    def fate(self) -> str:
        return FATES[self.number // 25]

    @property
    def later_kind(self) -> str:
        """The kind of the workload at the end."""
        replaced = self.fate == "is replaced by another kind"
        return KINDS[(KINDS.index(self.kind) + 1) % 5] if replaced else self.kind

    def workload(self, kind: str) -> dict[str, Any]:
        """Return the workload, with outputs that somebody made up."""
        annotated = {notes.MODEL: self.image, notes.FOR_ACCELERATOR: H200, notes.BATCH_SIZE: "4"}
        found = workload(
            kind,
            "web",
            self.namespace,
            image=self.missing if self.role == "unknown" else self.image,
            annotations=FORGED | (annotated if self.role == "annotated" else {}),
        )
        if self.role == "either":
            pod = _pod(found)
            pod["nodeSelector"] = {"pool": "both"}
            pod["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
        return found

    def estimate(self, kind: str) -> dict[str, Any] | None:
        """Return the estimate that the user makes; None where the workload asks for one by annotations."""
        if self.role == "annotated":
            return None
        if self.role in ("image", "unknown"):
            image = self.image if self.role == "image" else self.missing
            return estimate("own", self.namespace, image, accelerators={"names": [H200, L4]})
        found = estimate("own", self.namespace, targetRef={"kind": kind, "name": "web"})
        found["spec"]["accelerators"] = {"names": [H200]}
        if self.role == "either":
            del found["spec"]["accelerators"]
        return found


def _pod(found: Mapping[str, Any]) -> Any:
    spec = found["spec"]
    return spec["jobTemplate"]["spec"]["template"]["spec"] if "jobTemplate" in spec else spec["template"]["spec"]


class Land:
    """All tenants on one cluster, and requests for many of them at once."""

    def __init__(self, cluster: Cluster) -> None:
        image, missing = cluster.image("model"), cluster.image("absent")
        self.cluster = cluster
        self.tenants = [Tenant(number=number, image=image, missing=missing) for number in range(100)]

    def of(self, fate: str) -> list[Tenant]:
        return [each for each in self.tenants if each.fate == fate]

    def settle(self, tenants: Iterable[Tenant]) -> None:
        """Make namespaces with what is in them; the estimate of every other one comes after its workload."""
        tenants = list(tenants)
        self._each([("POST", NAMESPACES.path(), {"metadata": {"name": each.namespace}}) for each in tenants])
        first = [(each, each.number % 2 == 0) for each in tenants]
        self._each([self._made(each, workload=workload) for each, workload in first])
        self._each([self._made(each, workload=not workload) for each, workload in first])

    def forge(self, tenants: Iterable[Tenant]) -> None:
        patch = {"metadata": {"annotations": FORGED}}
        self._each([("PATCH", self._web(each, each.kind), patch) for each in tenants])

    def take_estimates(self, tenants: Iterable[Tenant]) -> None:
        """Delete the estimates, or the annotation that asks for one."""
        gone = {"metadata": {"annotations": {notes.MODEL: None}}}
        own = [ESTIMATES.path(each.namespace, "own") for each in tenants if each.role != "annotated"]
        named = [self._web(each, each.kind) for each in tenants if each.role == "annotated"]
        self._each([*(("DELETE", path, {}) for path in own), *(("PATCH", path, gone) for path in named)])

    def replace_workloads(self, tenants: Iterable[Tenant]) -> None:
        """Delete the workloads, and make one of another kind under the same name; estimates that target follow."""
        tenants = list(tenants)
        background = {"propagationPolicy": "Background"}
        self._each([("DELETE", self._web(each, each.kind), background) for each in tenants])
        self._each([("POST", _collection(each, each.later_kind), each.workload(each.later_kind)) for each in tenants])
        following = [each for each in tenants if each.role in ("target", "either")]
        self._each([("PATCH", ESTIMATES.path(each.namespace, "own"), _retargeted(each)) for each in following])

    def wrong(self) -> list[str]:
        """Return each namespace that is not as it must be at the end, with what its workload says of itself."""
        held = {kind: self.listed(ANNOTATED[kind].path()) for kind in KINDS}
        estimates = self.listed(ESTIMATES.path())
        found = []
        for each in self.tenants:
            web = held[each.later_kind].get((each.namespace, "web"), {})
            said = notes.outputs(notes.annotations_of(web))
            if not web or not _right(each, said, estimates):
                found.append(f"{each.namespace} ({each.role}, {each.kind}, {each.fate}): {said}")
        return found

    def _made(self, tenant: Tenant, *, workload: bool) -> tuple[str, str, Any] | None:
        if workload:
            return "POST", _collection(tenant, tenant.kind), tenant.workload(tenant.kind)
        own = tenant.estimate(tenant.kind)
        return None if own is None else ("POST", ESTIMATES.path(tenant.namespace), own)

    def _web(self, tenant: Tenant, kind: str) -> str:
        return ANNOTATED[kind].path(tenant.namespace, "web")

    def listed(self, path: str) -> dict[tuple[str, str], dict[str, Any]]:
        plane = self.cluster.plane
        found = http.get_json(plane.url + path, tls=plane.admin_tls)["items"]
        return {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in found}

    def _each(self, requests: Iterable[tuple[str, str, Any] | None]) -> None:
        asyncio.run(_sent(self.cluster.plane.kubeconfig, [each for each in requests if each is not None]))


def _retargeted(tenant: Tenant) -> dict[str, Any]:
    return {"spec": {"targetRef": {"kind": tenant.later_kind, "name": "web"}}}


def _collection(tenant: Tenant, kind: str) -> str:
    return ANNOTATED[kind].path(tenant.namespace)


async def _sent(kubeconfig: Path, requests: list[tuple[str, str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        client = kube.Cluster(concurrency=32)
        try:
            await asyncio.gather(*(_one(client, *each) for each in requests))
        finally:
            await client.close()


async def _one(client: kube.Cluster, method: str, path: str, body: Any) -> None:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    await client.request(method, path, body=body, kind=kind)


def _right(tenant: Tenant, said: dict[str, str], estimates: Mapping[tuple[str, str], dict[str, Any]]) -> bool:
    """Tell whether the outputs of a tenant's workload are what they must be at the end."""
    if tenant.fate == "loses its estimate":
        return said == {} and not [key for key in estimates if key[0] == tenant.namespace]
    own = next((found for key, found in estimates.items() if key[0] == tenant.namespace), {})
    status = own.get("status") or {}
    if tenant.role == "unknown":
        return (said.get(notes.STATE), said.get(notes.REASON)) == ("Failed", "NotFound") and notes.JOULES not in said
    row = next(iter(status.get("results") or ()), None)
    if row is None or said.get(notes.STATE) != "Ready":
        return False
    chosen = row["accelerator"] if tenant.role == "either" else H200
    return said[notes.JOULES] == notes.significant(row["joulesPerBatch"]) and said[notes.ACCELERATOR] == chosen


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Land]:
    with controlled(tmp_path_factory.mktemp("land"), flags=["--sweep-seconds=5"]) as cluster:
        be_patient(cluster.plane)
        cluster.push("model")
        for name, product in (("small", L4), ("large", H200)):
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
            node["metadata"]["labels"] = {"nvidia.com/gpu.product": product, "pool": "both"}  # type: ignore[index]
            cluster.plane.apply(node)
            held = json.dumps({"status": {"allocatable": {"nvidia.com/gpu": "8"}, "capacity": {"nvidia.com/gpu": "8"}}})
            cluster.plane.kubectl("patch", NODES.plural, name, "--subresource=status", "--type=merge", "-p", held)
        yield Land(cluster)


def test_a_hundred_namespaces_end_right(land: Land) -> None:
    controller, webhook = land.cluster.installation.controller, land.cluster.installation.webhook
    land.settle(land.tenants[:60])
    controller.kill()
    land.settle(land.tenants[60:])
    controller.start()
    land.take_estimates(land.of("loses its estimate"))
    land.replace_workloads(land.of("is replaced by another kind"))
    land.cluster.until(lambda: _pause() and not _unready(land), "every estimate is answered")
    controller.kill()
    webhook.stop()
    land.forge(land.of("is forged while nobody looks"))
    webhook.start(wait=False)
    controller.start()
    webhook.wait_ready()
    assert eventually(lambda: _pause() and not land.wrong()), land.wrong()
    assert land.cluster.forbidden() == []


def test_of_two_kinds_of_nodes_one_decides_and_the_range_is_said(land: Land) -> None:
    """By the state that the first test of the file ends with."""
    tenants = [each for each in land.tenants if each.role == "either" and each.fate != "loses its estimate"]
    estimates = land.listed(ESTIMATES.path())
    facts = [estimates[each.namespace, "own"]["status"]["target"]["accelerators"] for each in tenants]
    assert len(facts) == 15
    assert {json.dumps(each, sort_keys=True) for each in facts} == {json.dumps(facts[0], sort_keys=True)}
    assert facts[0]["products"] == [H200, L4]
    assert facts[0]["decides"] in (H200, L4)
    assert "–" in facts[0]["range"]


def test_another_look_at_all_of_it_writes_nothing(land: Land) -> None:
    """An image that does not exist is asked for again, so that its estimates and workloads may change."""
    before, looks = _writes(land), _looks(land)
    land.cluster.until(lambda: _looks(land) >= looks + len(land.tenants), "all workloads were looked at again")
    assert _writes(land) == before


def _writes(land: Land) -> list[str]:
    """Return the paths of the controller's writes in namespaces whose model can be read."""
    readable = {f"/{each.namespace}/" for each in land.tenants if each.role != "unknown"}
    paths = (
        event["requestURI"].partition("?")[0]
        for event in land.cluster.plane.audit_events()
        if event["user"]["username"] == CONTROLLER and event["verb"] == "patch"
    )
    return [path for path in paths if any(namespace in path for namespace in readable)]


def _pause() -> bool:
    """Leave the machine to the programs that are tested: a look at all objects takes as long as much of their work."""
    time.sleep(0.5)
    return True


def _unready(land: Land) -> list[str]:
    """Return the estimates that have no answer for their present spec."""
    found = []
    for key, each in land.listed(ESTIMATES.path()).items():
        ready = notes.ready_condition(each) or {}
        if ready.get("status") not in ("True", "False"):
            found.append("/".join(key))
    return found


def _looks(land: Land) -> float:
    """Return how often the controller has looked at a workload."""
    page, name = metrics(land.cluster.installation.controller_url), "joulecast_reconcile_duration_seconds_count"
    samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
    return sum(each.value for each in samples if each.name == name and each.labels["kind"] in KINDS)
