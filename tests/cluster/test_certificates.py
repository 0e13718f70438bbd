"""Test the certificate that the controller makes: by one install, through rotations, and within its rights."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from joulecast_operator.cluster.client import Cluster
from tests.cluster.certified import (
    CONFIGURATION,
    CONFIGURATION_PATH,
    SECRET,
    SECRET_PATH,
    Certified,
    Replica,
    served,
)
from tests.cluster.release import PREFIX, deployment, text
from tests.harness import http
from tests.harness.control_plane import ControlPlane
from tests.harness.installation import CHART, NAMESPACE, RELEASE
from tests.unit.joulecast_operator.samples.certificates import DAY, Events, KilledError
from tests.waiting import eventually

OFTEN = ("--webhook-check-seconds=0.2", "--webhook-settle-seconds=0.5")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certified]:
    with ControlPlane.start(tmp_path_factory.mktemp("certificates")) as plane:
        found = Certified(plane)
        found.helm()
        plane.kubectl("create", "namespace", "shop")
        probe = {"webhooks": [{"name": "annotate.joulecast.dev", "timeoutSeconds": 7}]}
        in_force = lambda: "ca-bundle-only" in patch(found, probe, dry=True)[1]  # noqa: E731
        assert eventually(in_force), "the policy is not in force"
        yield found


@pytest.fixture(scope="module")
def replicas(certified: Certified, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Replica, Replica]]:
    with served(certified, tmp_path_factory.mktemp("replicas")) as found:
        yield found


@pytest.fixture
def cluster(certified: Certified, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Cluster]:
    """Return clients with the controller's own token."""
    monkeypatch.setenv("KUBECONFIG", str(certified.release.installation.account("controller")))
    return Cluster


def patch(certified: Certified, body: object, *, dry: bool = False, kind: str = "strategic-merge-patch+json") -> Any:
    """Patch the webhook's configuration as the controller."""
    path = f"{CONFIGURATION_PATH}?dryRun=All" if dry else CONFIGURATION_PATH
    return certified.release.send("controller", "PATCH", path, body, kind=kind)


# -- one install


def test_one_install_is_a_webhook_that_is_trusted_and_until_then_nothing_is_blocked(
    certified: Certified, replicas: tuple[Replica, Replica]
) -> None:
    plane = certified.plane
    for replica in replicas:
        awaits = lambda replica=replica: "there is no certificate yet" in replica.readiness()  # noqa: E731
        assert eventually(awaits), replica.readiness()
        assert replica.served() == ""
    plane.apply(deployment("early", "shop"))
    assert plane.get("deployment", "early", "shop") is not None
    assert certified.release.calls().get("200", 0) == 0

    with certified.controller(*OFTEN).start():
        assert eventually(certified.is_in_order), "the controller makes no certificate"
        for replica in replicas:
            assert eventually(lambda replica=replica: replica.readiness().startswith("ok")), replica.readiness()
            replica.review(certified.bundle())
        forged = text(deployment("web", "shop", annotations={PREFIX + "joules-per-batch": "0.001"}))
        done = plane.kubectl("apply", "--dry-run=server", "-o", "yaml", "-f", "-", stdin=forged)
        assert PREFIX + "joules-per-batch" not in yaml.safe_load(done.stdout)["metadata"].get("annotations", {})
        assert certified.release.calls()["200"] >= 1
        own = f"involvedObject.name={CONFIGURATION},reason=CertificateMade"
        events = ("get", "events", "-n", NAMESPACE, "--field-selector", own, "-o", "name")
        assert eventually(lambda: plane.kubectl(*events).stdout.strip()), "no event on the webhook's Deployment"
    assert [each for each in certified.release.forbidden() if "joulecast-controller" in each] == []


def test_a_controller_that_is_killed_and_started_again_changes_nothing(
    certified: Certified, replicas: tuple[Replica, Replica]
) -> None:
    process = certified.controller(*OFTEN)
    with process.start():
        assert eventually(certified.is_in_order)
        before = certified.get(SECRET_PATH), certified.get(CONFIGURATION_PATH)
        process.kill()
        with certified.controller(*OFTEN).start():
            behind = f"{certified.release.installation.controller_url}/metrics"
            assert eventually(lambda: b"certificate_behind_seconds 0.0" in page(behind))
            assert (certified.get(SECRET_PATH), certified.get(CONFIGURATION_PATH)) == before


def page(url: str) -> bytes:
    with http.send(urllib.request.Request(url)) as response:
        content: bytes = response.read()
    return content


