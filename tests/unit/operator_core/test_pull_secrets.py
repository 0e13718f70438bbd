"""What a tenant's Secrets may hold, and what is made of several."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, cast

import pytest

from joulecast_operator.kube import ApiError, Cluster
from joulecast_operator.pull_secrets import Credentials, PullSecrets, merged_docker_configs
from joulecast_operator.reconcile import Wrong


class Secrets:
    """Stands for the cluster: Secrets by name, those that are not there forbidden."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self._contents = contents

    async def get(self, path: str) -> dict[str, Any]:
        name = path.rpartition("/")[2]
        if name not in self._contents:
            raise ApiError(403, "Forbidden", "not yours")
        return {"data": {".dockerconfigjson": base64.b64encode(self._contents[name]).decode()}}


def credentials(contents: dict[str, bytes], *, named: tuple[str, ...] = (), of_workload: tuple[str, ...] = ()) -> Any:
    secrets = PullSecrets(cast(Cluster, Secrets(contents)))
    return asyncio.run(secrets.credentials("team", named, of_workload))


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
    found = credentials({}, of_workload=("absent",))
    assert isinstance(found, Credentials)
    assert found.docker_config == ""
    assert len(found.missing) == 1


def test_credentials_are_not_printed() -> None:
    found = credentials({"a": config("r.test", "hush")}, named=("a",))
    assert "hush" not in repr(found)


def test_odd_entries_are_passed_over() -> None:
    assert merged_docker_configs([{"auths": None}, {"auths": {"r.test": {}}}, {}]) == {"auths": {"r.test": {}}}
