"""Test what is read of the Secret and the ConfigMap that an estimate names, and what is said where it cannot be."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, cast

import pytest

from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.models import ModelSource
from joulecast_operator.cluster.access import PullCredentials
from joulecast_operator.cluster.client import ApiError, Cluster
from joulecast_operator.cluster.model_objects import UNWATCHED, ModelObjects, ReadObjects

PULL = PullCredentials(docker_config="{}")
HUB = {"uri": "hf://org/model", "secretRef": {"name": "hub"}}
BUCKET = {"uri": "s3://models/llama", "secretRef": {"name": "keys"}}
CONFIG = {"configMapRef": {"name": "llama"}}


class Objects:
    """Replaces the cluster: answers with an object, or with a status."""

    def __init__(self, answer: dict[str, Any] | int) -> None:
        self.answer = answer
        self.paths: list[str] = []

    async def get(self, path: str) -> dict[str, Any]:
        self.paths.append(path)
        if isinstance(self.answer, int):
            raise ApiError(self.answer, "Refused", "no")
        return self.answer


def read(model: dict[str, Any] | None, answer: dict[str, Any] | int) -> ReadObjects | Wrong:
    source = None if model is None else ModelSource.model_validate(model)
    return asyncio.run(ModelObjects(cast(Cluster, Objects(answer))).read("shop", source, PULL))


def secret(content: bytes, key: str = "token") -> dict[str, Any]:
    return {"data": {key: base64.b64encode(content).decode()}}


def keys(**texts: str) -> dict[str, Any]:
    return {"data": {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}}


def test_a_token_is_read_without_the_newline_of_a_file() -> None:
    found = read(HUB, secret(b"hf_own\n"))
    assert found == ReadObjects(pull=PULL, token="hf_own")
    assert "hf_own" not in repr(found)


@pytest.mark.parametrize(
    "written",
    [
        {"accessKeyId": "id", "secretAccessKey": "secret\n", "sessionToken": "session"},
        {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "session"},
        {"accessKeyId": "id", "secretAccessKey": "secret", "AWS_SESSION_TOKEN": "session", "token": "hf_own"},
    ],
    ids=lambda each: ",".join(each),
)
def test_keys_of_an_object_store_are_read_by_both_spellings(written: dict[str, str]) -> None:
    found = read(BUCKET, keys(**written))
    assert isinstance(found, ReadObjects)
    named = {"access_key_id": "id", "secret_access_key": "secret", "session_token": "session"}
    assert json.loads(found.object_keys) == named
    assert found.token == ""
    assert "secret" not in repr(found)


def test_a_configuration_is_read_as_it_stands() -> None:
    assert read(CONFIG, {"data": {"config.json": "{}"}}) == ReadObjects(pull=PULL, configuration="{}")


@pytest.mark.parametrize("model", [None, {"image": "i"}, {"uri": "hf://org/model"}])
def test_nothing_is_read_that_is_not_named(model: dict[str, Any] | None) -> None:
    assert read(model, 500) == ReadObjects(pull=PULL)


@pytest.mark.parametrize(
    ("model", "answer", "reason", "says"),
    [
        (HUB, 404, "ModelSecretNotFound", "no Secret 'hub'"),
        (HUB, 403, "ModelSecretForbidden", "ends in pull-secrets"),
        (HUB, secret(b"x", "password"), "InvalidModelSecret", "--from-literal=token="),
        (HUB, secret(b""), "InvalidModelSecret", "--from-literal=token="),
        (HUB, secret("é".encode()), "InvalidModelSecret", "--from-literal=token="),
        (HUB, {"data": {"token": "%"}}, "InvalidModelSecret", "--from-literal=token="),
        (HUB, {"data": []}, "InvalidModelSecret", "--from-literal=token="),
        (BUCKET, 403, "ModelSecretForbidden", "ends in pull-secrets"),
        (
            BUCKET,
            secret(b"hf_own"),
            "InvalidModelSecret",
            "--from-literal=accessKeyId=… --from-literal=secretAccessKey=",
        ),
        (BUCKET, keys(accessKeyId="id"), "InvalidModelSecret", "under accessKeyId and secretAccessKey"),
        (BUCKET, keys(accessKeyId="id", secretAccessKey="\n"), "InvalidModelSecret", "secretAccessKey"),
        (CONFIG, 404, "ConfigMapNotFound", "no ConfigMap 'llama'"),
        (CONFIG, 403, "ConfigMapForbidden", "ends in model-configurations"),
        (CONFIG, {"data": {"other": "{}"}}, "ConfigMapKeyNotFound", "'config.json'"),
        (CONFIG, {"binaryData": {"config.json": "e30="}}, "ConfigMapKeyNotFound", "'config.json'"),
        (CONFIG, {"data": {"config.json": 5}}, "ConfigMapKeyNotFound", "'config.json'"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(
    model: dict[str, Any], answer: dict[str, Any] | int, reason: str, says: str
) -> None:
    found = read(model, answer)
    assert isinstance(found, Wrong)
    assert found.reason == reason
    assert says in found.message
    assert reason in UNWATCHED


def test_an_error_of_the_server_is_no_answer() -> None:
    with pytest.raises(ApiError):
        read(HUB, 500)
