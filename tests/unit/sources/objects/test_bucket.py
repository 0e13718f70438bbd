"""Models of a bucket: what a store answers, whoever may read it; signatures are tested against a real one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from joulecast.errors import JoulecastError, ModelFetchError, ModelReferenceError
from joulecast.sources import RegistryAccess, fetch, resolve
from joulecast.sources.registries.object_access import ObjectAccess
from tests import checkpoints
from tests.harness.hub import Answer, LoopbackServer, Request
from tests.unit.sources.facts.test_model_facts import facts, written

FILES = checkpoints.model_folder()
REFERENCE = "s3://models/team/llama"


@dataclasses.dataclass
class Store:
    """Objects by bucket and key; ``absent``: the status of a key that does not exist; ``tag``: of all objects."""

    objects: Mapping[str, bytes]
    absent: int = 404
    tag: str = "one"

    def answer(self, request: Request) -> Answer:
        content = self.objects.get(unquote(urlsplit(request.path).path).lstrip("/"))
        if content is None:
            return Answer(self.absent, {}, b"<Error><Code>SECRET</Code></Error>")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["range"])
        assert wanted
        first, last = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
        if first > last:
            return Answer(416, {"Content-Range": f"bytes */{len(content)}"})
        headers = {"Content-Range": f"bytes {first}-{last}/{len(content)}", "ETag": f'"{self.tag}"'}
        return Answer(206, headers, content[first : last + 1])


@contextmanager
def serving(files: Mapping[str, bytes] = FILES, absent: int = 404) -> Iterator[tuple[LoopbackServer, Store]]:
    store = Store({f"models/team/llama/{name}": content for name, content in files.items()}, absent)
    server = LoopbackServer(store.answer)
    try:
        yield server, store
    finally:
        server.stop()


def anonymous(server: LoopbackServer) -> RegistryAccess:
    return RegistryAccess(objects=ObjectAccess(endpoint=server.url), insecure_registries=(server.host,))


@pytest.mark.parametrize("absent", [404, 403])
@pytest.mark.parametrize("count", [1, 3])
def test_a_bucket_gives_what_the_folder_gives(absent: int, count: int, tmp_path: Path) -> None:
    """403 is what a store says of a missing key to whoever may read and not list."""
    files = checkpoints.model_folder(count=count)
    with serving(files, absent) as (server, _):
        fetched = fetch(REFERENCE, access=anonymous(server))
        assert (fetched.format, fetched.reference) == ("huggingface", REFERENCE)
        assert fetched.digest == resolve(REFERENCE + "/", access=anonymous(server))
        assert fetched.bytes_fetched <= server.bytes_sent
    assert fetched.skeleton == fetch(written(tmp_path, files)).skeleton


def test_one_file_and_a_path_below_the_prefix_are_read() -> None:
    file = checkpoints.gguf({"general.architecture": "llama"}, {"w": (0, (2, 2))})
    with serving({**FILES, "q/m.gguf": file, "c.json": FILES["config.json"]}) as (server, _):
        access = anonymous(server)
        assert fetch(f"{REFERENCE}/q/m.gguf", access=access).format == "gguf"
        assert fetch("s3://models/team", path="llama/q/m.gguf", access=access).format == "gguf"
        whole = fetch(REFERENCE, access=access).skeleton
        digest = fetch(REFERENCE, access=access).digest
        assert resolve("s3://models/team", path="llama", access=access) == digest
        assert fetch(f"{REFERENCE}/config.json", access=access).skeleton == whole
        assert fetch("s3://models", path="/team/llama/", access=access).skeleton == whole
        assert facts(fetch(f"{REFERENCE}/c.json", access=access)).tensors == {}


@pytest.mark.parametrize(("absent", "reason"), [(404, "ModelNotFound"), (403, "Unauthorized")])
def test_what_is_not_there_or_not_given_out_is_said(absent: int, reason: str) -> None:
    with serving({}, absent) as (server, _), pytest.raises(ModelFetchError) as caught:
        fetch(REFERENCE, access=anonymous(server))
    assert (caught.value.reason, caught.value.transient) == (reason, False)
    assert "SECRET" not in str(caught.value)


def test_an_object_that_is_replaced_is_noticed() -> None:
    wide = {f"w{number:06d}.{'x' * 80}": ("BF16", (2,)) for number in range(500)}
    files = {"config.json": FILES["config.json"], "model.safetensors": checkpoints.safetensors_file(wide)}
    with serving(files) as (server, store):

        def replaced(request: Request) -> None:
            store.tag = "one" if request.headers["range"].startswith("bytes=0-") else "two"

        server.special = replaced  # type: ignore[assignment]
        with pytest.raises(ModelFetchError, match="was replaced while it was read") as caught:
            fetch(REFERENCE, access=anonymous(server))
    assert (caught.value.reason, caught.value.transient) == ("Changed", True)


@pytest.mark.parametrize("status", [301, 400])
def test_a_bucket_in_another_region_names_it(status: int) -> None:
    with serving() as (server, _):
        server.special = lambda request: Answer(status, {"x-amz-bucket-region": "eu-west-1"}, b"<Error/>")
        with pytest.raises(ModelFetchError, match="its bucket is in region eu-west-1") as caught:
            fetch(REFERENCE, access=anonymous(server))
    assert (caught.value.reason, caught.value.transient) == ("WrongRegion", False)


def test_a_redirect_to_a_denied_address_is_refused() -> None:
    with serving() as (server, _):
        server.special = lambda request: Answer(307, {"Location": "https://169.254.169.254/latest"})
        with pytest.raises(ModelFetchError) as caught:
            fetch(REFERENCE, access=anonymous(server))
    assert caught.value.reason == "ForbiddenAddress"


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [("", "SourceDisabled"), ("http://s3.example", "InvalidEndpoint"), ("https://k:s@s3.example", "InvalidEndpoint")],
)
def test_no_store_or_a_malformed_address_is_refused(endpoint: str, reason: str) -> None:
    with pytest.raises(ModelReferenceError) as caught:
        fetch(REFERENCE, access=RegistryAccess(objects=ObjectAccess(endpoint=endpoint)))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "reference",
    [
        "s3://",
        "s3://B/x",
        "s3://ab",
        "s3://b-1/a//b",
        "s3://b-1/../x",
        "s3://b..1/x",
        "s3://b-1/" + "x" * 1100,
        "s3://b-1/\n",
    ],
)
def test_a_malformed_reference_is_refused(reference: str) -> None:
    with pytest.raises(ModelReferenceError, match="does not name a model in a bucket"):
        fetch(reference, access=RegistryAccess(objects=ObjectAccess(endpoint="https://s3.example")))


def test_the_user_has_the_store_and_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    assert RegistryAccess.of_user().objects.endpoint == "https://s3.us-east-1.amazonaws.com"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very secret")
    access = RegistryAccess.of_user()
    assert (access.objects.endpoint, access.objects.region) == ("https://s3.eu-west-1.amazonaws.com", "eu-west-1")
    assert (access.objects.access_key_id, access.objects.secret_access_key) == ("AK", "very secret")
    assert "very secret" not in repr(access)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://minio.example:9000/")
    assert RegistryAccess.of_user().objects.endpoint == "https://minio.example:9000"


def test_keys_without_obstore_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    keys = ObjectAccess(endpoint="https://s3.example", access_key_id="AK", secret_access_key="SK")
    with pytest.raises(JoulecastError, match=r"pip install 'joulecast\[s3\]'") as caught:
        fetch(REFERENCE, access=RegistryAccess(objects=keys))
    assert caught.value.reason == "MissingDependency"
