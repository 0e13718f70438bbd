"""Test `kubectl joulecast` on a real API server, run by kubectl itself, as a user of few rights."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from joulecast_operator import kubectl
from joulecast_operator.api import annotations as notes
from joulecast_operator.api.kinds import CRON_JOBS, DEPLOYMENTS, ESTIMATES, LEADER_WORKER_SETS, SITES, Kind
from joulecast_operator.kubectl.patches import patch_for
from joulecast_operator.kubectl.server import Place, Server
from tests import checkpoints, small_models
from tests.cluster.controlled import Cluster, estimate
from tests.cluster.custom_kinds import DEFINITIONS
from tests.cluster.patience import be_patient
from tests.cluster.release import text, workload
from tests.contract.test_documentation import assert_shown, commands
from tests.harness import binaries
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import NAMESPACE, Installation
from tests.harness.registry import Registry
from tests.waiting import eventually

H200, L40S, H100 = "NVIDIA-H200", "NVIDIA-L40S", "NVIDIA-H100-80GB-HBM3"
PROGRAM = "import sys; from joulecast_operator.kubectl import main; sys.argv[0] = 'kubectl-joulecast'; main()"

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A cluster with workloads in the namespace ``shop``.

    - ``viewer``, ``editor``: kubeconfigs of users who have the roles view and edit in that namespace and no others.
    - ``bare``: how ``kubectl joulecast top`` ended before joulecast was installed.
    """

    cluster: Cluster
    viewer: Path
    editor: Path
    bare: Done

    def by_kubectl(self, *arguments: str | Path) -> Done:
        """Run ``kubectl joulecast`` as the viewer."""
        return self.cluster.plane.kubectl("joulecast", *arguments, kubeconfig=self.viewer, check=False)

    def ask(self, *arguments: str | Path, user: Path | None = None, stdin: str = "") -> Done:
        """Run what kubectl runs, in this process, which spares the start of an interpreter."""
        out, error = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(error),
            pytest.raises(SystemExit) as ended,
        ):
            patch.setenv("KUBECONFIG", str(user or self.viewer))
            patch.setattr("sys.argv", ["kubectl-joulecast", *map(str, arguments)])
            patch.setattr("sys.stdin", io.StringIO(stdin))
            kubectl.main()
        code = ended.value.code
        assert isinstance(code, int)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), error.getvalue())

    def document(self, *arguments: str | Path, user: Path | None = None, stdin: str = "") -> Any:
        done = self.ask(*arguments, "-o", "json", user=user, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return json.loads(done.stdout)

    def diff(self, *objects: dict[str, Any], user: Path | None = None) -> Any:
        return self.document("diff", "-f", "-", user=user or self.editor, stdin=text(*objects))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("kubectl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{_plugin(folder / 'bin')}:{os.environ['PATH']}")
        patch.setenv("COLUMNS", "200")
        with ControlPlane.start(folder / "plane") as plane, Registry.start(folder / "registry") as registry:
            bare = plane.kubectl("joulecast", "top", check=False)
            plane.apply(DEFINITIONS["LeaderWorkerSet"])
            flags = ["--retry-seconds=0.5", "--sweep-seconds=5"]
            with Installation.start(
                plane, folder / "joulecast", insecure_registries=[registry.host], options=flags
            ) as installation:
                be_patient(plane)
                model = small_models.classifier(folder / "classifier.onnx").read_bytes()
                cluster = Cluster(plane=plane, registry=registry, installation=installation, model=model)
                viewer, editor = (_user(plane, role) for role in ("view", "edit"))
                _fill(cluster)
                yield Shop(cluster=cluster, viewer=viewer, editor=editor, bare=bare)


def _plugin(folder: Path) -> Path:
    """Make the program that the package's entry point makes, for this Python."""
    folder.mkdir()
    program = folder / "kubectl-joulecast"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{PROGRAM}" "$@"\n')
    program.chmod(0o755)
    return folder


def _user(plane: ControlPlane, role: str) -> Path:
    if plane.get("namespace", "shop") is None:
        plane.create_namespace("shop")
    plane.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}er", "-n", "shop")
    kubeconfig = plane.client_kubeconfig(role, plane.authority.client(role, user=f"{role}er"))
    found = yaml.safe_load(kubeconfig.read_text())
    found["contexts"][0]["context"]["namespace"] = "shop"
    kubeconfig.write_text(yaml.safe_dump(found))
    return kubeconfig


