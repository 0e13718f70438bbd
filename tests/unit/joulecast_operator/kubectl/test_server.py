"""The user's kubeconfig, and what the command line says where an API server refuses or does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from joulecast.errors import JoulecastError
from joulecast_operator.api.kinds import DEPLOYMENTS, ESTIMATES, JOBS
from joulecast_operator.kubectl.server import Place, RequestError, Server
from tests.unit.joulecast_operator.samples.api_server import ApiServer, api_server, kubeconfig
from tests.unit.joulecast_operator.samples.workloads import deployment, estimate

COLLECTION = ESTIMATES.path("shop")


@pytest.fixture
def there(tmp_path: Path) -> Iterator[ApiServer]:
    with api_server(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def _outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as outside of a pod, and without a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def at(found: ApiServer, **place: Any) -> Server:
    return Server.at(Place(kubeconfig=str(found.kubeconfig), **place))


def test_the_namespace_is_the_contexts_unless_one_is_named(there: ApiServer, tmp_path: Path) -> None:
    assert at(there).namespace == "shop"
    assert at(there, context="there").namespace == "elsewhere"
    assert at(there, namespace="mine", context="there").namespace == "mine"
    kubeconfig(there.kubeconfig, there.url, namespace=None)
    assert at(there).namespace == "default"


def test_the_kubeconfigs_of_the_environment_are_used(there: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{there.kubeconfig}-absent:{there.kubeconfig}")
    assert Server.at(Place()).namespace == "shop"


def test_objects_are_read_with_their_kind(there: ApiServer) -> None:
    there.hold(DEPLOYMENTS, deployment("web"))
    (listed,) = at(there).all(DEPLOYMENTS, "shop")
    assert (listed["kind"], listed["metadata"]["name"]) == ("Deployment", "web")
    assert at(there).all(DEPLOYMENTS, None) == [listed]
    assert (at(there).find(DEPLOYMENTS, "shop", "web") or {})["spec"] == listed["spec"]
    assert at(there).find(DEPLOYMENTS, "shop", "absent") is None


def test_long_lists_are_read_page_by_page(there: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"metadata": {"continue": "a+b/c"}, "items": [estimate("one")]}
    pages = {"": first, "a+b/c": {"metadata": {}, "items": [estimate("two")]}}
    monkeypatch.setattr(there, "answer", lambda method, path, query, body: (200, pages[query.get("continue", "")]))
    assert [each["metadata"]["name"] for each in at(there).all(ESTIMATES, "shop")] == ["one", "two"]


def test_names_cannot_lead_to_another_path(there: ApiServer) -> None:
    there.hold(DEPLOYMENTS, deployment("web"))
    with pytest.raises(RequestError):
        at(there).find(DEPLOYMENTS, "../../../api/v1/namespaces/x", "y?z")
    assert there.requests[-1][1].count("/") == DEPLOYMENTS.path("n", "x").count("/")


def test_a_dry_run_asks_the_server_to_store_nothing(there: ApiServer) -> None:
    there.hold(DEPLOYMENTS)
    for content, forced in (("apply-patch+yaml", {"force": "true"}), ("strategic-merge-patch+json", {})):
        at(there).tried(DEPLOYMENTS, "shop", "new", {"a": 1}, content=content, manager="me")
        method, path, query, body = there.requests[-1]
        assert (method, path, body) == ("PATCH", DEPLOYMENTS.path("shop", "new"), {"a": 1})
        assert query == {"dryRun": "All", "fieldManager": "me"} | forced


@pytest.mark.parametrize(
    ("status", "reason", "message", "said"),
    [
        (401, "Unauthorized", "Unauthorized", "does not accept the credentials of the context 'here': log in again"),
        (403, "Forbidden", 'User "dev" cannot list it', 'User "dev" cannot list it: ask for a role that allows it'),
        (500, "InternalError", "etcd is away", "etcd is away"),
    ],
)
def test_a_refusal_is_said_in_a_sentence(there: ApiServer, status: int, reason: str, message: str, said: str) -> None:
    there.refuse(COLLECTION, status, reason, message)
    with pytest.raises(RequestError, match=said) as raised:
        at(there).all(ESTIMATES, "shop")
    assert (raised.value.status, raised.value.reason) == (status, reason)


def test_a_cluster_without_joulecast_says_what_to_install(there: ApiServer) -> None:
    with pytest.raises(RequestError, match="does not serve inferenceenergyestimates") as raised:
        at(there).all(ESTIMATES, "shop")
    assert raised.value.reason == "NotInstalled"
    with pytest.raises(RequestError, match=r"does not serve jobs\.batch of v1"):
        at(there).all(JOBS, "shop")


def test_who_is_no_api_server_is_said(there: ApiServer) -> None:
    there.answers[COLLECTION] = (200, "<html>Welcome</html>")
    with pytest.raises(JoulecastError, match="does not answer as an API server of Kubernetes"):
        at(there).all(ESTIMATES, "shop")


def test_an_api_server_that_is_away_is_said_with_its_address(tmp_path: Path) -> None:
    away = kubeconfig(tmp_path / "away", "http://127.0.0.1:9")
    server = Server.at(Place(kubeconfig=str(away)))
    with pytest.raises(JoulecastError, match=r"http://127.0.0.1:9 of the context 'here' cannot be reached: ") as raised:
        server.all(ESTIMATES, "shop")
    assert raised.value.reason == "Unreachable"


@pytest.mark.parametrize("text", ["", "just words", "kind: Config\n", "[", "current-context: a\ncontexts: [{name: a}]"])
def test_a_kubeconfig_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "wrong").write_text(text)
    with pytest.raises(JoulecastError, match=r"the current context of the kubeconfig .*wrong cannot be used"):
        Server.at(Place(kubeconfig=str(tmp_path / "wrong")))


def test_a_context_that_is_not_there_is_named(there: ApiServer) -> None:
    with pytest.raises(JoulecastError, match=r"the context 'nowhere' of the kubeconfig .* cannot be used") as raised:
        at(there, context="nowhere")
    assert "kubectl config get-contexts" in str(raised.value)


def test_without_a_kubeconfig_one_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(JoulecastError, match=r"there is no kubeconfig at .*absent: name one by --kubeconfig") as raised:
        Server.at(Place())
    assert raised.value.reason == "NoKubeconfig"


def test_in_a_pod_without_an_account_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "9")
    with pytest.raises(JoulecastError, match="the ServiceAccount of this pod cannot be used"):
        Server.at(Place())
