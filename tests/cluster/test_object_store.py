"""Models read from a real object store that checks signatures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from joulecast.errors import ModelFetchError
from joulecast.sources import RegistryAccess, fetch, resolve
from joulecast.sources.facts.model_facts import read_document
from joulecast.sources.registries.object_access import ObjectAccess
from tests import checkpoints
from tests.harness.object_store import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, ObjectStore
from tests.unit.sources.facts.test_model_facts import written

BUCKET = "models"
REFERENCE = f"s3://{BUCKET}/team/a llama+1"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with ObjectStore.start(tmp_path_factory.mktemp("object-store")) as started:
        started.bucket(BUCKET)
        yield started


@pytest.fixture
def access(store: ObjectStore) -> RegistryAccess:
    keys = ObjectAccess(
        endpoint=store.url, region=REGION, access_key_id=ACCESS_KEY_ID, secret_access_key=SECRET_ACCESS_KEY
    )
    return RegistryAccess(objects=keys, insecure_registries=(store.host,))


def put(store: ObjectStore, files: Mapping[str, bytes], prefix: str = "team/a llama+1") -> None:
    client = S3Store(
        BUCKET, endpoint=store.url, region=REGION, access_key_id=ACCESS_KEY_ID, secret_access_key=SECRET_ACCESS_KEY,
        virtual_hosted_style_request=False, client_options={"allow_http": True},
    )  # fmt: skip
    for name, content in files.items():
        obstore.put(client, f"{prefix}/{name}", content)


@pytest.mark.parametrize("count", [1, 3])
def test_a_bucket_gives_what_the_folder_gives(
    count: int, store: ObjectStore, access: RegistryAccess, tmp_path: Path
) -> None:
    files = checkpoints.model_folder(count=count)
    prefix = f"team/{count}"
    put(store, files, prefix)
    fetched = fetch(f"s3://{BUCKET}/{prefix}", access=access)
    assert fetched.skeleton == fetch(written(tmp_path, files)).skeleton
    assert fetched.digest == resolve(f"s3://{BUCKET}/{prefix}", access=access)
    assert fetched.bytes_fetched < 40_000


def test_signs_in_keys_are_signed_as_they_are_sent(store: ObjectStore, access: RegistryAccess) -> None:
    put(store, checkpoints.model_folder())
    assert read_document(fetch(REFERENCE, access=access).skeleton).known == "all"


def test_the_environment_adds_nothing_to_the_keys_given(
    store: ObjectStore, access: RegistryAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, checkpoints.model_folder())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "another's")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://169.254.169.254")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    assert fetch(REFERENCE, access=access).format == "huggingface"


@pytest.mark.parametrize("keys", [("", ""), (ACCESS_KEY_ID, "wrong")])
def test_other_keys_are_refused(keys: tuple[str, str], store: ObjectStore, access: RegistryAccess) -> None:
    put(store, checkpoints.model_folder())
    others = dataclasses.replace(access.objects, access_key_id=keys[0], secret_access_key=keys[1])
    with pytest.raises(ModelFetchError) as caught:
        fetch(REFERENCE, access=dataclasses.replace(access, objects=others))
    assert (caught.value.reason, caught.value.transient) == ("Unauthorized", False)
    assert "wrong" not in str(caught.value)


def test_what_is_not_there_is_said(access: RegistryAccess) -> None:
    with pytest.raises(ModelFetchError) as caught:
        fetch(f"s3://{BUCKET}/team/none", access=access)
    assert caught.value.reason == "ModelNotFound"
    with pytest.raises(ModelFetchError):
        fetch("s3://no-such-bucket/team/none", access=access)