def _fill(cluster: Cluster) -> None:
    """Put workloads of several kinds into the namespace, each with another way to its forecast."""
    plane, image = cluster.plane, cluster.image("model")
    cluster.push("model")
    role = ("--clusterrole=joulecast-model-configurations", f"--serviceaccount={NAMESPACE}:joulecast-controller")
    plane.kubectl("create", "rolebinding", "configurations", *role, "-n", "shop")
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "llama", "namespace": "shop"}}
    asked = {"inputTokens": 512, "outputTokens": 256, "requestsPerSecond": 2}
    target = estimate("web", "shop", targetRef={"name": "web"})
    del target["spec"]["accelerators"]
    plane.apply(
        config | {"data": {"config.json": json.dumps(dict(checkpoints.CONFIG))}},
        web(cluster),
        target,
        estimate(
            "chat", "shop", model={"configMapRef": {"name": "llama"}}, workload=asked, accelerators={"names": [H100]}
        ),
        workload("StatefulSet", "chat", "shop", annotations={notes.ESTIMATE: "chat"}),
        workload("CronJob", "nightly", "shop", annotations={notes.MODEL: image, notes.FOR_ACCELERATOR: L40S}),
        workload("Deployment", "odd", "shop", annotations={notes.ESTIMATE: "absent"}),
    )
    for name in ("web", "chat"):
        cluster.until_ready(name, "shop")
    annotated = lambda: notes.JOULES in (plane.get("cronjob", "nightly", "shop") or {})["metadata"]["annotations"]  # noqa: E731
    cluster.until(annotated, "the CronJob is annotated")


