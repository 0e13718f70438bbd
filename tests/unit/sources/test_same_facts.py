"""The same model gives the same document from a folder, an image, an artifact, a hub and an object store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from joulecast.sources import RegistryAccess, fetch
from joulecast.sources.images.layer import TITLE
from joulecast.sources.registries.object_access import ObjectAccess
from tests import checkpoints
from tests.harness import hub
from tests.unit.sources.archives import image, layout
from tests.unit.sources.facts.test_model_facts import written
from tests.unit.sources.objects.test_bucket import serving
from tests.unit.sources.serving import Served

QUANTISED = {**checkpoints.CONFIG, "quantization_config": {"quant_method": "fp8", "ignored_layers": ["lm_head"]}}
WORDS = {"general.architecture": "llama", "llama.block_count": 2, "tokenizer.ggml.tokens": ["w"] * 5000}
MODELS: dict[str, tuple[Mapping[str, bytes], str | None]] = {
    "in one file": (checkpoints.model_folder(count=1), None),
    "in three files": (checkpoints.model_folder(count=3), None),
    "quantised": (
        {**checkpoints.model_folder(QUANTISED), "hf_quant_config.json": json.dumps({"quantization": {}}).encode()},
        None,
    ),
    "configuration alone": ({"config.json": json.dumps(checkpoints.CONFIG).encode()}, None),
    "GGUF": ({"m-Q8_0.gguf": checkpoints.gguf(WORDS, {"w": (8, (64, 64))})}, "m-Q8_0.gguf"),
    "GGUF in parts": (
        {
            "m-00001-of-00002.gguf": checkpoints.gguf(WORDS, {"w": (8, (64, 64))}),
            "m-00002-of-00002.gguf": checkpoints.gguf({"split.no": 1}, {"v": (8, (64, 64))}),
        },
        "m-00001-of-00002.gguf",
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_where_a_model_is_kept_does_not_matter(kind: str, tmp_path: Path, served: Served) -> None:
    files, path = MODELS[kind]
    found = {"folder": fetch(written(tmp_path / "folder", dict(files)))}
    members = [(f"models/{name}", files[name]) for name in sorted(files)]
    for compression in (None, "gzip", "zstd"):
        found[f"image, {compression}"] = fetch(layout(tmp_path / str(compression), members, compression=compression))
    artifact = image(
        list(files.values()), media_type="x/y", titles=[{TITLE: name} for name in files], config_type="x/z"
    )
    found["artifact"] = fetch(served.add(artifact), access=RegistryAccess(insecure_registries=(served.host,)))
    with hub.running() as one:
        one.add("team/model", files)
        hosts = (one.server.host, one.storage.host)
        access = RegistryAccess(hub_endpoint=one.url, insecure_registries=hosts)
        found["hub"] = fetch("hf://team/model", access=access)
    with serving(files) as (server, _):
        access = RegistryAccess(objects=ObjectAccess(endpoint=server.url), insecure_registries=(server.host,))
        found["bucket"] = fetch("s3://models/team/llama", path=path, access=access)
    assert {where: fetched.skeleton for where, fetched in found.items()} == dict.fromkeys(
        found, found["folder"].skeleton
    )
    assert {fetched.format for fetched in found.values()} == {"gguf" if path else "huggingface"}
