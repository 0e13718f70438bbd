"""Test how pull secrets with any content are read, and how several are merged."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, cast

import pytest

from joulecast_operator.api.conditions import Wrong
from joulecast_operator.cluster.access import PullCredentials, PullSecrets, merged_docker_configs
from joulecast_operator.cluster.client import ApiError, Cluster


class Secrets:
    """Stands for the cluster: Secrets by name, those that are not there forbidden, and ServiceAccounts with names of
    their Secrets. ``bound``: whether we may read accounts. ``asked``: what was asked for."""

    def __init__(self, contents: dict[str, bytes], accounts: dict[str, list[str]], *, bound: bool) -> None:
        self._contents = contents
        self._accounts = accounts
        self.bound = bound
        self.asked: list[str] = []

    async def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        name = path.rpartition("/")[2]
        if "/serviceaccounts/" in path:
            if name not in self._accounts:
                raise ApiError(404, "NotFound", "no such account")
            return {"imagePullSecrets": [{"name": each} for each in self._accounts[name]]}
        if name not in self._contents:
            raise ApiError(403, "Forbidden", "not yours")
        return {"data": {".dockerconfigjson": base64.b64encode(self._contents[name]).decode()}}

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(path)
        assert body["spec"]["resourceAttributes"]["resource"] == "serviceaccounts"
        return {"status": {"allowed": self.bound}}


def credentials(
    contents: dict[str, bytes],
    *,
    named: tuple[str, ...] = (),
    workload: dict[str, Any] | None = None,
    accounts: dict[str, list[str]] | None = None,
    bound: bool = True,
) -> Any:
    secrets = PullSecrets(cast(Cluster, Secrets(contents, accounts or {}, bound=bound)))
    return asyncio.run(secrets.credentials("team", named, workload))


def pulling(*names: str, account: str | None = None) -> dict[str, Any]:
    """Return a workload whose pods name Secrets, a ServiceAccount, or neither."""
    spec: dict[str, Any] = {"imagePullSecrets": [{"name": name} for name in names]}
    return {"spec": {"template": {"spec": spec | ({"serviceAccountName": account} if account else {})}}}


def config(host: str, password: str) -> bytes:
    return json.dumps({"auths": {host: {"username": "user", "password": password}}}).encode()


@pytest.mark.parametrize("content", [b"[" * 100_000, b"{", b"[]", b"\xff", b"null"])
def test_what_is_no_docker_configuration_is_named(content: bytes) -> None:
    found = credentials({"mine": content}, named=("mine",))
    assert isinstance(found, Wrong)
    assert found.reason == "InvalidPullSecret"
    assert "mine" in found.message


def test_the_first_secret_that_names_a_registry_wins() -> None:
    found = credentials({"a": config("r.test", "one"), "b": config("r.test", "two")}, named=("a", "b"))
    assert json.loads(found.docker_config)["auths"]["r.test"]["password"] == "one"


def test_a_named_secret_must_be_readable_one_of_the_workload_need_not_be() -> None:
    assert isinstance(credentials({}, named=("absent",)), Wrong)
    found = credentials({}, workload=pulling("absent"))
    assert isinstance(found, PullCredentials)
    assert found.docker_config == ""
    assert len(found.missing) == 1


def test_credentials_are_not_printed() -> None:
    found = credentials({"a": config("r.test", "hush")}, named=("a",))
    assert "hush" not in repr(found)


def test_odd_entries_are_passed_over() -> None:
    assert merged_docker_configs([{"auths": None}, {"auths": {"r.test": {}}}, {}]) == {"auths": {"r.test": {}}}


@pytest.mark.parametrize("account", [None, "puller"])
def test_the_secrets_of_the_account_count_where_the_pods_name_none(account: str | None) -> None:
    accounts = {account or "default": ["b", "absent"]}
    found = credentials(
        {"a": config("r.test", "one"), "b": config("r.test", "two")},
        workload=pulling(account=account),
        accounts=accounts,
    )
    assert json.loads(found.docker_config)["auths"]["r.test"]["password"] == "two"
    assert len(found.missing) == 1
    assert "'absent'" in found.missing[0]


def test_the_pods_own_secrets_stand_in_for_the_accounts() -> None:
    """The API server's admission, too, adds the account's Secrets only if the pod names none."""
    contents = {"a": config("r.test", "one"), "b": config("r.test", "two")}
    found = credentials(contents, workload=pulling("a"), accounts={"default": ["b"]})
    assert json.loads(found.docker_config)["auths"]["r.test"]["password"] == "one"


def test_an_account_that_may_not_be_read_is_not_asked_for_and_is_told() -> None:
    found = credentials({}, workload=pulling(), accounts={"default": ["b"]}, bound=False)
    assert (found.docker_config, len(found.missing)) == ("", 1)
    assert "ServiceAccount 'default'" in found.missing[0]
    assert "ClusterRole whose name ends in pull-secrets" in found.missing[0]


def test_an_account_that_is_not_there_is_told() -> None:
    assert "no ServiceAccount 'gone'" in credentials({}, workload=pulling(account="gone")).missing[0]


def test_rights_are_asked_for_once_in_a_while_and_no_request_of_ours_is_refused() -> None:
    cluster, now = Secrets({}, {"default": []}, bound=False), [0.0]
    secrets = PullSecrets(cast(Cluster, cluster), now=lambda: now[0])

    def ask() -> list[str]:
        cluster.asked.clear()
        asyncio.run(secrets.credentials("team", (), pulling()))
        return [path.rpartition("/")[2] for path in cluster.asked]

    assert ask() == ["selfsubjectaccessreviews"]
    assert ask() == []
    cluster.bound = True
    now[0] = 11.0
    assert ask() == ["selfsubjectaccessreviews", "default"]
    assert ask() == ["default"]