def web(cluster: Cluster, *, replicas: int = 3, **annotations: str) -> dict[str, Any]:
    given = {f"joulecast.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    found = workload("Deployment", "web", "shop", image=cluster.image("model"), annotations=given)
    found["spec"]["replicas"] = replicas
    found["spec"]["template"]["spec"]["nodeSelector"] = {"nvidia.com/gpu.product": H200}
    return found


def test_without_joulecast_in_the_cluster_that_is_said(shop: Shop) -> None:
    assert (shop.bare.returncode, shop.bare.stdout) == (1, "")
    assert shop.bare.stderr == (
        "error: the cluster does not serve inferenceenergyestimates.joulecast.dev: install joulecast's chart there, or"
        " choose another --context [NotInstalled]\n"
    )


def test_a_viewer_is_told_why_a_deployment_has_its_number(shop: Shop) -> None:
    status = shop.cluster.status("web", "shop")
    found = shop.document("explain", "deployment/web")
    assert found["object"]["accelerator"] == H200
    assert found["target"]["accelerators"]["source"] == "nodeSelector"
    assert found["result"] == status["results"][0]
    assert [layer["name"] for layer in found["topLayers"]] == [layer["name"] for layer in status["topLayers"]]
    assert found["intervalReasons"] == status["results"][0]["intervalReasons"]
    (other,) = found["otherResults"]
    assert [layer["name"] for layer in other["topLayers"]] != []
    done = shop.by_kubectl("explain", "deploy", "web")
    assert (done.returncode, done.stderr) == (0, "")
    shown = done.stdout
    assert "the node selector of the pods" in shown
    assert status["topLayers"][0]["name"] in shown
    assert "interval: holds the true value in" in shown


def test_another_result_is_explained_where_it_is_asked_for(shop: Shop) -> None:
    first, other = shop.cluster.status("web", "shop")["results"]
    found = shop.document("explain", "deployment/web", "--accelerator", H200, "-b", "32")
    assert found["result"] == other
    assert found["asked"] == {"accelerator": H200, "batchSize": "32"}
    assert [layer["name"] for layer in found["topLayers"]] == [layer["name"] for layer in other["topLayers"]]
    assert found["intervalReasons"] == other["intervalReasons"]
    assert found["object"]["energy"]["joules"] == pytest.approx(other["joulesPerBatch"] / 32)
    assert found["otherResults"] == [first]
    assert (
        "the result for batch size 32, in place of the one that applies"
        in shop.ask("explain", "iee/web", "-b", "32").stdout
    )
    none = shop.ask("explain", "iee/web", "-b", "7")
    assert (none.returncode, none.stdout) == (1, "")
    assert "its batch sizes are 1, 32 [ResultNotFound]" in none.stderr


def test_a_request_to_a_language_model_is_split_by_phase(shop: Shop) -> None:
    found = shop.document("explain", "iee/chat")
    assert [each["name"] for each in found["phases"]] == ["prefill", "decode"]
    assert sum(each["joules"] for each in found["phases"]) == pytest.approx(found["result"]["joulesPerRequest"])
    assert shop.ask("explain", "iee", "chat", "-o", "yaml").stdout == yaml.safe_dump(
        found, sort_keys=False, allow_unicode=True
    )


def test_top_ranks_the_workloads_of_a_namespace_by_watts(shop: Shop) -> None:
    found = shop.document("top")
    chat, *others = found["workloads"]
    row = shop.cluster.status("chat", "shop")["results"][0]
    busy = 2 * row["joulesPerRequest"]
    paused = (1 - busy / row["averagePowerWatts"]) * row["idlePowerWatts"]
    assert (chat["kind"], chat["load"]) == ("StatefulSet", "2 requests/s")
    assert chat["watts"] == pytest.approx(busy + paused, rel=1e-5)
    assert [(each["name"], each["state"]) for each in others] == [
        ("web", "Ready"), ("nightly", "Ready"), ("odd", "Pending"),
    ]  # fmt: skip
    assert others[0]["energy"]["per"] == "inference"
    assert "watts" not in others[0]
    power = shop.cluster.status("web", "shop")["results"][0]["averagePowerWatts"]
    assert others[0]["busyWatts"] == pytest.approx(3 * power)
    assert (found["total"]["workloads"], found["total"]["workloadsWithLoad"]) == (3, 1)
    assert found["byAccelerator"].keys() == {H100, H200, L40S}
    shown = shop.ask("top").stdout
    assert "cronjob/nightly" in shown
    assert 'no estimate "absent" in namespace "shop"' in shown


def test_an_object_of_a_custom_kind_is_ranked_and_explained_by_the_estimate_that_targets_it(shop: Shop) -> None:
    cluster, admin = shop.cluster, shop.cluster.plane.kubeconfig
    cluster.plane.create_namespace("custom")
    pod = workload("Deployment", "group", "custom", image=cluster.image("model"))["spec"]["template"]
    group = {"apiVersion": LEADER_WORKER_SETS.api_version, "kind": "LeaderWorkerSet"}
    metadata = {"name": "group", "namespace": "custom"}
    spec = {"replicas": 2, "leaderWorkerTemplate": {"size": 3, "workerTemplate": pod}}
    target = estimate("group", "custom", targetRef={"kind": "LeaderWorkerSet", "name": "group"})
    cluster.plane.apply(group | {"metadata": metadata, "spec": spec}, target)
    cluster.until_ready("group", "custom")
    (ranked,) = shop.document("top", "-n", "custom", user=admin)["workloads"]
    assert (ranked["kind"], ranked["state"], ranked["pods"]) == ("LeaderWorkerSet", "Ready", 6)
    found = shop.document("explain", "lws/group", "-n", "custom", user=admin)
    assert found["result"] == cluster.status("group", "custom")["results"][0]
    fewer = group | {"metadata": metadata, "spec": spec | {"replicas": 1}}
    (change,) = shop.diff(fewer, user=admin)["changes"]
    assert (change["outcome"], change["before"]["pods"], change["after"]["pods"]) == ("changed", 6, 3)
    told = shop.ask("top").stderr
    assert told == "", "a kind that the cluster serves and that the user may not read is told in the table"
    assert "LeaderWorkerSets are left out" in shop.ask("top").stdout


def test_all_namespaces_need_the_rights_to_all(shop: Shop) -> None:
    done = shop.by_kubectl("top", "-A")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'User "viewer" cannot list resource "inferenceenergyestimates"' in done.stderr
    assert len(done.stderr.splitlines()) == 1
    everything = shop.document("top", "-A", user=shop.cluster.plane.kubeconfig)
    assert {("shop", "web"), (NAMESPACE, "joulecast-controller")} <= {
        (each["namespace"], each["name"]) for each in everything["workloads"]
    }


def test_diff_shows_what_an_apply_would_change_and_stores_nothing(shop: Shop) -> None:
    plane = shop.cluster.plane
    before = plane.get("deployment", "web", "shop")
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    wrong = web(shop.cluster) | {"metadata": {"name": "wrong", "namespace": "shop"}}
    wrong["spec"] = {**wrong["spec"], "selector": {"matchLabels": {"app": "other"}}}
    found = shop.diff(web(shop.cluster, replicas=5, batch_size="32"), wrong, service)
    larger, refused = found["changes"]
    assert (larger["outcome"], larger["before"]["pods"], larger["after"]["pods"]) == ("changed", 3, 5)
    one, many = shop.cluster.status("web", "shop")["results"]
    assert (one["batchSize"], many["batchSize"]) == (1, 32)
    assert larger["ratio"] == pytest.approx(many["joulesPerBatch"] / 32 / one["joulesPerBatch"])
    assert found["busyWatts"]["after"] == pytest.approx(5 * many["averagePowerWatts"])
    assert refused["outcome"] == "refused"
    assert "`selector` does not match template `labels`" in refused["refusal"]
    assert found["others"] == {"Service": 1}
    after = plane.get("deployment", "web", "shop")
    assert before is not None
    assert after is not None
    assert (after["spec"], after["metadata"]["generation"]) == (before["spec"], before["metadata"]["generation"])
    assert plane.get("deployment", "wrong", "shop") is None


def test_diff_tells_apart_what_is_the_same_new_and_not_known_yet(shop: Shop) -> None:
    other = web(shop.cluster)
    other["metadata"]["name"], other["spec"]["replicas"] = "other", 2
    another = workload("CronJob", "nightly", "shop", annotations={notes.MODEL: shop.cluster.image("model", "2")})
    asked = estimate("chat", "shop", model={"configMapRef": {"name": "llama"}}, workload={"inputTokens": 100})
    found = shop.diff(web(shop.cluster), other, another, asked)
    assert [each["outcome"] for each in found["changes"]] == ["same", "unknown", "unknown", "unknown"]
    assert "no forecast yet" in found["changes"][2]["after"]["message"]
    named = web(shop.cluster, estimate="web")
    named["metadata"]["name"] = "other"
    (new,) = shop.diff(named)["changes"]
    assert (new["outcome"], new["after"]["accelerator"], "before" in new) == ("new", H200, False)


def test_diff_shows_what_is_in_a_namespace_that_the_manifests_make_and_what_has_no_forecast(shop: Shop) -> None:
    plane, admin = shop.cluster.plane, shop.cluster.plane.kubeconfig
    fresh = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fresh"}}
    moved = web(shop.cluster)
    moved["metadata"]["namespace"] = "fresh"
    target = estimate("web", "fresh", targetRef={"name": "web"})
    asked = yaml.safe_load(shop.ask("plan", "deploy/web", "--manifest", "--latency-milliseconds", "500").stdout)
    site = {"apiVersion": SITES.api_version, "kind": SITES.kind, "metadata": {"name": "hall"}}
    price = site | {"spec": {"pricePerKilowattHour": ["0.2"], "currency": "EUR"}}
    wrong = {**price, "metadata": {"name": "wrong"}, "spec": {"currency": "euro"}}
    found = shop.diff(fresh, moved, target, asked, price, wrong, user=admin)
    assert [(each["namespace"], each["outcome"], "before" in each) for each in found["changes"]] == [
        ("fresh", "unknown", False), ("fresh", "unknown", False),
    ]  # fmt: skip
    assert found["changes"][0]["after"]["pods"] == 3
    assert {each["untried"] for each in found["changes"]} == {
        "new; its namespace is not there yet, so that the server did not try it"
    }
    assert [(each["kind"], each["outcome"]) for each in found["notes"]] == [
        ("EnergyPlan", "new"), ("EnergySite", "new"), ("EnergySite", "refused"),
    ]  # fmt: skip
    assert "deployment/web, with latency ≤ 500 ms" in found["notes"][0]["sentence"]
    assert "spec.currency" in found["notes"][2]["sentence"]
    assert plane.get("namespace", "fresh") is None
    assert plane.get("energysite", "hall") is None
    (alone,) = shop.diff(moved, user=admin)["changes"]
    assert (alone["outcome"], alone["refusal"]) == ("refused", 'namespaces "fresh" not found')


def test_a_viewer_may_not_try_an_apply_and_is_told_what_is_missing(shop: Shop) -> None:
    (only,) = shop.diff(web(shop.cluster), user=shop.viewer)["changes"]
    assert (only["outcome"], only["before"]["state"]) == ("refused", "Ready")
    assert 'User "viewer" cannot patch resource "deployments"' in only["refusal"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["explain", "deployment/absent"], 1, "there is no Deployment 'absent' in the namespace 'shop'"),
        (["explain", "pod/web"], 1, "unknown kind 'pod'; name one of estimate, deployment"),
        (["top", "-n", "kube-system"], 1, 'cannot list resource "inferenceenergyestimates"'),
        (["top", "--context", "nowhere"], 1, "the context 'nowhere' of the kubeconfig"),
        (["diff", "-f", "/absent.yaml"], 1, "/absent.yaml is no file or directory"),
        (["top", "-o", "wide"], 2, "'wide' is not one of 'table', 'json', 'yaml'"),
    ],
)
def test_what_cannot_be_done_is_said(shop: Shop, arguments: list[str], code: int, said: str) -> None:
    done = shop.ask(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_an_api_server_that_is_away_is_said(shop: Shop, tmp_path: Path) -> None:
    found = yaml.safe_load(shop.viewer.read_text())
    found["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    (tmp_path / "away").write_text(yaml.safe_dump(found))
    done = shop.ask("top", user=tmp_path / "away")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "the API server https://127.0.0.1:9 of the context 'default' cannot be reached" in done.stderr


def test_a_plan_for_a_workload_is_printed_applied_and_shown(shop: Shop) -> None:
    plane = shop.cluster.plane
    none = shop.ask("plan", "deployment/web")
    assert (none.returncode, none.stdout) == (1, "")
    assert "no EnergyPlan of the namespace 'shop' is about deployment/web" in none.stderr
    printed = yaml.safe_load(shop.ask("plan", "deploy/web", "--manifest", "--latency-milliseconds", "500").stdout)
    printed["spec"]["candidates"] = {"accelerators": {"names": [H200, L40S]}, "batchSizes": [1, 8]}
    plane.apply(printed, kubeconfig=shop.editor)
    made = lambda: shop.document("plan", "web")["plans"][0]["reason"] in ("Chosen", "Undecided")  # noqa: E731
    assert eventually(made, 120), shop.ask("plan", "web").stdout
    (found,) = shop.document("plan", "deploy/web")["plans"]
    assert (found["about"], found["countedBy"]) == ("deployment/web", "Inference")
    assert found.get("choice") or found["leaders"]
    shown = shop.ask("plan", "web").stdout
    assert "latency ≤ 500 ms" in shown
    assert "Settings" in shown
    plane.kubectl("delete", "energyplan", "web", "-n", "shop")


def test_the_examples_of_the_page_run_as_shown(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    (tmp_path / "web.yaml").write_text(text(web(shop.cluster, replicas=5), service))
    environment = shop.cluster.plane.environment(shop.editor)
    environment["PATH"] = f"{binaries.program('kubectl').parent}:{environment['PATH']}"
    examples = [each for each in commands("kubectl.md") if each[0].startswith("kubectl ")]
    assert len(examples) >= 5
    for command, shown in examples:
        line = ["bash", "-o", "pipefail", "-c", command]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 141), f"$ {command}\n{done.stderr}"  # 141: `head` has read enough
        assert_shown(shown, done.stdout)


def applied(kind: Kind, name: str, **annotations: str) -> dict[str, Any]:
    found = workload(kind.kind, name, "shop", annotations={"note": "kept", **annotations})
    pod = found["spec"]
    for field in (("jobTemplate", "spec") if kind is CRON_JOBS else ()) + ("template", "spec"):
        pod = pod[field]
    pod["nodeSelector"] = {"pool": "a", "disk": "b"}
    pod["containers"] = [
        {
            "name": "main",
            "image": "registry.invalid/a:1",
            "env": [{"name": "OLD", "value": "1"}, {"name": "KEPT", "value": "2"}],
        },
        {"name": "side", "image": "registry.invalid/b:1"},
    ]
    pod["volumes"] = [{"name": "model", "emptyDir": {}}]
    return found


def changed(document: dict[str, Any]) -> dict[str, Any]:
    """Remove and change some of what ``applied`` has."""
    found: dict[str, Any] = json.loads(json.dumps(document))
    del found["metadata"]["annotations"]["old"]
    pod = found["spec"]
    while "containers" not in pod:
        pod = pod.get("jobTemplate") or pod.get("template") or pod["spec"]
    del pod["nodeSelector"]["disk"], pod["containers"][1], pod["containers"][0]["env"][0]
    pod["containers"][0]["image"] = "registry.invalid/a:2"
    pod["volumes"] = [{"name": "model", "image": {"reference": "registry.invalid/m:1"}}]
    return found


@pytest.mark.parametrize("kind", [DEPLOYMENTS, CRON_JOBS], ids=lambda kind: str(kind.kind))
@pytest.mark.parametrize("side", ["--server-side=false", "--server-side"])
def test_a_dry_run_gives_what_kubectl_itself_would_apply(shop: Shop, kind: Kind, side: str) -> None:
    plane = shop.cluster.plane
    first = applied(kind, f"fidelity{'-server' if side == '--server-side' else ''}", old="1")
    after = changed(first)
    name = first["metadata"]["name"]
    plane.kubectl("apply", side, "-f", "-", stdin=text(first))
    server = Server.at(Place(kubeconfig=str(plane.kubeconfig), namespace="shop"))
    live = server.find(kind, "shop", name)
    manager = "kubectl" if side == "--server-side" else None
    patch = patch_for(after, live, is_built_in=True, manager=manager)
    tried = server.tried(kind, "shop", name, patch.body, content=patch.content, manager=patch.manager)
    done = plane.kubectl("apply", side, "--dry-run=server", "-o", "json", "-f", "-", stdin=text(after))
    wanted = json.loads(done.stdout)
    assert tried["spec"] == wanted["spec"]
    last = "kubectl.kubernetes.io/last-applied-configuration"
    annotations = [
        {key: value for key, value in each["metadata"]["annotations"].items() if key != last}
        for each in (tried, wanted)
    ]
    assert annotations[0] == annotations[1]
    assert annotations[0]["note"] == "kept"


def test_an_estimate_that_was_applied_before_loses_what_the_manifest_no_longer_has(shop: Shop) -> None:
    document = estimate("fidelity", "shop", shop.cluster.image("model"))
    shop.cluster.plane.apply(document)
    del document["spec"]["accelerators"]
    server = Server.at(Place(kubeconfig=str(shop.cluster.plane.kubeconfig), namespace="shop"))
    patch = patch_for(document, server.find(ESTIMATES, "shop", "fidelity"), is_built_in=False, manager=None)
    tried = server.tried(ESTIMATES, "shop", "fidelity", patch.body, content=patch.content, manager=patch.manager)
    assert "accelerators" not in tried["spec"]
    assert "accelerators" in shop.cluster.plane.get("iee", "fidelity", "shop")["spec"]
