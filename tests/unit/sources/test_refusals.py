"""What is no ONNX model is named, with the one thing to do: the same words for a file and for a condition."""

from __future__ import annotations

import gzip
import io
import pickle
import sys
import zipfile
from pathlib import Path

import pytest

from joulecast.cli import application
from joulecast.errors import JoulecastError, ModelFetchError, ModelFormatError, ModelReferenceError
from joulecast.readers.named import refuse_misspelt
from joulecast.sources import RegistryAccess, fetch, resolve
from joulecast.sources.fetching import offering_names
from joulecast.sources.images.layer import TITLE
from joulecast_operator.workers import fetcher
from tests.images import LAYER_TYPE
from tests.unit.sources.archives import image, layout, tar
from tests.unit.sources.models import gemm_model
from tests.unit.sources.serving import Served

MODEL = gemm_model()


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


class Trap:
    """Unpickling it would end the process."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit(99)",)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 99\n"
FILES: dict[str, tuple[str, bytes, str]] = {
    "Git LFS pointer": ("m.onnx", LFS, "is a Git LFS pointer, not the file itself: fetch the file (git lfs pull)"),
    "web page": ("m.onnx", b"\n<!DOCTYPE html><html>404</html>", "is a web page (HTML), not the file itself: download"),
    "page without a type": ("m.onnx", b"<HTML><body>", "is a web page (HTML)"),
    "empty": ("m.onnx", b"", "is empty: copy or download the file again"),
    "zeros": ("m.onnx", b"\0" * 5000, "is filled with zeros: copy or download the file again"),
    "cut off": ("m.onnx", MODEL[:-100], "is cut off, or is not an ONNX model"),
    "gzip": ("m.onnx.gz", gzip.compress(MODEL), "is a gzip file: unpack it, and give the .onnx file in it"),
    "zip": ("m.zip", zipped(m__onnx=MODEL), "is a zip archive: unpack it, and give the .onnx file in it"),
    "pickle": ("m.pt", pickle.dumps(Trap(), protocol=4), "is a Python pickle (weights saved by torch.save), which is"),
    "engine": ("m.engine", b"ftrt" + b"\1" * 64, "is a TensorRT engine, compiled for one GPU: give the ONNX file"),
    "engine of another version": ("m.plan", b"\x01\x02\x03" * 40, "is a TensorRT engine"),
    "SavedModel": ("saved_model.pb", b"\x08\x01\x12\x04\x0a\x02\x08\x01", "is a TensorFlow graph: ONNX is what can be"),
}  # fmt: skip
"""A kind: the file's name, its content, what is said of it."""


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_named_with_the_way_out(kind: str, tmp_path: Path) -> None:
    name, content, words = FILES[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFormatError) as caught:
        fetch(str(tmp_path / name))
    assert str(caught.value).startswith(f"{tmp_path / name} {words}")


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind != "empty"])
def test_a_condition_says_it_in_the_same_words(kind: str, served: Served) -> None:
    """A layer of one bare file, as artifacts are stored; compressed ones are unpacked on the way."""
    name, content, words = FILES[kind]
    if kind == "gzip":
        return
    reference = served.add(image([tar([(f"models/{name}", content)])]))
    header = {
        "operation": "fetch", "image": reference, "path": f"/models/{name}", "format": None, "digest": "",
        "platform": "linux/amd64", "access": {"insecure_registries": [served.host]}, "fetched_bytes": 1 << 20,
        "wall_seconds": 10.0,
    }  # fmt: skip
    with pytest.raises(JoulecastError) as caught:
        fetcher.work(header, b"")
    assert str(caught.value).startswith(f"{reference}, /models/{name} {words}")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["saved_model.pb", "variables/variables.index"], "is a TensorFlow SavedModel: .*tf2onnx.convert"),
        (["model_index.json", "unet/config.json"], "is a diffusers pipeline"),
        (["readme.md", "model.onnx"], r"is a folder with one ONNX file in it: give .*/folder/model\.onnx"),
        (["1/model.onnx", "config.pbtxt"], r"is a folder with one ONNX file in it: give .*/folder/1/model\.onnx"),
        (["a/config.json.orig", "onnx/model.onnx"], r"one ONNX file in it: give .*/folder/onnx/model\.onnx"),
        (["a.onnx", "b.ONNX"], r"with 2 ONNX files in it: give one of them, .*/a\.onnx, .*/b\.ONNX"),
        (["model.safetensors"], "is a folder of weights without a graph"),
        ([], "is an empty folder"),
        (["notes.txt"], "is a folder without a config.json, a model's file or an oci-layout file"),
        (["a/b/c/model.onnx"], "is a folder without a config.json, a model's file or an oci-layout file"),
    ],
)
def test_a_folder_is_named_by_what_is_in_it(files: list[str], words: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"{}")
    with pytest.raises(ModelReferenceError, match=words):
        fetch(str(folder))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://example.com/a/model.onnx", r"download the file first \(curl -LO https://example.com/a/model\.onnx\)"),
        ("s3://bucket/model.onnx", r"\(aws s3 cp s3://bucket/model\.onnx \.\)"),
        ("hf://team/model/onnx/model.onnx", r"\(hf download, with the repository and the file's name\)"),
        ("gs://bucket/m", r"\(gcloud storage cp gs://bucket/m \.\)"),
        ("wtf://x/y", "nothing is downloaded: download the file first, and give the file or an image"),
        ("file:///models/m.onnx", r"give its path alone, /models/m\.onnx"),
    ],
)
@pytest.mark.parametrize("local_paths", [True, False])
def test_an_address_is_to_be_downloaded_first(address: str, words: str, local_paths: bool) -> None:
    for action in (fetch, resolve):
        with pytest.raises(ModelReferenceError, match=words):
            action(address, access=RegistryAccess(local_paths=local_paths))