def test_a_secret_that_somebody_deletes_is_made_anew_and_served(
    certified: Certified, replicas: tuple[Replica, Replica]
) -> None:
    with certified.controller(*OFTEN).start():
        assert eventually(certified.is_in_order)
        before = certified.data()
        certified.plane.kubectl("delete", "secret", SECRET, "-n", NAMESPACE)
        anew = lambda: certified.data().get("ca.key") not in (None, before["ca.key"]) and certified.is_in_order()  # noqa: E731
        assert eventually(anew), "the Secret is not made anew"
        for replica in replicas:
            assert eventually(lambda replica=replica: replica.served() == certified.data()["tls.crt"])
            replica.review(certified.bundle())


# -- rotation


class Load:
    """Sends reviews all the time, through the API server and over new connections to each replica."""

    def __init__(self, certified: Certified, replicas: tuple[Replica, Replica]) -> None:
        self._certified = certified
        self._replicas = replicas
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.rounds = 0
        self.failures: list[str] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def go_on(self) -> None:
        """Wait until everything has been asked once more from beginning to end."""
        reached = self.rounds + 2
        assert eventually(lambda: self.rounds >= reached), self.failures

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                self._round()
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))
            self.rounds += 1

    def _round(self) -> None:
        bundle = self._certified.bundle()
        for replica in self._replicas:
            replica.review(bundle)
        path = "/apis/apps/v1/namespaces/shop/deployments?dryRun=All"
        body = json.dumps(deployment("load", "shop")).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._certified.plane.url + path, data=body, headers=headers)
        with http.send(request, tls=self._certified.plane.admin_tls) as response:
            assert response.status == 201


def test_certificate_and_authority_are_replaced_while_requests_go_on_and_none_fails(
    certified: Certified, replicas: tuple[Replica, Replica], cluster: Callable[[], Cluster]
) -> None:
    """The keeper's clock is set back, so that what it made is due now."""
    certified.clear()
    now = time.time()
    events = Events()

    async def rotate() -> None:
        client = cluster()
        keeper, clock = certified.keeper(client, events, now - 250 * DAY)
        await keeper.look()
        clock[0] = now - 75 * DAY
        await keeper.look()
        clock[0] += 60
        await keeper.look()
        await until_served(certified, replicas)
        before = certified.release.calls()
        with Load(certified, replicas) as load:
            await asyncio.to_thread(load.go_on)
            for due in (now - 14 * DAY, now, now + 60):
                clock[0] = due
                await keeper.look()
                await asyncio.to_thread(load.go_on)
                await until_served(certified, replicas)
                await asyncio.to_thread(load.go_on)
        assert load.failures == []
        after = certified.release.calls()
        assert after["200"] >= before.get("200", 0) + 8
        assert {code: after[code] for code in after if code != "200"} == {
            code: before[code] for code in before if code != "200"
        }
        await client.close()

    asyncio.run(rotate())
    assert events.reasons[-3:] == ["CertificateRenewed", "AuthorityAnnounced", "AuthorityReplaced"]
    assert certified.bundle().count("BEGIN CERTIFICATE") == 2
    assert replicas[0].process.is_running
    assert replicas[1].process.is_running


async def until_served(certified: Certified, replicas: tuple[Replica, Replica]) -> None:
    """Wait until both replicas serve what the Secret holds, without a restart."""
    wanted = certified.data()["tls.crt"]
    for replica in replicas:
        shown = lambda replica=replica: replica.served() == wanted  # noqa: E731
        assert await asyncio.to_thread(eventually, shown), f"a replica does not reload:\n{replica.readiness()}"


class KilledCluster(Cluster):
    """A client whose process is killed before or after its write number ``step``."""

    step, moment = 0, "after"

    async def request(self, method: str, path: str, **options: Any) -> Any:
        if method == "GET":
            return await super().request(method, path, **options)
        self.step -= 1
        if self.step < 0 and self.moment == "before":
            raise KilledError
        answer = await super().request(method, path, **options)
        if self.step < 0:
            raise KilledError
        return answer


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", range(4))
def test_a_rotation_killed_at_any_write_goes_on_after_a_restart(
    certified: Certified, cluster: Callable[[], Cluster], moment: str, step: int
) -> None:
    certified.clear()
    now, events = time.time(), Events()

    async def begin() -> None:
        """Make everything, and bring it to the day on which the authority is due."""
        client = cluster()
        keeper, clock = certified.keeper(client, events, now - 250 * DAY)
        await keeper.look()
        clock[0] = now - 20 * DAY
        await keeper.look()
        await client.close()

    async def rotate(client: Cluster, *, looks: int) -> None:
        keeper, clock = certified.keeper(client, events, now)
        try:
            for _ in range(looks):
                await keeper.look()
                clock[0] += 60
        finally:
            await client.close()

    asyncio.run(begin())
    client = KilledCluster()
    client.step, client.moment = step, moment
    try:
        asyncio.run(rotate(client, looks=3))
    except KilledError:
        assert step < 3
    asyncio.run(rotate(cluster(), looks=3))
    assert certified.is_in_order()
    assert certified.bundle().count("BEGIN CERTIFICATE") == 2
    made = [reason for reason in events.reasons if reason.startswith("Authority")]
    assert len(made) <= 2, "a step that was done is not done again"


