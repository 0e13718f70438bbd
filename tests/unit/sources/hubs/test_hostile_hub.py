"""A hub that lies, never ends or points elsewhere gets one clear error, in bounded memory."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
from collections.abc import Iterator

import pytest

from joulecast.errors import JoulecastError, ModelFetchError
from joulecast.sources import FetchBudget, RegistryAccess, fetch
from tests import checkpoints
from tests.harness.hub import Answer, Hub, Request, Sparse, Special

NAME = "team/model"
REFERENCE = f"hf://{NAME}"
BUDGET = FetchBudget(fetched_bytes=64 << 20)
PEAK_BYTES = 100 << 20


def fails(access: RegistryAccess) -> JoulecastError:
    tracemalloc.start()
    try:
        with pytest.raises(JoulecastError) as caught:
            fetch(REFERENCE, access=access, budget=BUDGET)
        assert tracemalloc.get_traced_memory()[1] < PEAK_BYTES
    finally:
        tracemalloc.stop()
    assert str(caught.value).count("\n") == 0
    return caught.value


def at(part: str, answer: Answer) -> Special:
    """Answer so whatever is asked for below `part`."""
    return lambda request: dataclasses.replace(answer, headers=dict(answer.headers)) if part in request.path else None


def endless() -> Iterator[bytes]:
    while True:
        yield b'{"a": [' * 8192


@pytest.mark.parametrize("part", ["/api/models", "/resolve/"])
@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal", "10.96.0.1"])
def test_a_redirect_to_a_denied_address_is_refused(part: str, host: str, served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder())
    location = f"https://{host}/latest/meta-data/iam"
    served.server.special = at(part, Answer(302, {"Location": location}))
    error = fails(access)
    assert (error.reason, error.transient) == ("ForbiddenAddress", False)
    assert "is not allowed" in str(error)


def test_a_redirect_to_plain_http_is_refused(served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder())
    served.server.special = at("/resolve/", Answer(302, {"Location": "http://cdn.example/model"}))
    assert fails(access).reason == "ForbiddenAddress"


def test_a_denied_address_is_not_told_to_strangers(served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder())
    served.server.special = at("/resolve/", Answer(302, {"Location": "https://169.254.169.254/"}))
    error = fails(dataclasses.replace(access, hides_private_addresses=True))
    assert error.reason == "SourceUnavailable"
    assert "169.254" not in str(error)


def test_redirects_in_a_circle_end(served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder())
    served.server.special = lambda request: Answer(302, {"Location": request.path})
    error = fails(access)
    assert error.reason == "SourceMisbehaved"
    assert "redirects more than 5 times" in str(error)


@pytest.mark.parametrize(
    ("part", "reason", "words"),
    [
        ("/api/models", "SourceMisbehaved", "sends more than was requested"),
        ("/config.json", "InvalidModelFormat", "is larger than 1,048,576 bytes"),
        ("/model.safetensors", "InvalidModelFormat", "states a header of"),
    ],
)
def test_a_body_without_end_is_broken_off(
    part: str, reason: str, words: str, served: Hub, access: RegistryAccess
) -> None:
    served.add(NAME, checkpoints.model_folder(count=1))
    served.server.special = lambda request: Answer(200, {}, endless()) if part in request.path else None
    error = fails(access)
    assert error.reason == reason
    assert words in str(error)
    assert served.bytes_sent < BUDGET.fetched_bytes


def test_a_range_longer_than_requested_is_broken_off(served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder(count=1))

    def longer(request: Request) -> Answer | None:
        return Answer(206, {"Content-Range": "bytes 0-8191/10000"}, endless()) if "config" in request.path else None

    served.server.special = longer
    assert "sends more than was requested" in str(fails(access))


@pytest.mark.parametrize("length", [10 << 30, 100_000_001, (1 << 64) - 1])
def test_a_header_of_gigabytes_is_not_believed(length: int, served: Hub, access: RegistryAccess) -> None:
    head = length.to_bytes(8, "little") + b'{"w": '
    served.add(NAME, {"config.json": b'{"model_type": "llama"}', "model.safetensors": Sparse(head, 20 << 30)})
    error = fails(access)
    assert error.reason == "InvalidModelFormat"
    assert f"states a header of {length:,} bytes" in str(error)
    assert served.bytes_sent < 100_000


def test_a_header_that_may_be_true_but_is_too_long_is_left_out(served: Hub, access: RegistryAccess) -> None:
    head = (99_000_000).to_bytes(8, "little") + b'{"w": '
    served.add(NAME, {"config.json": b'{"model_type": "llama"}', "model.safetensors": Sparse(head, 20 << 30)})
    fetched = fetch(REFERENCE, access=access)
    assert json.loads(fetched.skeleton)["known"] == "none"
    assert served.bytes_sent < 100_000


@pytest.mark.parametrize("part", ["/resolve/", "/config.json"])
def test_bytes_of_another_revision_are_refused(part: str, served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder())
    other = Answer(200, {"X-Repo-Commit": "0" * 40}, b'{"model_type": "other"}')
    served.server.special = at(part, other)
    error = fails(access)
    assert error.reason == "SourceMisbehaved"
    assert "answers with a file of another commit than was requested" in str(error)


def test_another_commit_than_the_one_asked_for_is_refused(served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder())
    wanted = "1" * 40
    served.repositories[NAME].branches[wanted] = served.repositories[NAME].branches["main"]
    with pytest.raises(ModelFetchError, match="answers with another commit than was requested"):
        fetch(f"{REFERENCE}@{wanted}", access=access)


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        b"[" * 1_000_000,
        b'{"a": ' + b"9" * 1_000_000 + b"}",
        b'{"a": "' + b"\\u0000" * 170_000,
        b'{"a": "' + b'\\"' * 500_000,
        b"{" + b'"a":[],' * 149_000 + b'"b":1',
    ],
)
def test_bombs_in_a_configuration_are_refused(content: bytes, served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, {"config.json": content})
    assert fails(access).reason == "InvalidModelFormat"


@pytest.mark.parametrize(
    "document",
    [
        b"", b"[]", b"{}", b"[" * 100_000, b'{"sha": 1, "siblings": []}', b'{"sha": "main", "siblings": []}',
        b'{"sha": "' + b"a" * 40 + b'", "siblings": [1]}', b'{"sha": "' + b"a" * 40 + b'", "siblings": 5}',
        b'{"sha": "' + b"a" * 40 + b'", "siblings": [' + b'{"rfilename":"a"},' * 30_000 + b'{"rfilename":"b"}]}',
    ],
)  # fmt: skip
def test_a_description_of_another_form_is_refused(document: bytes, served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder())
    served.server.special = at("/api/models", Answer(200, {}, document))
    error = fails(access)
    assert (error.reason, error.transient) == ("SourceMisbehaved", True)


def test_files_named_to_leave_the_repository_are_not_asked_for(served: Hub, access: RegistryAccess) -> None:
    index = {"weight_map": {"w": "../../../team/secret/resolve/main/x.safetensors"}}
    files = {"config.json": b'{"model_type": "llama"}', "model.safetensors.index.json": json.dumps(index).encode()}
    served.add(NAME, files)
    assert "has no weight_map of file names" in str(fails(access))
    assert not any("secret" in request.path for request in served.server.requests)


def test_compressed_answers_are_refused(served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder())
    served.server.special = at("/config.json", Answer(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"))
    assert "which was requested without encoding" in str(fails(access))
