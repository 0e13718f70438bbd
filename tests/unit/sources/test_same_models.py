"""The same model gives the same rows, parameters and bytes, wherever and however it is kept."""

from __future__ import annotations

from pathlib import Path

from joulecast.api.language_models import language_model
from joulecast.blocks import LanguageModel
from joulecast.layers import LayerProfile
from joulecast.serving.memory import weight_bytes
from joulecast.serving.passes import decode, prefill
from joulecast.serving.rows import rows
from joulecast.sources import FetchedModel, RegistryAccess, fetch
from joulecast.sources.images.layer import TITLE
from joulecast.sources.registries.object_access import ObjectAccess
from tests import checkpoints
from tests.harness import hub
from tests.unit.sources.archives import image, layout
from tests.unit.sources.facts.test_model_facts import written
from tests.unit.sources.objects.test_bucket import serving
from tests.unit.sources.serving import Served

BF16, F32 = 30, 0
CONFIG = {**checkpoints.CONFIG, "max_position_embeddings": 2048}
FILES = checkpoints.model_folder(CONFIG, count=3)
METADATA = {
    "general.architecture": "llama", "llama.block_count": 2, "llama.embedding_length": 64,
    "llama.feed_forward_length": 128, "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2,
    "llama.context_length": 2048,
}  # fmt: skip
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "model.layers": "blk",
}  # fmt: skip


def converted() -> bytes:
    """The model as llama.cpp's converter writes it."""
    found = {}
    for name, (_, shape) in checkpoints.tensors(CONFIG).items():
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        found[name] = (BF16 if len(shape) == 2 else F32, tuple(reversed(shape)))
    return checkpoints.gguf(METADATA, found)


def everywhere(tmp_path: Path, served: Served) -> dict[str, FetchedModel]:
    """The model as it is fetched from each kind of source."""
    single = written(tmp_path / "single", checkpoints.model_folder(CONFIG, count=1))
    found = {
        "folder": fetch(written(tmp_path / "folder", FILES)),
        "one file of weights": fetch(single),
        "configuration": fetch(str(Path(single) / "config.json")),
        "GGUF": fetch(written(tmp_path / "converted", {"m.gguf": converted()})),
        "layout": fetch(layout(tmp_path / "layout", [(f"models/{name}", FILES[name]) for name in FILES])),
    }
    artifact = image(
        list(FILES.values()), media_type="x/y", titles=[{TITLE: name} for name in FILES], config_type="x/z"
    )
    found["artifact"] = fetch(served.add(artifact), access=RegistryAccess(insecure_registries=(served.host,)))
    with hub.running() as one:
        one.add("team/model", FILES)
        hosts = (one.server.host, one.storage.host)
        found["hub"] = fetch("hf://team/model", access=RegistryAccess(hub_endpoint=one.url, insecure_registries=hosts))
    with serving(FILES) as (server, _):
        access = RegistryAccess(objects=ObjectAccess(endpoint=server.url), insecure_registries=(server.host,))
        found["bucket"] = fetch("s3://models/team/llama", access=access)
    return found


def counted(model: LanguageModel) -> tuple[int, list[LayerProfile]]:
    return weight_bytes(model), [row for run in (prefill(2, 16), decode(3, 64)) for row in rows(model, run)]


def test_where_and_how_a_model_is_kept_does_not_matter(tmp_path: Path, served: Served) -> None:
    models = {where: language_model(fetched) for where, fetched in everywhere(tmp_path, served).items()}
    expected = counted(models["folder"])
    assert {where: counted(model) == expected for where, model in models.items()} == dict.fromkeys(models, True)
    assert all(model.differences == () for model in models.values())
