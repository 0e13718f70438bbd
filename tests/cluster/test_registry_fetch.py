"""Test reading from a real registry: open, with password, with tokens, with a private authority, absent for a time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from joulecast.errors import ModelFetchError
from joulecast.sources import RegistryAccess, fetch, resolve
from joulecast.sources.images.layer import TITLE
from tests import checkpoints
from tests.harness.registry import Registry
from tests.images import build, write_layout
from tests.unit.sources import archives
from tests.unit.sources.models import gemm_model, parsed

MODEL = gemm_model(width=600, count=4)
REPOSITORY = "team/vision/model"


def push(registry: Registry, folder: Path, compression: str | None = None, tag: str = "1") -> tuple[str, str]:
    """Push an image with the model in its upper layer, and return its reference and digest."""
    image = build([{"etc/os-release": b"x" * 3000}, {"models/m.onnx": MODEL}], compression=compression)
    digest = registry.push(write_layout(image, folder / f"layout-{tag}"), REPOSITORY, tag)
    return f"{registry.host}/{REPOSITORY}:{tag}", digest


def open_access(registry: Registry) -> RegistryAccess:
    return RegistryAccess(insecure_registries=(registry.host,))


def check(reference: str, digest: str, access: RegistryAccess) -> None:
    model = fetch(reference, access=access)
    assert model.digest == digest == resolve(reference, access=access)
    assert len(parsed(model.skeleton).graph.node) == 4


def refusal(reference: str, access: RegistryAccess) -> ModelFetchError:
    with pytest.raises(ModelFetchError) as caught:
        fetch(reference, access=access)
    with pytest.raises(ModelFetchError):
        resolve(reference, access=access)
    return caught.value


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_an_open_registry(registry: Registry, tmp_path: Path, compression: str | None) -> None:
    reference, digest = push(registry, tmp_path, compression, tag=f"c-{compression}".lower())
    access = open_access(registry)
    check(reference, digest, access)
    check(f"{registry.host}/{REPOSITORY}@{digest}", digest, access)
    verified = fetch(reference, path="/models/m.onnx", access=access, verify=True)
    assert verified.verification == "Full"
    if compression is None:
        assert fetch(reference, access=access).bytes_fetched < len(MODEL) / 10
    assert refusal(f"{registry.host}/{REPOSITORY}:none", access).reason == "NotFound"
    assert refusal(f"{registry.host}/nobody/nothing:1", access).reason == "NotFound"


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_language_model_gives_what_its_folder_gives(
    registry: Registry, tmp_path: Path, compression: str | None
) -> None:
    files = checkpoints.model_folder()
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    image = build([{"etc/x": b"x"}, {f"models/{name}": files[name] for name in sorted(files)}], compression=compression)
    kind = str(compression).lower()
    digest = registry.push(write_layout(image, tmp_path / "layout"), "team/llama", kind)
    fetched = fetch(f"{registry.host}/team/llama:{kind}", access=open_access(registry))
    assert (fetched.format, fetched.path, fetched.digest) == ("huggingface", "models", digest)
    assert fetched.skeleton == fetch(str(folder)).skeleton


def test_an_artifact_of_one_file_a_layer_gives_what_its_folder_gives(registry: Registry, tmp_path: Path) -> None:
    files = checkpoints.model_folder(count=1)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    titles = [{TITLE: name} for name in files]
    artifact = archives.image(
        list(files.values()), media_type="application/octet-stream", titles=titles, config_type="application/vnd.test"
    )
    digest = registry.push(write_layout(artifact, tmp_path / "layout"), "team/oras", "1")
    fetched = fetch(f"{registry.host}/team/oras:1", access=open_access(registry))
    assert (fetched.format, fetched.path, fetched.digest) == ("huggingface", "", digest)
    assert fetched.skeleton == fetch(str(folder)).skeleton


def test_a_password(tmp_path: Path) -> None:
    with Registry.start(tmp_path / "registry", authentication="basic") as registry:
        reference, digest = push(registry, tmp_path)
        access = open_access(registry)
        check(reference, digest, dataclasses.replace(access, docker_config=registry.docker_config()))
        # the same, said for a path of that registry only
        [entry] = registry.docker_config()["auths"].values()
        check(reference, digest, dataclasses.replace(access, docker_config={"auths": {f"{registry.host}/team": entry}}))
        other = {"auths": {f"{registry.host}/other": entry}}
        wrong = {"auths": {registry.host: {"username": registry.username, "password": "wrong"}}}
        for config in ({}, other, wrong):
            error = refusal(reference, dataclasses.replace(access, docker_config=config))
            assert (error.reason, error.transient) == ("Unauthorized", False)


@pytest.mark.parametrize("anonymous_pull", [True, False])
def test_tokens(tmp_path: Path, anonymous_pull: bool) -> None:
    with Registry.start(tmp_path / "registry", authentication="token", anonymous_pull=anonymous_pull) as registry:
        reference, digest = push(registry, tmp_path)
        access = RegistryAccess(insecure_registries=("127.0.0.1",))  # its token service has a port of its own
        known = dataclasses.replace(access, docker_config=registry.docker_config())
        check(reference, digest, known)
        assert registry.tokens is not None
        registry.tokens.scopes.clear()
        fetch(reference, access=known)
        assert registry.tokens.scopes == [f"repository:{REPOSITORY}:pull"]
        if anonymous_pull:
            check(reference, digest, access)
        else:
            assert refusal(reference, access).reason == "Unauthorized"
        # a token service that is not listed gets no connection, though the registry names it
        assert refusal(reference, open_access(registry)).reason == "ForbiddenAddress"


def test_a_private_authority(tmp_path: Path) -> None:
    with Registry.start(tmp_path / "registry", tls=True) as registry:
        reference, digest = push(registry, tmp_path)
        access = RegistryAccess(permitted_hosts=(registry.host,))
        assert registry.authority is not None
        trusting = dataclasses.replace(access, certificate_authority=str(registry.authority.bundle))
        check(reference, digest, trusting)
        error = refusal(reference, access)
        assert (error.reason, "authority" in str(error)) == ("UntrustedCertificate", True)
        denied = dataclasses.replace(trusting, permitted_hosts=())
        assert refusal(reference, denied).reason == "ForbiddenAddress"


def test_away_and_back_and_a_tag_that_moves(tmp_path: Path) -> None:
    with Registry.start(tmp_path / "registry") as registry:
        reference, digest = push(registry, tmp_path)
        access = open_access(registry)
        registry.process.kill()
        error = refusal(reference, access)
        assert (error.reason, error.transient) == ("RegistryUnavailable", True)
        registry.process.start()
        check(reference, digest, access)
        image = build([{"models/m.onnx": gemm_model(width=8, count=4)}])
        moved = registry.push(write_layout(image, tmp_path / "moved"), REPOSITORY, "1")
        assert moved != digest
        check(reference, moved, access)