def test_two_controllers_at_a_time_agree(certified: Certified, cluster: Callable[[], Cluster]) -> None:
    certified.clear()
    events = Events()

    async def both() -> None:
        clients = [cluster() for _ in range(2)]
        keepers = [certified.keeper(client, events, time.time())[0] for client in clients]
        for _ in range(2):
            await asyncio.gather(*(keeper.look() for keeper in keepers))
        assert [keeper.behind_seconds() for keeper in keepers] == [0, 0]
        for client in clients:
            await client.close()

    asyncio.run(both())
    assert certified.is_in_order()
    assert events.reasons == ["CertificateMade"]


# -- rights

OTHER_URL = {"webhooks": [{"name": "annotate.joulecast.dev", "clientConfig": {"url": "https://evil.invalid/"}}]}


def webhook(**fields: object) -> dict[str, Any]:
    return {"webhooks": [{"name": "annotate.joulecast.dev", **fields}]}


ANOTHER = {
    "name": "another.joulecast.dev",
    "admissionReviewVersions": ["v1"],
    "sideEffects": "None",
    "clientConfig": {"url": "https://evil.invalid/"},
}
SECRETS_RULE = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["secrets"],
    "operations": ["CREATE"],
    "scope": "*",
}


@pytest.mark.parametrize(
    "change",
    [
        webhook(timeoutSeconds=9),
        webhook(failurePolicy="Fail"),
        webhook(matchPolicy="Exact"),
        webhook(sideEffects="NoneOnDryRun"),
        webhook(reinvocationPolicy="Never"),
        webhook(rules=[SECRETS_RULE]),
        webhook(namespaceSelector=None),
        webhook(objectSelector={"matchLabels": {"a": "b"}}),
        webhook(matchConditions=[{"name": "all", "expression": "true"}]),
        webhook(admissionReviewVersions=["v1", "v1beta1"]),
        webhook(clientConfig={"service": {"name": "evil", "namespace": "default"}}),
        webhook(clientConfig={"service": None, "url": "https://evil.invalid/"}),
        webhook(clientConfig={"caBundle": "", "service": {"port": 1}}),
        {"webhooks": [ANOTHER]},
        {"webhooks": [{"$patch": "delete", "name": "annotate.joulecast.dev"}]},
        {"webhooks": None},
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"annotations": {"cert-manager.io/inject-ca-from": "a/b"}}},
        {"metadata": {"finalizers": ["a.example/b"]}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]}},
    ],
)
def test_nothing_but_the_bundle_may_be_changed(certified: Certified, change: Mapping[str, Any]) -> None:
    before = certified.get(CONFIGURATION_PATH)
    status, answer = patch(certified, change)
    assert status == 422
    assert "joulecast-ca-bundle-only" in answer
    assert certified.get(CONFIGURATION_PATH) == before


def test_the_bundle_may_be_changed(certified: Certified) -> None:
    bundle = base64.b64encode(certified.plane.authority.bundle.read_bytes()).decode()
    status, answer = patch(certified, webhook(clientConfig={"caBundle": bundle}), dry=True)
    assert status == 200, answer


def test_the_policy_compares_every_field_that_the_api_server_knows(certified: Certified) -> None:
    """A field of a later version would else be free to change."""
    page = certified.plane.kubectl("get", "--raw", "/openapi/v3/apis/admissionregistration.k8s.io/v1").stdout
    schemas = json.loads(page)["components"]["schemas"]
    policy = certified.plane.get("validatingadmissionpolicy", "joulecast-ca-bundle-only")
    assert policy is not None
    expression = policy["spec"]["validations"][-1]["expression"]
    prefix = "io.k8s.api.admissionregistration.v1."
    for field in schemas[f"{prefix}MutatingWebhook"]["properties"].keys() - {"name", "clientConfig"}:
        assert f"each.?{field} == before.?{field}" in expression
    for field in schemas[f"{prefix}WebhookClientConfig"]["properties"].keys() - {"caBundle"}:
        assert f"each.?clientConfig.?{field} == before.?clientConfig.?{field}" in expression


SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


