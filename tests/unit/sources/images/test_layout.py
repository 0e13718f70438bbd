from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from joulecast.errors import JoulecastError, ModelFetchError, ModelFormatError, ModelReferenceError
from joulecast.sources import FetchBudget, fetch, resolve
from tests.images import INDEX_TYPE, MANIFEST_TYPE, Image, build, digest_of, write_layout
from tests.unit.sources.archives import image, tar
from tests.unit.sources.models import gemm_model

MODEL = gemm_model(width=8)
ONE = build([{"models/m.onnx": MODEL}])
ARM = build([{"models/m.onnx": MODEL}], architecture="arm64")


def rewrite(folder: Path, images: list[tuple[Image, dict[str, object]]]) -> None:
    """Make ``folder``'s index list exactly ``images``, each with the further fields given."""
    entries = []
    for one, fields in images:
        write_layout(one, folder)
        entries.append({"mediaType": MANIFEST_TYPE, "digest": one.digest, "size": len(one.manifest), **fields})
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def tag(name: str) -> dict[str, object]:
    return {"annotations": {"org.opencontainers.image.ref.name": name}}


def test_tags_and_digests(tmp_path: Path) -> None:
    rewrite(tmp_path, [(ONE, tag("1")), (ARM, tag("2"))])
    assert fetch(f"{tmp_path}:1").digest == resolve(f"{tmp_path}:1") == ONE.digest
    assert fetch(f"{tmp_path}:2").digest == ARM.digest
    assert fetch(f"{tmp_path}@{ARM.digest}").digest == resolve(f"{tmp_path}@{ARM.digest}") == ARM.digest
    with pytest.raises(ModelFetchError, match="it has 1, 2") as several:
        fetch(str(tmp_path))
    assert several.value.reason == "AmbiguousModel"
    with pytest.raises(ModelFetchError, match="no image '3': it has 1, 2") as absent:
        fetch(f"{tmp_path}:3")
    assert absent.value.reason == "NotFound"


def test_platforms_side_by_side_without_tags(tmp_path: Path) -> None:
    platform = {"os": "linux", "architecture": "arm64"}
    rewrite(tmp_path, [(ARM, {"platform": platform}), (ONE, {"platform": platform | {"architecture": "amd64"}})])
    assert fetch(str(tmp_path)).digest == resolve(str(tmp_path)) == ONE.digest
    assert fetch(str(tmp_path), platform="linux/arm64").digest == ARM.digest


def test_an_index_in_the_index(tmp_path: Path) -> None:
    rewrite(tmp_path, [(ONE, {"platform": {"os": "linux", "architecture": "amd64"}})])
    inner = (tmp_path / "index.json").read_bytes()
    (tmp_path / "blobs/sha256" / digest_of(inner)[7:]).write_bytes(inner)
    entry = {"mediaType": INDEX_TYPE, "digest": digest_of(inner), "size": len(inner), **tag("1")}
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [entry]}))
    assert fetch(f"{tmp_path}:1").digest == resolve(f"{tmp_path}:1") == ONE.digest


def test_one_platform_is_enough_if_it_is_the_only_one(tmp_path: Path) -> None:
    rewrite(tmp_path, [(ARM, {"platform": {"os": "linux", "architecture": "arm64"}})])
    assert fetch(str(tmp_path)).digest == ARM.digest


def test_a_relative_folder_and_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_layout(ONE, tmp_path / "image")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for reference in ("image", "./image:latest", "~/image", "image:latest"):
        assert fetch(reference).digest == ONE.digest


def test_damage_is_noticed(tmp_path: Path) -> None:
    write_layout(ONE, tmp_path)
    layer = json.loads(ONE.manifest)["layers"][0]["digest"][7:]
    path = tmp_path / "blobs/sha256" / layer
    content = path.read_bytes()
    path.write_bytes(content[:700])
    with pytest.raises(JoulecastError, match="ends"):
        fetch(str(tmp_path))
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(ModelFetchError) as caught:
        fetch(str(tmp_path), verify=True)
    assert caught.value.reason == "DigestMismatch"
    path.unlink()
    with pytest.raises(ModelFetchError, match="does not exist"):
        fetch(str(tmp_path))


@pytest.mark.parametrize(
    "index", ["", "[]", "{}", '{"manifests": 3}', '{"manifests": [{"digest": "sha256:../.."}]}', '{"manifests": []}']
)
def test_an_index_that_is_none(tmp_path: Path, index: str) -> None:
    write_layout(ONE, tmp_path)
    (tmp_path / "index.json").write_text(index)
    for action in (fetch, resolve):
        with pytest.raises(ModelFetchError, match=str(tmp_path)):
            action(str(tmp_path))


def test_a_folder_that_is_no_layout(tmp_path: Path) -> None:
    with pytest.raises(ModelReferenceError, match="is an empty folder"):
        fetch(str(tmp_path))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ModelFetchError, match="does not exist") as caught:
        fetch(str(tmp_path / "m.onnx"))
    assert (caught.value.reason, caught.value.transient) == ("ModelNotFound", False)
    with pytest.raises(ModelFetchError, match="does not exist"):
        fetch("missing.onnx")
    (tmp_path / "loop.onnx").symlink_to("loop.onnx")
    with pytest.raises(ModelFetchError, match="cannot be read"):
        fetch(str(tmp_path / "loop.onnx"))
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ModelReferenceError, match="not a regular file"):
        fetch(str(tmp_path / "pipe.onnx"))


def test_a_file_is_known_by_its_structure(tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"{name}.onnx" for name in "abc")
    first.write_bytes(gemm_model(width=40))
    changed = bytearray(first.read_bytes())
    changed[changed.index(b"\x00\x00\x80\x3f") + 2] ^= 1
    second.write_bytes(changed)
    third.write_bytes(gemm_model(width=41))
    assert first.read_bytes() != second.read_bytes()
    assert fetch(str(first)).digest == fetch(str(second)).digest == resolve(str(first)) != fetch(str(third)).digest
    assert fetch(str(first)).verification is None


def test_a_format_that_is_not_supported(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="'safetensors' is not supported"):
        fetch(str(tmp_path), format="safetensors")


def test_the_skeleton_budget_reaches_the_file(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(MODEL)
    with pytest.raises(ModelFormatError, match="keeps more than 100 bytes"):
        fetch(str(tmp_path / "m.onnx"), budget=FetchBudget(skeleton_bytes=100))


@pytest.mark.parametrize(
    "reference", ["a\0b", "/" + "x" * 5000, "x" * 5000, "~nobody-of-that-name/m.onnx", "/a\0.onnx", ""]
)
def test_references_that_no_file_can_have(reference: str) -> None:
    with pytest.raises((ModelFetchError, ModelReferenceError)):
        fetch(reference)


def test_names_are_not_remembered_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joulecast.sources.images.overlay._MAX_REMEMBERED", 50)
    names = [(f"models/{index}.onnx", b"") for index in range(1, 60)]
    layer = tar([("models/0.onnx", MODEL), *names])
    write_layout(image([gzip.compress(layer, 1)]), tmp_path)
    with pytest.raises(ModelFormatError, match="name the model's path"):
        fetch(str(tmp_path))
    assert fetch(str(tmp_path), path="/models/0.onnx").path == "models/0.onnx"


def test_an_archive_of_an_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(tar([("oci-layout", b"{}")]))
    with pytest.raises(ModelFormatError, match="image-layout folder"):
        fetch(str(tmp_path / "image.tar"))
