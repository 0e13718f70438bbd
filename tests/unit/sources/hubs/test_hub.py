"""Models of a hub: pinned to a commit, read by ranges, with a token that goes nowhere else."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from joulecast.errors import JoulecastError, ModelFetchError, ModelReferenceError
from joulecast.sources import FetchBudget, RegistryAccess, fetch, resolve
from joulecast.sources.facts.model_facts import read_document
from tests import checkpoints
from tests.harness.hub import TOKEN, Content, Hub, Sparse
from tests.unit.sources.facts.test_model_facts import written

NAME = "team/model"
REFERENCE = f"hf://{NAME}"


def with_token(access: RegistryAccess, token: str = TOKEN) -> RegistryAccess:
    return dataclasses.replace(access, hub_token=token)


def refusal(reference: str, access: RegistryAccess, **options: object) -> JoulecastError:
    with pytest.raises(JoulecastError) as caught:
        fetch(reference, access=access, **options)  # type: ignore[arg-type]
    assert "SECRET" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("count", [1, 3])
def test_a_hub_gives_what_the_folder_gives(count: int, served: Hub, access: RegistryAccess, tmp_path: Path) -> None:
    files = checkpoints.model_folder(count=count)
    commit = served.add(NAME, files)
    fetched = fetch(REFERENCE, access=access)
    assert (fetched.format, fetched.reference, fetched.path) == ("huggingface", REFERENCE, "")
    assert fetched.digest == f"git:{commit}" == resolve(REFERENCE, access=access)
    assert fetched.skeleton == fetch(written(tmp_path, files)).skeleton
    assert fetched.image_bytes == sum(map(len, files.values()))
    assert fetched.bytes_fetched <= served.bytes_sent


def large(width: int = 8192) -> dict[str, Content]:
    """A model of 140 GB in thirty files, as a Llama of 70 billion parameters is kept."""
    config = {
        **checkpoints.CONFIG, "hidden_size": width, "intermediate_size": 28672, "num_hidden_layers": 80,
        "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128256,
    }  # fmt: skip
    parts = checkpoints.shards(checkpoints.tensors(config), 30)
    weights = {name: Sparse(*checkpoints.safetensors_header(content)) for name, content in parts.items()}
    small = {"config.json": json.dumps(config).encode(), "model.safetensors.index.json": checkpoints.index_of(parts)}
    return {**small, **weights}


def test_a_model_of_140_gigabytes_costs_less_than_two_megabytes(served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, large())
    fetched = fetch(REFERENCE, access=access)
    facts = read_document(fetched.skeleton)
    assert facts.known == "all"
    assert facts.weight_bytes == 2 * 70_553_706_496
    assert fetched.image_bytes > 141 * 10**9
    assert served.bytes_sent < 400_000
    assert fetched.bytes_fetched == served.bytes_sent


def test_a_revision_is_pinned(served: Hub, access: RegistryAccess) -> None:
    first = served.add(NAME, checkpoints.model_folder())
    second = served.repositories[NAME].commit({"config.json": b'{"model_type": "new"}'})
    served.repositories[NAME].branches["refs/pr/7"] = first
    assert fetch(REFERENCE, access=access).digest == f"git:{second}"
    for revision in (f"@{first}", f":{first}", "@refs/pr/7"):
        fetched = fetch(REFERENCE + revision, access=access)
        assert fetched.digest == f"git:{first}"
        assert read_document(fetched.skeleton).config == checkpoints.CONFIG
    assert all(f"/resolve/{first}/" in path or f"/resolve/{second}/" in path for path in resolved(served))


def resolved(served: Hub) -> list[str]:
    return [request.path for request in served.server.requests if "/resolve/" in request.path]


@pytest.mark.parametrize("count", [1, 3])
def test_a_server_that_ignores_ranges_is_read_as_far_as_needed(
    count: int, served: Hub, access: RegistryAccess, tmp_path: Path
) -> None:
    files: dict[str, Content] = dict(checkpoints.model_folder(count=count))
    folder = fetch(written(tmp_path, checkpoints.model_folder(count=count)))
    for name, content in files.items():
        if name.endswith(".safetensors"):
            assert isinstance(content, bytes)
            length = 8 + int.from_bytes(content[:8], "little")
            files[name] = Sparse(content[:length], len(content))
    served.ignores_ranges = True
    served.add(NAME, files)
    assert fetch(REFERENCE, access=access).skeleton == folder.skeleton


def test_a_server_that_ignores_ranges_sends_no_gigabytes(served: Hub, access: RegistryAccess) -> None:
    served.ignores_ranges = True
    served.add(NAME, large())
    fetched = fetch(REFERENCE, access=access)
    assert read_document(fetched.skeleton).known == "all"
    assert fetched.bytes_fetched < 30 * (1 << 20)


def test_the_token_goes_to_the_hub_alone(served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder(), gated=True)
    fetch(REFERENCE, access=with_token(access))
    assert {request.headers.get("authorization") for request in served.server.requests} == {f"Bearer {TOKEN}"}
    assert served.storage.requests
    assert not any("authorization" in request.headers for request in served.storage.requests)
    assert TOKEN not in repr(with_token(access))


def test_the_token_is_not_sent_in_clear_to_another_machine(served: Hub, access: RegistryAccess) -> None:
    """The name resolves to loopback here, but nothing says that it does elsewhere."""
    served.add(NAME, checkpoints.model_folder())
    port = served.server.host.rpartition(":")[2]
    name = f"127.0.0.1.nip.test:{port}"
    elsewhere = with_token(dataclasses.replace(access, hub_endpoint=f"http://{name}", insecure_registries=(name,)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("joulecast.sources.registries.transport._resolved", lambda host, port: ["127.0.0.1"])
        assert resolve(REFERENCE, access=elsewhere).startswith("git:")
    assert not any("authorization" in request.headers for request in served.server.requests)


@pytest.mark.parametrize("rule", ["gated", "private"])
def test_a_gated_model_names_the_way_out(rule: str, served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder(), **{rule: True})
    error = refusal(REFERENCE, access)
    assert (error.reason, error.transient) == ("Unauthorized", False)
    assert re.search(r"is not given out without a token: .* accept its licence .* and give its token", str(error))
    served.accounts.add("hf_other")
    other = refusal(REFERENCE, with_token(access, "hf_other"))
    assert other.reason == ("Unauthorized" if rule == "gated" else "NotFound")
    if rule == "gated":
        assert re.search(r"to the token given: .* accept its licence .* with the token's account", str(other))
    assert refusal(REFERENCE, with_token(access, "hf_wrong")).reason == "Unauthorized"
    assert fetch(REFERENCE, access=with_token(access)).format == "huggingface"


def test_what_does_not_exist_is_said(served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder())
    assert refusal("hf://team/other", access).reason == "Unauthorized"  # a hub does not tell what is private
    assert refusal("hf://team/other", with_token(access)).reason == "NotFound"
    missing = refusal(f"{REFERENCE}@v9", access)
    assert (missing.reason, missing.transient) == ("NotFound", False)
    assert "team/model@v9 does not exist in hub" in str(missing)


def test_a_busy_hub_is_asked_again(served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, checkpoints.model_folder())
    served.throttled = 2
    assert fetch(REFERENCE, access=access).format == "huggingface"
    served.throttled = 100
    error = refusal(REFERENCE, access)
    assert (error.reason, error.transient) == ("SourceUnavailable", True)
    assert "answers 429" in str(error)


def test_an_address_that_ran_out_is_renewed(served: Hub, access: RegistryAccess) -> None:
    parts = {"model.safetensors": {f"w{number:06d}.{'x' * 80}": ("BF16", (2,)) for number in range(500)}}
    header, size = checkpoints.safetensors_header(parts["model.safetensors"])
    served.add(NAME, {"config.json": b'{"model_type": "llama"}', "model.safetensors": Sparse(header, size)})

    def expire(request: object) -> None:
        if len(served.storage.requests) == 2:
            served.signatures.clear()

    served.storage.special = expire  # type: ignore[assignment]
    assert len(read_document(fetch(REFERENCE, access=access).skeleton).tensors) == 500
    assert len(served.storage.requests) == 3


def test_several_models_are_listed_and_one_is_chosen(served: Hub, access: RegistryAccess) -> None:
    file = checkpoints.gguf({"general.architecture": "llama"}, {"w": (0, (2, 2))})
    served.add(NAME, {"config.json": b"{}", "m-Q4_K_M.gguf": file, "m-Q8_0.gguf": file})
    error = refusal(REFERENCE, access)
    assert error.reason == "AmbiguousModel"
    assert "holds 2 models: m-Q4_K_M.gguf, m-Q8_0.gguf; name one as the path" in str(error)
    one = fetch(REFERENCE, path="m-Q8_0.gguf", access=access)
    assert (one.format, one.path) == ("gguf", "m-Q8_0.gguf")
    assert fetch(f"{REFERENCE}/m-Q8_0.gguf", access=access).skeleton == one.skeleton
    assert isinstance(refusal(f"{REFERENCE}/m-Q8_0.gguf", access, path="m-Q4_K_M.gguf"), ModelReferenceError)


def test_a_mirror_below_a_path_is_used(served: Hub, access: RegistryAccess) -> None:
    commit = served.add(NAME, checkpoints.model_folder())
    prefix = "/artifactory/api/huggingfaceml/hub"
    plain = served.server._respond  # the mirror forwards what is below its path

    def forwarded(request: object) -> object:
        assert request.path.startswith(prefix)  # type: ignore[attr-defined]
        return plain(dataclasses.replace(request, path=request.path.removeprefix(prefix)))  # type: ignore[arg-type,type-var,attr-defined]

    served.server._respond = forwarded  # type: ignore[assignment]
    mirror = dataclasses.replace(access, hub_endpoint=served.url + prefix + "/")
    assert resolve(REFERENCE, access=mirror) == f"git:{commit}"


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("", "SourceDisabled"),
        ("http://hub.example", "InvalidEndpoint"),
        ("ftp://hub.example", "InvalidEndpoint"),
        ("https://", "InvalidEndpoint"),
        ("https://me:secret@hub.example", "InvalidEndpoint"),
        ("https://hub.example:port", "InvalidEndpoint"),
    ],
)
def test_no_hub_or_a_malformed_one_is_refused(endpoint: str, reason: str) -> None:
    for action in (fetch, resolve):
        with pytest.raises(ModelReferenceError) as caught:
            action(REFERENCE, access=RegistryAccess(hub_endpoint=endpoint))
        assert caught.value.reason == reason
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "reference",
    [
        "hf://",
        "hf://a/b@",
        "hf://a/../b",
        "hf://a/b@x?y",
        "hf://-a/b",
        "hf://a/b c",
        "hf://a/b@" + "x" * 2000,
        "hf://a//b",
    ],
)
def test_a_malformed_reference_is_refused(reference: str, access: RegistryAccess) -> None:
    with pytest.raises(ModelReferenceError, match="does not name a model of a hub"):
        fetch(reference, access=access)


def test_the_user_has_the_hub_and_the_token_that_the_libraries_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    access = RegistryAccess.of_user()
    assert (access.hub_endpoint, access.hub_token) == ("https://huggingface.co", "")
    (tmp_path / "token").write_text("hf_saved\n")
    assert RegistryAccess.of_user().hub_token == "hf_saved"
    monkeypatch.setenv("HF_TOKEN", " hf_said ")
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    access = RegistryAccess.of_user()
    assert (access.hub_endpoint, access.hub_token) == ("https://mirror.example", "hf_said")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert RegistryAccess.of_user().hub_endpoint == ""


def test_a_token_that_is_none_is_refused(served: Hub, access: RegistryAccess) -> None:
    assert refusal(REFERENCE, with_token(access, "two\nlines")).reason == "InvalidCredentials"


def test_the_budget_holds(served: Hub, access: RegistryAccess) -> None:
    served.add(NAME, large())
    with pytest.raises(ModelFetchError) as caught:
        fetch(REFERENCE, access=access, budget=FetchBudget(fetched_bytes=50_000))
    assert caught.value.reason == "FetchBudgetExceeded"