def secret(name: str, **metadata: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **metadata}}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", SECRETS, None),
        ("GET", f"{SECRETS}/other", None),
        ("GET", f"/api/v1/namespaces/shop/secrets/{SECRET}", None),
        ("PATCH", f"{SECRETS}/other", {"data": {}}),
        ("PUT", f"{SECRETS}/{SECRET}", secret(SECRET)),
        ("DELETE", f"{SECRETS}/{SECRET}", {}),
        ("POST", "/api/v1/namespaces/shop/secrets", secret(SECRET)),
        ("GET", CONFIGURATIONS, None),
        ("GET", f"{CONFIGURATIONS}/other", None),
        ("PATCH", f"{CONFIGURATIONS}/other", {"webhooks": []}),
        ("PUT", CONFIGURATION_PATH, {}),
        ("DELETE", CONFIGURATION_PATH, {}),
        ("POST", CONFIGURATIONS, {}),
        ("GET", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", None),
    ],
)
def test_what_no_role_names_is_forbidden(certified: Certified, method: str, path: str, body: Any) -> None:
    assert certified.release.send("controller", method, path, body)[0] == 403


def test_a_secret_of_another_name_may_not_be_made(certified: Certified) -> None:
    """RBAC cannot tell names of what is created, so a policy does."""
    for made in (secret("other"), {**secret("x"), "metadata": {"generateName": SECRET}}):
        status, answer = certified.release.send("controller", "POST", SECRETS, made)
        assert status == 422
        assert "joulecast-controller-kinds" in answer


def test_the_webhook_reads_no_secret(certified: Certified) -> None:
    for method, path in (("GET", SECRET_PATH), ("GET", CONFIGURATION_PATH), ("POST", SECRETS)):
        assert certified.release.send("webhook", method, path, None if method == "GET" else {})[0] == 403


# -- the life of a release: these come last, because they change and end it


def test_an_upgrade_leaves_certificate_and_bundle_alone(certified: Certified, cluster: Callable[[], Cluster]) -> None:
    keep(certified, cluster)
    before = certified.data(), certified.bundle()
    certified.helm("--set", "webhook.replicas=3", "--force-conflicts")  # the tests have changed the Service, too
    assert (certified.data(), certified.bundle()) == before
    certified.plane.kubectl("delete", "secret", SECRET, "-n", NAMESPACE)
    keep(certified, cluster)
    certified.helm("--set", "webhook.replicas=2", "--force-conflicts")
    assert certified.is_in_order(), "what the controller has made anew is the release's still"


def keep(certified: Certified, cluster: Callable[[], Cluster]) -> None:
    """Look until all is in order, as `watch` does: rights that Helm has just made are not in force at once."""

    async def look() -> None:
        client = cluster()
        await certified.keeper(client, Events(), time.time())[0].look()
        await client.close()

    def in_order() -> bool:
        asyncio.run(look())
        return certified.is_in_order()

    assert eventually(in_order)


def chart_without_the_choice(folder: Path) -> Path:
    """Return a chart like an older one, whose values know nothing of the controller's certificate."""
    older = folder / "joulecast"
    shutil.copytree(CHART, older)
    values = older / "values.yaml"
    text, found = re.subn(r"  certificate:\n    days: .+\n    authorityDays: .+\n", "", values.read_text())
    assert found == 1
    values.write_text(text)
    return older


def test_an_own_secret_takes_over_and_gives_back(
    certified: Certified, cluster: Callable[[], Cluster], tmp_path: Path
) -> None:
    keep(certified, cluster)
    bundle = base64.b64encode(certified.plane.authority.bundle.read_bytes()).decode()
    own = ("--set", "webhook.certSecret=mine", "--set", f"webhook.caBundle={bundle}")
    certified.helm(*own, "--force-conflicts")
    assert certified.get(SECRET_PATH) is None, "the authority's key goes with the source"
    assert certified.bundle() == certified.plane.authority.bundle.read_text()
    older = chart_without_the_choice(tmp_path)
    certified.plane.helm("upgrade", RELEASE, older, "-n", NAMESPACE, *own, "--set", "webhook.replicas=3")
    certified.plane.helm("upgrade", RELEASE, CHART, "-n", NAMESPACE, "--reuse-values")
    assert certified.bundle() == certified.plane.authority.bundle.read_text(), "an upgrade keeps an own Secret"
    assert certified.get(SECRET_PATH) is None
    assert certified.plane.get("deployment", "joulecast-webhook", NAMESPACE)["spec"]["replicas"] == 3
    certified.helm("--force-conflicts", "--reset-values")
    keep(certified, cluster)


def test_an_uninstall_leaves_no_secret_behind(certified: Certified) -> None:
    with certified.controller(*OFTEN).start():
        assert eventually(certified.is_in_order)
        certified.plane.kubectl("delete", "secret", SECRET, "-n", NAMESPACE)
        assert eventually(certified.is_in_order), "the controller has made another one"
        certified.plane.helm("uninstall", RELEASE, "-n", NAMESPACE, "--no-hooks")
        behind = f"{certified.release.installation.controller_url}/metrics"
        assert eventually(lambda: b"certificate_behind_seconds 0.0" not in page(behind)), "it has looked since"
    assert certified.get(SECRET_PATH) is None
    assert certified.get(CONFIGURATION_PATH) is None
