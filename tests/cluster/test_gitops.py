"""Test that joulecast and what declares a Deployment, kubectl or a GitOps tool, leave each other alone."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from joulecast_operator.api.annotations import JOULES, OUTPUT_KEYS, STATE
from tests.cluster.release import deployment, text
from tests.cluster.settled import Shop
from tests.harness import binaries
from tests.harness.control_plane import COMMAND_SECONDS
from tests.harness.environment import ROOT

TRACKING = {"argocd.argoproj.io/tracking-id": "app:apps/Deployment:shop/web"}  # Argo CD 3 writes it into each manifest
MANIFESTS: dict[str, dict[str, str] | None] = {
    "plain": None,
    "empty": {},
    "outputs": {JOULES: "0.001", STATE: "Failed"},
}


def manifest(shop: Shop, name: str, annotations: dict[str, str] | None) -> dict[str, Any]:
    body = deployment(name, shop.namespace, image=shop.image)
    if annotations is not None:
        body["metadata"]["annotations"] = annotations
    return body


# -- kubectl


def client_side(shop: Shop, body: dict[str, Any], _: Path) -> str:
    return shop.cluster.plane.kubectl("apply", "-f", "-", stdin=text(body)).stdout


def server_side(shop: Shop, body: dict[str, Any], _: Path) -> str:
    """Apply with force, which a manifest needs that declares what joulecast's controller has written."""
    return shop.cluster.plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text(body)).stdout


def replaced(shop: Shop, body: dict[str, Any], _: Path) -> str:
    plane = shop.cluster.plane
    if plane.get("deployment", body["metadata"]["name"], shop.namespace):
        return plane.replace(body)
    return plane.kubectl("create", "-f", "-", stdin=text(body)).stdout


def kustomized(shop: Shop, body: dict[str, Any], folder: Path) -> str:
    (folder / "deployment.yaml").write_text(text(body))
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["deployment.yaml"]}))
    return shop.cluster.plane.kubectl("apply", "-k", folder).stdout


WAYS: dict[str, Callable[[Shop, dict[str, Any], Path], str]] = {
    "client-side": client_side,
    "server-side": server_side,
    "replace": replaced,
    "kustomize": kustomized,
}


