"""One pass of a language model on a card: what it executes of quantised weights, and how several cards share it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import joulecast
from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.language_models import language_model
from joulecast.energy.engines.pricing import gap_watts, price_pass, step_seconds
from joulecast.errors import NotCalibratedError, WorkloadError
from joulecast.serving.execution import executed_on
from joulecast.serving.passes import prefill
from joulecast.serving.rows import rows

CARD, OLDER = "NVIDIA-H200", "NVIDIA-A100-SXM4-80GB"
LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_hidden_layers": 4, "num_key_value_heads": 8, "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}  # fmt: skip
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
SHAPES = {"input_ids": (8, 256)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "model")


def written(folder: Path, **keys: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA | keys))
    return folder


def test_fp8_weights_are_unpacked_on_a_card_without_fp8(tmp_path):
    quantised = written(tmp_path / "fp8", quantization_config=FP8)
    profile, card = joulecast.profile(quantised, input_shapes=SHAPES), accelerator_named(OLDER)
    model = language_model(joulecast.fetch(str(quantised)))
    run = executed_on(model, architecture=card.architecture, product=card.product)
    wanted = price_pass(rows(run, prefill(8, 256)), card, waiting_seconds=step_seconds("vllm", 8))
    for source in (quantised, profile):
        found = joulecast.estimate(source, OLDER, input_shapes=None if source is profile else SHAPES)
        assert found.joules_per_batch - found.gap_joules == pytest.approx(wanted.joules)
    assert {row.dtype for row in profile.layers} >= {"float8"}


def test_a_saved_profile_of_weights_that_engines_unpack_is_refused(tmp_path):
    quantised = joulecast.profile(written(tmp_path / "fp8", quantization_config=FP8))
    saved = joulecast.profile_from_document(joulecast.profile_document(quantised))
    with pytest.raises(NotCalibratedError, match="give the model itself in place of the saved profile"):
        joulecast.estimate(saved, OLDER)
    assert joulecast.estimate(saved, CARD).joules_per_batch == joulecast.estimate(quantised, CARD).joules_per_batch


def test_weights_that_no_engine_runs_on_a_card_are_refused(tmp_path):
    awq = written(tmp_path / "awq", quantization_config={"quant_method": "awq", "bits": 4, "group_size": 128})
    with pytest.raises(NotCalibratedError, match="engines do not run") as caught:
        joulecast.estimate(awq, "Tesla-V100-SXM2-32GB", precision="fp16")
    assert caught.value.reason == "UnsupportedOnAccelerator"


def test_cards_share_a_pass_and_its_joules_are_those_of_all(folder):
    card, model = accelerator_named(CARD), language_model(joulecast.fetch(str(folder)))
    found = joulecast.estimate(folder, CARD, input_shapes=SHAPES, tensor_parallel=4)
    waiting = step_seconds("vllm", 8)
    own = price_pass(rows(model, prefill(8, 256), cards=4), card, cards=4, waiting_seconds=waiting)
    assert found.parallel == 4
    assert found.joules_per_batch == pytest.approx(4 * own.step_joules)
    assert found.gap_joules == pytest.approx(4 * waiting * gap_watts(card))
    assert sum(layer.joules for layer in found.layers) + found.gap_joules == pytest.approx(found.joules_per_batch)
    assert any(layer.op_type == "AllReduce" and layer.joules > 0 for layer in found.layers)
    alone = joulecast.estimate(folder, CARD, input_shapes=SHAPES)
    assert (alone.parallel, found.latency_seconds < alone.latency_seconds) == (1, True)
    assert found.average_power_watts == pytest.approx(found.joules_per_batch / found.latency_seconds)


def test_a_degree_that_does_not_exist_or_does_not_divide_is_refused(folder, tmp_path):
    with pytest.raises(WorkloadError, match="tensor_parallel is 3: give one of 1, 2, 4, 8"):
        joulecast.estimate(folder, CARD, tensor_parallel=3)
    odd = written(tmp_path / "odd", num_attention_heads=12, num_key_value_heads=12, hidden_size=1536)
    with pytest.raises(WorkloadError, match="8 cards cannot share evenly"):
        joulecast.estimate(odd, CARD, tensor_parallel=8)


def test_a_saved_profile_is_of_one_card(folder):
    saved = joulecast.profile_from_document(joulecast.profile_document(joulecast.profile(folder)))
    with pytest.raises(WorkloadError, match="was counted on one card"):
        joulecast.estimate(saved, CARD, tensor_parallel=2)


def test_a_graph_runs_on_one_card(folder):
    graph = replace(joulecast.profile(folder), graph="exported")
    with pytest.raises(WorkloadError, match="is a graph, which runs on one card"):
        joulecast.estimate(graph, CARD, tensor_parallel=2)
