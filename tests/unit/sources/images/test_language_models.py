"""Language models in images and artifacts: modelcars, image volumes, ModelPack, Docker Model Runner, ORAS."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from joulecast.errors import ModelFetchError
from joulecast.sources import FetchedModel, RegistryAccess, fetch
from joulecast.sources.facts.gguf import read_document as read_gguf
from joulecast.sources.facts.model_facts import ModelFacts, read_document
from joulecast.sources.images.layer import FILE_PATH, TITLE
from joulecast.sources.images.searching import MODEL_PATH
from tests import checkpoints
from tests.images import CONFIG_TYPE, compressed, digest_of
from tests.unit.sources.archives import Member, image, layout, tar
from tests.unit.sources.facts.test_model_facts import written
from tests.unit.sources.models import gemm_model
from tests.unit.sources.serving import Served

MODEL = checkpoints.model_folder()
GGUF = checkpoints.gguf({"general.architecture": "llama"}, {"w": (0, (2, 2))})
ONNX = gemm_model()


def placed(folder: str = "models", files: Mapping[str, bytes] = MODEL) -> list[tuple[str, Member]]:
    return [(f"{folder}/{name}".lstrip("/"), files[name]) for name in sorted(files)]


@pytest.fixture
def document(tmp_path: Path) -> bytes:
    """What the folder gives."""
    return fetch(written(tmp_path / "folder", MODEL)).skeleton


def facts(fetched: FetchedModel) -> ModelFacts:
    return read_document(fetched.skeleton)


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
@pytest.mark.parametrize("folder", ["models", "models/llama", ""])
def test_a_modelcar_gives_what_the_folder_gives(
    compression: str | None, folder: str, tmp_path: Path, document: bytes
) -> None:
    base = [("usr/lib/config.json", b"{}"), ("usr/lib/x.safetensors", b"x")]
    reference = layout(tmp_path / "image", base, placed(folder), compression=compression)
    fetched = fetch(reference)
    assert (fetched.format, fetched.path, fetched.verification) == ("huggingface", folder, "Manifest")
    assert fetched.skeleton == document
    assert fetched.layer_digest == digest_of(compressed(tar(placed(folder)), compression))
    assert fetch(reference, path=f"/{folder}/config.json").skeleton == document
    if folder:
        assert fetch(reference, path=f"/{folder}").skeleton == document


def test_upper_layers_win_and_deleted_files_are_gone(tmp_path: Path) -> None:
    newer = json.dumps({**checkpoints.CONFIG, "vocab_size": 300}).encode()
    upper = [("models/config.json", newer), ("models/.wh.generation_config.json", b"")]
    found = facts(fetch(layout(tmp_path, placed(), upper)))
    assert found.config is not None
    assert found.config["vocab_size"] == 300
    assert found.generation_config is None
    assert found.known == "all"


def test_a_hub_cache_of_links_is_read(tmp_path: Path, document: bytes) -> None:
    blobs = [(f"models/blobs/{digest_of(content)[7:]}", content) for content in MODEL.values()]
    links: list[tuple[str, Member]] = [
        (f"models/snapshots/abc/{name}", f"../../blobs/{digest_of(content)[7:]}") for name, content in MODEL.items()
    ]
    assert fetch(layout(tmp_path / "image", [*blobs, *links])).skeleton == document


def test_several_models_are_listed_and_one_is_chosen(tmp_path: Path, document: bytes) -> None:
    reference = layout(tmp_path / "image", placed("models/base"), placed("models/chat"))
    with pytest.raises(ModelFetchError, match=r"holds 2 models: models/base, models/chat; name one"):
        fetch(layout(tmp_path / "one", [*placed("models/base"), *placed("models/chat")]))
    assert fetch(reference, path="/models/base").skeleton == document
    assert fetch(layout(tmp_path / "l", placed("opt/x"), labels={MODEL_PATH: "/opt/x"})).skeleton == document
    with pytest.raises(ModelFetchError) as caught:
        fetch(reference, path="/models/other")
    assert caught.value.reason == "ModelNotFound"


@pytest.mark.parametrize(
    ("members", "says"),
    [
        (placed("srv/llama"), "files of models lie at /srv/llama, name the model's file or folder as the path"),
        ([("srv/llama.gguf", b"GGUF"), ("opt/m.onnx", ONNX)], "lie at /opt/m.onnx, /srv/llama.gguf, name"),
        ([("etc/hostname", b"x")], "name the folder in which the model lies as the path"),
    ],
    ids=["folder", "files", "none"],
)
def test_a_model_elsewhere_is_told_with_what_was_looked_for(
    members: list[tuple[str, Member]], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelFetchError) as caught:
        fetch(layout(tmp_path, members))
    assert caught.value.reason == "ModelNotFound"
    assert "no ONNX or GGUF file and no config.json under /models, where models are looked for" in str(caught.value)
    assert says in str(caught.value)


def test_a_base_image_is_not_read_for_a_model_that_the_history_names(served: Served, access: RegistryAccess) -> None:
    base = compressed(tar([("usr/lib/noise", random.Random(1).randbytes(3 << 20))]), "gzip")
    model = compressed(tar(placed("opt/llama")), "gzip")
    history = [{"created_by": "RUN apt-get"}, {"created_by": "COPY llama /opt/llama"}]
    reference = served.add(image([base, model], history=history))
    fetched = fetch(reference, path="/opt/llama", access=access)
    assert facts(fetched).known == "all"
    assert fetched.bytes_fetched < 1 << 20


def test_an_image_with_an_onnx_file_is_read_as_before(tmp_path: Path) -> None:
    both = [*placed(), ("models/model.onnx", ONNX)]
    reference = layout(tmp_path, both)
    assert fetch(reference).format == "onnx"
    assert fetch(reference, path="/models/config.json").format == "huggingface"


def test_large_weights_of_a_compressed_layer_are_not_read_through(
    served: Served, access: RegistryAccess, tmp_path: Path
) -> None:
    header, size = checkpoints.safetensors_header({"w": ("BF16", (70 << 20, 1))})
    weights = {f"model-{number:05d}-of-00003.safetensors": header + bytes(size - len(header)) for number in (1, 2, 3)}
    files = {"config.json": MODEL["config.json"], **weights}
    reference = served.add(image([compressed(tar(placed(files=files)), "zstd")]))
    found = fetch(reference, access=access)
    assert facts(found).config == checkpoints.CONFIG
    assert (facts(found).known, len(facts(found).tensors)) == ("some", 1)


def test_a_plain_layer_of_large_weights_is_passed_over(served: Served, access: RegistryAccess) -> None:
    header, size = checkpoints.safetensors_header({"w": ("BF16", (40 << 20, 1))})
    files = {"config.json": MODEL["config.json"], "model.safetensors": header + bytes(size - len(header))}
    fetched = fetch(served.add(image([tar(placed(files=files))])), access=access)
    assert facts(fetched).known == "all"
    assert served.bytes_sent == fetched.bytes_fetched < 300_000


def artifact(files: Mapping[str, bytes], key: str, media_types: Mapping[str, str], config_type: str) -> object:
    """One file a layer, named by the annotation ``key``; media types by suffix."""
    names = list(files)
    built = image(
        [files[name] for name in names],
        titles=[{key: name} if key else {} for name in names],
        config_type=config_type,
    )
    manifest = json.loads(built.manifest)
    for name, layer in zip(names, manifest["layers"], strict=True):
        layer["mediaType"] = next(kind for suffix, kind in media_types.items() if name.endswith(suffix))
    return type(built)(manifest=json.dumps(manifest).encode(), blobs=built.blobs)


PACK = "application/vnd.cncf.model"
KINDS: dict[str, tuple[str, dict[str, str], str]] = {
    "ORAS": (TITLE, {"": "application/octet-stream"}, "application/vnd.oci.empty.v1+json"),
    "ModelPack": (
        FILE_PATH,
        {".safetensors": f"{PACK}.weight.v1.raw", ".json": f"{PACK}.weight.config.v1.raw", "": f"{PACK}.doc.v1.raw"},
        f"{PACK}.config.v1+json",
    ),
    "Docker Model Runner": (
        FILE_PATH,
        {".safetensors": "application/vnd.docker.ai.safetensors", "": "application/vnd.docker.ai.model.file"},
        "application/vnd.docker.ai.model.config.v0.2+json",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_artifact_of_files_gives_what_the_folder_gives(
    kind: str, served: Served, access: RegistryAccess, document: bytes
) -> None:
    fetched = fetch(served.add(artifact(MODEL, *KINDS[kind])), access=access)  # type: ignore[arg-type]
    assert (fetched.format, fetched.path) == ("huggingface", "")
    assert fetched.skeleton == document
    assert fetched.layer_digest == digest_of(MODEL["config.json"])
    assert fetched.bytes_fetched == served.bytes_sent


def test_a_lying_layer_of_a_configuration_is_found_out(served: Served, access: RegistryAccess) -> None:
    reference = served.add(artifact(MODEL, *KINDS["ORAS"]))  # type: ignore[arg-type]
    served.blobs[digest_of(MODEL["config.json"])] = MODEL["config.json"].replace(b"64", b"65")
    with pytest.raises(ModelFetchError) as caught:
        fetch(reference, access=access)
    assert caught.value.reason == "DigestMismatch"


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_model_pack_archives_are_opened(
    compression: str | None, served: Served, access: RegistryAccess, document: bytes
) -> None:
    suffix = f"+{compression}" if compression else ""
    built = image(
        [compressed(tar([(name, content)]), compression) for name, content in MODEL.items()],
        media_type=f"application/vnd.cncf.model.weight.v1.tar{suffix}",
        titles=[{FILE_PATH: name} for name in MODEL],
        config_type="application/vnd.cncf.model.config.v1+json",
    )
    assert fetch(served.add(built), access=access).skeleton == document


def test_docker_model_runner_keeps_a_gguf_file_without_a_name(served: Served, access: RegistryAccess) -> None:
    kinds = {"gguf": "application/vnd.docker.ai.gguf.v3", "": "application/vnd.docker.ai.license"}
    built = artifact(
        {"m.gguf": GGUF, "LICENSE": b"free"}, "", kinds, "application/vnd.docker.ai.model.config.v0.1+json"
    )
    fetched = fetch(served.add(built), access=access)  # type: ignore[arg-type]
    assert (fetched.format, fetched.path) == ("gguf", "model.gguf")
    assert read_gguf(fetched.skeleton).metadata == {"general.architecture": "llama"}


def test_docker_model_runner_keeps_configurations_in_an_archive(
    served: Served, access: RegistryAccess, document: bytes
) -> None:
    weights = {name: content for name, content in MODEL.items() if name.endswith(".safetensors")}
    rest = [(name, content) for name, content in MODEL.items() if name not in weights]
    built = image([*weights.values(), tar(rest)], config_type="application/vnd.docker.ai.model.config.v0.1+json")
    manifest = json.loads(built.manifest)
    kinds = ["application/vnd.docker.ai.safetensors"] * len(weights) + ["application/vnd.docker.ai.vllm.config.tar"]
    for layer, kind in zip(manifest["layers"], kinds, strict=True):
        layer["mediaType"] = kind
    fetched = fetch(served.add(type(built)(manifest=json.dumps(manifest).encode(), blobs=built.blobs)), access=access)
    assert fetched.skeleton == document


def test_gguf_files_of_an_image_are_read(tmp_path: Path) -> None:
    for compression in (None, "gzip"):
        reference = layout(tmp_path / str(compression), [("models/m.gguf", GGUF)], compression=compression)
        fetched = fetch(reference)
        assert (fetched.format, fetched.path) == ("gguf", "models/m.gguf")
        assert fetch(reference, path="/models/m.gguf").skeleton == fetched.skeleton
    several = layout(tmp_path / "several", [("models/a.gguf", GGUF), ("models/b.gguf", GGUF)])
    with pytest.raises(ModelFetchError, match=r"holds 2 models: models/a\.gguf, models/b\.gguf; name one as the path"):
        fetch(several)


def test_an_image_volume_of_a_configuration_alone_is_enough(tmp_path: Path) -> None:
    found = facts(fetch(layout(tmp_path, [("config.json", MODEL["config.json"])], config_type=CONFIG_TYPE)))
    assert found == ModelFacts(config=checkpoints.CONFIG)