@pytest.mark.parametrize("annotations", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_is_applied_again_changes_nothing(
    shop: Shop, tmp_path: Path, annotations: dict[str, str] | None
) -> None:
    bodies = {way: manifest(shop, way, annotations) for way in WAYS}
    for _ in range(2):
        for way, send in WAYS.items():
            send(shop, bodies[way], tmp_path)
            shop.until_right(way)
    versions = {way: shop.until_settled(way) for way in WAYS}
    writes = {way: shop.writes(way) for way in WAYS}
    for way, send in WAYS.items():
        said = send(shop, bodies[way], tmp_path)
        assert shop.is_right(way), "at once, by the webhook"
        if annotations is None and way in ("client-side", "kustomize"):
            assert said.strip().endswith("unchanged")
        if way != "replace":  # takes the revision away that Kubernetes then writes again
            assert shop.version(way) == versions[way]
    after = {way: shop.until_settled(way) for way in WAYS}
    assert after | {"replace": ""} == versions | {"replace": ""}
    assert {way: shop.writes(way) for way in WAYS} == writes, "the controller had nothing to repair"


def test_a_rollout_that_is_undone_has_the_forecast_of_its_image_and_settles(shop: Shop) -> None:
    plane = shop.cluster.plane
    plane.apply(manifest(shop, "web", None))
    shop.until_right()
    shop.until_rolled_out()
    plane.kubectl("set", "image", "deployment/web", "main=registry.invalid/other:1", "-n", shop.namespace)
    assert JOULES not in shop.annotations()
    shop.until_rolled_out()
    plane.kubectl("rollout", "undo", "deployment/web", "-n", shop.namespace)
    shop.until_right()
    version, writes = shop.until_settled(), shop.writes()
    shop.passed()
    assert (shop.version(), shop.writes()) == (version, writes)


# -- Flux and Argo CD


def asked(shop: Shop, tool: str, body: dict[str, Any], ignore: list[str] | None = None) -> dict[str, Any]:
    """Ask a GitOps tool's own library for the differences between a manifest and the cluster."""
    (answer,) = all_asked(shop, [{"tool": tool, "object": body, "ignore": ignore or []}])
    return answer


def all_asked(shop: Shop, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [str(binaries.program("gitops-diff")), str(shop.cluster.plane.kubeconfig)],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        env={**os.environ, "NO_PROXY": "127.0.0.1,localhost"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def documented(kind: str) -> Any:
    """Return the object of ``kind`` that the documentation gives to copy."""
    blocks = (ROOT / "docs" / "gitops.md").read_text().split("```yaml\n")[1:]
    found = [yaml.safe_load(block.partition("```")[0]) for block in blocks]
    (only,) = [each for each in found if each.get("kind") == kind]
    return only


def rules(kind: str) -> list[str]:
    """Return the JSON pointers of the documented rule for a kind of object of Flux or Argo CD."""
    spec = documented(kind)["spec"]
    if kind == "Application":
        (rule,) = spec["ignoreDifferences"]
        assert (rule["group"], rule["kind"]) == ("apps", "Deployment")
        pointers: list[str] = rule["jsonPointers"]
        return pointers
    (rule,) = spec["ignore"] if kind == "Kustomization" else spec["driftDetection"]["ignore"]
    assert rule["target"] == {"kind": "Deployment"}
    paths: list[str] = rule["paths"]
    return paths


@pytest.mark.parametrize("kind", ["Kustomization", "HelmRelease", "Application"])
def test_the_documented_rules_name_every_annotation_that_joulecast_writes_and_no_other(kind: str) -> None:
    pointers = rules(kind)
    assert len(pointers) == len(set(pointers))
    assert set(pointers) == {"/metadata/annotations/" + key.replace("/", "~1") for key in OUTPUT_KEYS}


@pytest.mark.parametrize("annotations", MANIFESTS.values(), ids=MANIFESTS)
def test_flux_sees_no_drift_and_writes_nothing(shop: Shop, annotations: dict[str, str] | None) -> None:
    body = manifest(shop, "web", annotations)
    assert asked(shop, "flux-apply", body)["action"] == "created"
    shop.until_right()
    version = shop.until_settled()
    assert asked(shop, "flux-diff", body)["action"] == "unchanged"
    assert not asked(shop, "helm-drift", body)["differs"]
    for _ in range(2):
        assert asked(shop, "flux-apply", body)["action"] == "unchanged"
    assert shop.until_settled() == version


def test_flux_sees_a_drift_where_only_the_webhook_could_annotate_and_none_with_the_rules(shop: Shop) -> None:
    """The controller is away, so the live object still lacks what a dry-run through the webhook shows."""
    cluster, body = shop.cluster, manifest(shop, "web", None)
    for process in (cluster.installation.controller, cluster.installation.webhook):
        process.kill()
    try:
        cluster.plane.apply(body)
        shop.until_rolled_out()
        cluster.installation.webhook.start()
        drift = asked(shop, "helm-drift", body)
        assert drift["differs"]
        assert {change.split()[1].partition("/joulecast.dev~1")[0] for change in drift["changes"]} == {
            "/metadata/annotations"
        }
        assert not asked(shop, "helm-drift", body, rules("HelmRelease"))["differs"]
        assert asked(shop, "flux-diff", body)["differs"]
        assert not asked(shop, "flux-diff", body, rules("Kustomization"))["differs"]
    finally:
        cluster.installation.controller.start()
        if not cluster.installation.webhook.is_running:
            cluster.installation.webhook.start()
    shop.until_right()
    assert not asked(shop, "helm-drift", body)["differs"]
    assert not asked(shop, "flux-diff", body)["differs"]


def test_flux_corrects_declared_outputs_while_the_webhook_is_away_unless_told_not_to(shop: Shop) -> None:
    cluster, body = shop.cluster, manifest(shop, "web", MANIFESTS["outputs"])
    asked(shop, "flux-apply", body)
    shop.until_right()
    shop.until_settled()
    cluster.installation.webhook.kill()
    try:
        assert asked(shop, "flux-diff", body)["differs"]
        assert asked(shop, "helm-drift", body)["differs"]
        assert not asked(shop, "flux-diff", body, rules("Kustomization"))["differs"]
        assert asked(shop, "flux-apply", body, rules("Kustomization"))["action"] == "unchanged"
        assert not asked(shop, "helm-drift", body, rules("HelmRelease"))["differs"]
        assert shop.is_right()
    finally:
        cluster.installation.webhook.start()


ARGO_TOOLS = ("argo-legacy", "argo-server", "argo-mutations")
ARGO_SYNCS = {"client": [], "server": ["--server-side", "--force-conflicts"]}
OUT_OF_SYNC = {  # by Argo CD's diff library; Argo CD itself was not run
    ("outputs", "argo-legacy"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """A manifest that Argo CD has applied: what it declares, how it was applied, and by what Argo CD knows it again."""

    declares: str
    sync: str
    known_by: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        name: str = self.body["metadata"]["name"]
        return name

    def apply(self, shop: Shop) -> None:
        flags = ("--field-manager=argocd-controller", *ARGO_SYNCS[self.sync])
        shop.cluster.plane.kubectl("apply", *flags, "-f", "-", stdin=text(self.body))


def argo_manifests(shop: Shop) -> list[Synced]:
    found = []
    for declares, sync, known_by in itertools.product(MANIFESTS, ARGO_SYNCS, ("label", "id")):
        annotations = MANIFESTS[declares]
        if known_by == "id":
            annotations = (annotations or {}) | TRACKING
        body = manifest(shop, f"{declares}-{sync}-{known_by}", annotations)
        found.append(Synced(declares=declares, sync=sync, known_by=known_by, body=body))
    return found


def test_argo_cds_diff_is_as_documented(shop: Shop) -> None:
    manifests = argo_manifests(shop)
    for each in manifests * 2:  # at the second, Kubernetes writes down once who owns a declared output
        each.apply(shop)
    for each in manifests:
        shop.until_right(each.name)
        shop.until_rolled_out(each.name)
    shop.passed()
    versions = {each.name: shop.version(each.name) for each in manifests}
    asks = [(each, tool) for each in manifests for tool in ARGO_TOOLS]
    answers = all_asked(shop, [{"tool": tool, "object": each.body, "ignore": []} for each, tool in asks])
    seen = {(each.name, tool): answer["changes"] for (each, tool), answer in zip(asks, answers, strict=True)}
    differ = {(each.name, tool) for each, tool in asks if seen[each.name, tool]}
    assert differ == {(each.name, tool) for each, tool in asks if (each.declares, tool) in OUT_OF_SYNC}
    ignore = rules("Application")
    ruled = all_asked(shop, [{"tool": tool, "object": each.body, "ignore": ignore} for each, tool in asks])
    assert [answer["changes"] for answer in ruled] == [[]] * len(asks)
    for each in manifests:
        each.apply(shop)
    shop.passed()
    after = {each.name: shop.version(each.name) for each in manifests}
    assert after == versions, "a sync of what is OutOfSync changes nothing either"