def test_secrets_of_an_address_are_not_told() -> None:
    with pytest.raises(ModelReferenceError) as caught:
        fetch("https://me:secret@example.com/m.onnx?X-Amz-Signature=secret")
    assert "secret" not in str(caught.value)


def test_a_bare_name_is_offered_from_the_libraries() -> None:
    with pytest.raises(ModelReferenceError, match="did you mean torchvision:resnet50 or timm:resnet50"):
        refuse_misspelt("resnet50")
    refuse_misspelt("some-image")


@pytest.mark.parametrize("reason", ["NotFound", "Unauthorized", "RegistryUnavailable"])
def test_a_bare_name_that_no_registry_gives_is_offered_too(reason: str) -> None:
    words = r"; a network .* written torchvision:net-7 or timm:net-7"
    with pytest.raises(ModelFetchError, match=words) as caught, offering_names("net-7"):
        raise ModelFetchError("library/net-7 is not there", reason=reason)
    assert caught.value.reason == reason
    with pytest.raises(ModelFetchError, match=r"there$"), offering_names("team/net:1"):
        raise ModelFetchError("team/net is not there", reason=reason)


def test_an_image_of_weights_alone_says_so(tmp_path: Path) -> None:
    folder = layout(tmp_path, [("models/model.safetensors", b"x"), ("models/notes.txt", b"{}")])
    words = r"holds no ONNX or GGUF file and no config\.json but /models/model\.safetensors, .*: add the model's config"
    with pytest.raises(ModelFetchError, match=words):
        fetch(folder)


def test_a_model_in_capitals_is_read(tmp_path: Path) -> None:
    assert fetch(layout(tmp_path / "image", [("models/MODEL.ONNX", MODEL)])).path == "models/MODEL.ONNX"
    (tmp_path / "M.ONNX").write_bytes(MODEL)
    assert fetch(str(tmp_path / "M.ONNX")).format == "onnx"


@pytest.mark.parametrize("target", ["/opt/net", "opt/net", "./opt/net"])
def test_a_linked_models_folder_is_followed(target: str, tmp_path: Path) -> None:
    folder = layout(tmp_path, [("opt/net/m.onnx", MODEL), ("other/n.onnx", MODEL)], [("models", target)])
    assert fetch(folder).path == "opt/net/m.onnx"


def test_several_models_behind_a_link_are_listed(tmp_path: Path) -> None:
    folder = layout(tmp_path, [("models", "/opt"), ("opt/a.onnx", MODEL), ("opt/b.onnx", MODEL)])
    with pytest.raises(ModelFetchError, match=r"holds 2 models: /opt/a\.onnx, /opt/b\.onnx; name one"):
        fetch(folder)


def test_encrypted_layers_are_named(served: Served, access: RegistryAccess) -> None:
    sealed = image([b"secret"], media_type=f"{LAYER_TYPE}+encrypted", titles=[{TITLE: "m.onnx"}])
    with pytest.raises(ModelFetchError, match=r"1 of its 1 layers cannot be \(.*\+encrypted: encrypted.*push a copy"):
        fetch(served.add(sealed), access=access)


@pytest.mark.parametrize("kind", FILES)
def test_the_command_says_it_in_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, content, words = FILES[kind]
    (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    said = told(["profile", name], monkeypatch, capsys)
    assert said.startswith(f"error: {name} {words}")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "words", "reason"),
    [
        ("https://example.com/m.onnx", "download the file first (curl -LO", "InvalidModelReference"),
        ("s3://bucket/m.onnx", "download the file first (aws s3 cp", "InvalidModelReference"),
        ("resnet50", "did you mean torchvision:resnet50 or timm:resnet50?", "InvalidModelReference"),
        (".", "is an empty folder", "InvalidModelReference"),
    ],
)
def test_the_command_names_what_is_no_file(
    source: str,
    words: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    said = told(["estimate", source], monkeypatch, capsys)
    assert words in said
    assert said.endswith(f"[{reason}]\n")


def told(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command writes to standard error before it ends with 1."""
    monkeypatch.setattr(sys, "argv", ["joulecast", *arguments])
    with pytest.raises(SystemExit) as caught:
        application.run()
    assert caught.value.code == 1
    return capsys.readouterr().err
