"""Test that the condition reports slow, absent, private and hostile registries, and that the estimate recovers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import uuid4

import pytest

from tests.cluster.controlled import Cluster, controlled, estimate, metrics, redirecting_registry, silent_registry
from tests.cluster.release import deployment
from tests.harness.control_plane import SERVICE_NETWORK
from tests.harness.installation import NAMESPACE
from tests.harness.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Registries:
    """``moody`` can be stopped; ``private`` requires a password; ``silent`` never answers; ``hostile`` redirects."""

    cluster: Cluster
    moody: Registry
    private: Registry
    silent: str
    hostile: str


@pytest.fixture(scope="module")
def registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    with ExitStack() as stack:
        moody = stack.enter_context(Registry.start(tmp_path_factory.mktemp("moody")))
        private = stack.enter_context(Registry.start(tmp_path_factory.mktemp("private"), authentication="basic"))
        silent = stack.enter_context(silent_registry())
        hostile = stack.enter_context(redirecting_registry("http://169.254.169.254"))
        hosts = [moody.host, private.host, silent, hostile]
        folder, flags = tmp_path_factory.mktemp("registries"), ["--fetch-seconds=10"]
        cluster = stack.enter_context(controlled(folder, insecure_registries=hosts, flags=flags))
        yield Registries(cluster=cluster, moody=moody, private=private, silent=silent, hostile=hostile)


@pytest.fixture
def namespace(registries: Registries) -> str:
    return registries.cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")


def test_a_registry_that_is_away_comes_back(registries: Registries, namespace: str) -> None:
    cluster, moody = registries.cluster, registries.moody
    cluster.push("away", registry=moody)
    moody.process.kill()
    cluster.plane.apply(estimate("away", namespace, f"{moody.host}/away:1"))
    condition = cluster.until_reason("away", namespace, "RegistryUnavailable")
    assert condition["status"] == "Unknown", "nobody knows yet"
    assert moody.host in condition["message"]
    moody.process.start()
    cluster.until_ready("away", namespace)


def test_a_forecast_stands_while_its_registry_is_away(registries: Registries, namespace: str) -> None:
    cluster, moody = registries.cluster, registries.moody
    cluster.push("standing", registry=moody)
    cluster.plane.apply(estimate("standing", namespace, f"{moody.host}/standing:1"))
    cluster.until_ready("standing", namespace)
    moody.process.kill()
    cluster.installation.controller.restart()
    assert cluster.condition("standing", namespace)["status"] == "True"
    moody.process.start()


def test_a_forecast_whose_model_cannot_be_looked_up_again_is_served_as_stale(
    registries: Registries, namespace: str
) -> None:
    cluster, moody = registries.cluster, registries.moody
    url = cluster.installation.controller_url
    series = f'joulecast_stale_forecast_since_timestamp_seconds{{namespace="{namespace}",estimate="stale"}}'
    cluster.push("stale", registry=moody)
    cluster.plane.apply(estimate("stale", namespace, f"{moody.host}/stale:1"))
    cluster.until_ready("stale", namespace)
    assert series not in metrics(url)
    moody.process.kill()
    cluster.plane.kubectl("annotate", "iee", "stale", "-n", namespace, "joulecast.dev/refresh=1")
    cluster.until(lambda: series in metrics(url), "it is told as stale")
    assert cluster.condition("stale", namespace)["status"] == "True", "the forecast stands"
    moody.process.start()
    cluster.until(lambda: series not in metrics(url), "it is up to date again")


def test_a_silent_registry_holds_nobody_else_up(registries: Registries, namespace: str) -> None:
    cluster = registries.cluster
    names = [f"silent-{number}" for number in range(8)]
    cluster.plane.apply(*(estimate(name, namespace, f"{registries.silent}/models/{name}:1") for name in names))
    cluster.push("lively")
    cluster.plane.apply(estimate("lively", namespace, cluster.image("lively")))
    cluster.until_ready("lively", namespace)
    conditions = [cluster.condition(name, namespace) for name in names]
    assert all(condition.get("status") in ("Unknown", None) for condition in conditions)
    said = {"FetchBudgetExceeded", "RegistryUnavailable", "FetcherTimeout"}
    cluster.until(
        lambda: cluster.condition(names[0], namespace).get("reason") in said, "says that the registry is slow"
    )


def test_a_redirect_to_a_forbidden_address(registries: Registries, namespace: str) -> None:
    cluster = registries.cluster
    cluster.plane.apply(estimate("hostile", namespace, f"{registries.hostile}/models/x:1"))
    condition = cluster.until_reason("hostile", namespace, "RegistryUnavailable")
    assert "cannot be used" in condition["message"]
    log = cluster.installation.controller.log.read_text()
    assert "169.254.169.254" in log, "the administrator is told what it was"
    assert "ForbiddenAddress" in log


def test_a_reference_to_a_local_address_is_refused(registries: Registries, namespace: str) -> None:
    cluster = registries.cluster
    cluster.plane.apply(estimate("local", namespace, "127.0.0.1:1/models/x:1"))
    assert "cannot be used" in cluster.until_reason("local", namespace, "RegistryUnavailable")["message"]
    cluster.plane.apply(estimate("file", namespace, "/etc/passwd"))
    assert cluster.until_reason("file", namespace, "InvalidModelReference")["status"] == "False"


def test_the_service_range_of_the_cluster_is_denied(registries: Registries) -> None:
    log = registries.cluster.installation.controller.log
    said = f"fetchers may not connect to the cluster's Services: {SERVICE_NETWORK}"
    registries.cluster.until(lambda: said in log.read_text(), "the ServiceCIDR of the API server is known")


def test_a_private_registry_with_a_pull_secret(registries: Registries, namespace: str) -> None:
    cluster, private = registries.cluster, registries.private
    cluster.push("secret", registry=private)
    image = f"{private.host}/secret:1"
    cluster.plane.apply(estimate("anonymous", namespace, image))
    assert cluster.until_reason("anonymous", namespace, "Unauthorized")["status"] == "False"
    secrets = [{"name": "pull"}]
    cluster.plane.apply(estimate("known", namespace, image, imagePullSecrets=secrets))
    assert "ClusterRole" in cluster.until_reason("known", namespace, "PullSecretForbidden")["message"]
    cluster.plane.apply(pull_secret(namespace, private))
    bind_pull_secrets(cluster, namespace)
    cluster.until_ready("known", namespace)
    assert cluster.condition("anonymous", namespace)["reason"] == "Unauthorized", "what one may see, the other may not"
    status = json.dumps(cluster.status("known", namespace))
    credentials = registries.private.docker_config()["auths"][private.host]["auth"]
    assert credentials not in status
    assert credentials not in cluster.installation.controller.log.read_text()


def test_a_target_brings_its_own_pull_secrets(registries: Registries, namespace: str) -> None:
    cluster, private = registries.cluster, registries.private
    cluster.push("target", registry=private)
    target = deployment("target", namespace, image=f"{private.host}/target:1")
    target["spec"]["template"]["spec"]["imagePullSecrets"] = [{"name": "absent"}, {"name": "pull"}]
    cluster.plane.apply(target, estimate("target", namespace, targetRef={"name": "target"}))
    message = cluster.until_reason("target", namespace, "Unauthorized")["message"]
    assert "'pull'" in message
    assert "ClusterRole" in message
    cluster.plane.apply(pull_secret(namespace, private))
    bind_pull_secrets(cluster, namespace)
    cluster.until_ready("target", namespace)


@pytest.mark.parametrize("account", ["default", "puller"])
def test_a_target_brings_the_pull_secrets_of_its_service_account(
    registries: Registries, namespace: str, account: str
) -> None:
    cluster, private = registries.cluster, registries.private
    cluster.push("account", registry=private)
    if account != "default":
        cluster.plane.kubectl("create", "serviceaccount", account, "-n", namespace)
    secrets = json.dumps({"imagePullSecrets": [{"name": "pull"}]})
    cluster.plane.kubectl("patch", "serviceaccount", account, "-n", namespace, "-p", secrets)
    target = deployment("target", namespace, image=f"{private.host}/account:1")
    if account != "default":
        target["spec"]["template"]["spec"]["serviceAccountName"] = account
    cluster.plane.apply(target, estimate("target", namespace, targetRef={"name": "target"}))
    message = cluster.until_reason("target", namespace, "Unauthorized")["message"]
    assert f"ServiceAccount '{account}'" in message
    assert "ClusterRole" in message
    cluster.plane.apply(pull_secret(namespace, private))
    bind_pull_secrets(cluster, namespace)
    cluster.until_ready("target", namespace)


def test_a_secret_that_may_not_be_read_is_no_obstacle_to_a_public_image(registries: Registries, namespace: str) -> None:
    registries.cluster.push("public", registry=registries.moody)
    target = deployment("public", namespace, image=f"{registries.moody.host}/public:1")
    target["spec"]["template"]["spec"]["imagePullSecrets"] = [{"name": "pull"}]
    registries.cluster.plane.apply(target, estimate("public", namespace, targetRef={"name": "public"}))
    registries.cluster.until_ready("public", namespace)


def test_nothing_else_was_forbidden(registries: Registries) -> None:
    assert {request for request in registries.cluster.forbidden() if "/secrets/" not in request} == set()


def bind_pull_secrets(cluster: Cluster, namespace: str) -> None:
    """Let joulecast read the Secrets of a namespace, like its admin."""
    role = ("--clusterrole=joulecast-pull-secrets", f"--serviceaccount={NAMESPACE}:joulecast-controller")
    cluster.plane.kubectl("create", "rolebinding", "joulecast", *role, "-n", namespace)


def pull_secret(namespace: str, registry: Registry) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "pull", "namespace": namespace},
        "stringData": {".dockerconfigjson": json.dumps(registry.docker_config())},
    }
