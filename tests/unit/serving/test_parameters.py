"""Parameters in all and active ones, against what publishers say of their models."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast.readers.huggingface import read
from joulecast.serving.memory import cache_bytes, weight_bytes
from joulecast.serving.parameters import active_parameters, parameters
from joulecast.serving.passes import Pass, Sequences
from joulecast.serving.rows import rows
from tests.models.served import CASES, MIXTURES
from tests.models.served.case import Case
from tests.models.served.latent import KIMI_K2

PUBLISHED = {case.origin: case.published for case in (*CASES, *MIXTURES) if case.origin}

BILLIONS = {
    # origin: (parameters, active ones) as their publishers give them, in billions
    "deepseek-ai/DeepSeek-V2": (236, 21),
    "deepseek-ai/DeepSeek-V3": (671, 37),
    "openai/gpt-oss-120b": (116.8, 5.1),
    "Qwen/Qwen2-57B-A14B": (57, 14),
    "Qwen/Qwen3-235B-A22B": (235, 22),
    "mistralai/Mixtral-8x7B-v0.1": (46.7, 12.9),
    "zai-org/GLM-4.5": (355, 32),
    "zai-org/GLM-5": (744, 40),
    "zai-org/GLM-4.7-Flash": (30, 3),
    "allenai/OLMoE-1B-7B-0924": (6.9, 1.3),
    "MiniMaxAI/MiniMax-M2": (230, 10),
    "meta-llama/Llama-4-Scout-17B-16E": (109, 17),
    "ai21labs/Jamba-v0.1": (52, 12),
    "Qwen/Qwen3-Next-80B-A3B-Instruct": (80, 3),
    "Qwen/Qwen3.5-35B-A3B": (35, 3),
    "Qwen/Qwen3.5-27B": (27, 27),
    "state-spaces/mamba-2.8b-hf": (2.8, 2.8),
    "nvidia/Nemotron-H-8B-Base-8K": (8, 8),
    "meta-llama/Meta-Llama-3-8B": (8.0, 7.5),
}


def near(count: int, billions: float) -> bool:
    """Whether publishers round or cut the count to that number, or differ by 7 % in what they count."""
    return abs(count / 1e9 - billions) <= max(0.07 * billions, 0.6)


@pytest.mark.parametrize("origin", BILLIONS)
def test_counts_are_those_that_publishers_give(origin: str) -> None:
    model = read(PUBLISHED[origin])
    total, active = BILLIONS[origin]
    assert near(parameters(model), total)
    assert near(active_parameters(model), active)


@pytest.mark.parametrize(
    ("origin", "total"),
    [
        ("mistralai/Mixtral-8x7B-v0.1", 46_702_792_704),
        ("deepseek-ai/DeepSeek-V3", 671_026_404_352),
        ("openai/gpt-oss-120b", 116_829_156_672),
    ],
)
def test_parameters_are_exact(origin: str, total: int) -> None:
    assert parameters(read(PUBLISHED[origin])) == total


@pytest.mark.parametrize("case", [*CASES, *MIXTURES], ids=lambda case: case.name)
def test_weights_are_held_as_often_as_there_are_parameters(case: Case) -> None:
    model = read({**case.small, "architectures": [case.architecture]})
    starting = Pass(groups=(Sequences(count=1, new_tokens=3),), encoder_tokens=2)
    assert parameters(model) == sum(row.params for row in rows(model, starting))
    assert weight_bytes(model) == 2 * parameters(model)


def test_a_model_without_experts_is_active_but_for_its_table() -> None:
    llama = read(PUBLISHED["meta-llama/Meta-Llama-3-8B"])
    assert parameters(llama) - active_parameters(llama) == 128256 * 4096
    tied = read({**PUBLISHED["meta-llama/Meta-Llama-3-8B"], "tie_word_embeddings": True})
    assert parameters(tied) == active_parameters(tied)


def test_mixtral_multiplies_as_much_as_the_reference_says() -> None:
    run = Pass(groups=(Sequences(count=1, new_tokens=128),), logits="all")
    found = rows(read(PUBLISHED["mistralai/Mixtral-8x7B-v0.1"]), run)
    assert sum(row.macs for row in found) == 1_636_114_104_320


@pytest.mark.parametrize(
    ("model_type", "architecture", "origin"),
    [
        ("llama4", "Llama4ForConditionalGeneration", "meta-llama/Llama-4-Scout-17B-16E"),
        ("qwen3_5", "Qwen3_5ForConditionalGeneration", "Qwen/Qwen3.5-27B"),
        ("qwen3_5_moe", "Qwen3_5MoeForConditionalGeneration", "Qwen/Qwen3.5-35B-A3B"),
    ],
)
def test_of_a_model_with_a_vision_tower_the_text_model_is_read(model_type: str, architecture: str, origin: str) -> None:
    text = PUBLISHED[origin]
    whole = {"model_type": model_type, "architectures": [architecture], "text_config": text, "vision_config": {}}
    model = read(whole)
    assert parameters(model) == parameters(read(text))
    assert f"the vision tower of {model_type} is not priced" in model.notes[0]


def kimi_k25() -> dict[str, Any]:
    return {
        "model_type": "kimi_k25",
        "architectures": ["KimiK25ForConditionalGeneration"],
        "text_config": KIMI_K2,
        "vision_config": {"hidden_size": 1152},
    }


@pytest.mark.parametrize("config", [KIMI_K2, kimi_k25()], ids=["kimi_k2", "kimi_k25"])
def test_kimi_k2_is_read_as_deepseek_v3(config: dict[str, Any]) -> None:
    model = read(config)
    assert near(parameters(model), 1026)
    assert near(active_parameters(model), 32)
    assert model.ignored == ()
    assert cache_bytes(model, 1) == 70_272


@pytest.mark.parametrize(
    ("origin", "bytes_a_token"),
    [
        ("meta-llama/Meta-Llama-3-8B", 131_072),
        ("deepseek-ai/DeepSeek-V3", 70_272),
        ("deepseek-ai/DeepSeek-V3.2", 70_272 + 61 * 132),
        ("Qwen/Qwen3-235B-A22B", 94 * 2 * 4 * 128 * 2),
        ("openai/gpt-oss-120b", 36 * 2 * 8 * 64 * 2),
    ],
)
def test_cache_of_published_models(origin: str, bytes_a_token: int) -> None:
    assert cache_bytes(read(PUBLISHED[origin]), 100) == 100 * bytes_a_token


def test_gpt_oss_keeps_its_windows_alone_beyond_them() -> None:
    assert cache_bytes(read(PUBLISHED["openai/gpt-oss-120b"]), 8192) == 18 * (8192 + 128) * 2048


def test_qwen3_next_keeps_states_beside_a_quarter_of_keys_and_values() -> None:
    model = read(PUBLISHED["Qwen/Qwen3-Next-80B-A3B-Instruct"])
    states = 36 * (32 * 128 * 128 + 3 * (2 * 16 * 128 + 32 * 128)) * 2
    assert cache_bytes(model, 1000) == 1000 * 12 * 2 * 2 * 256 * 2 + states
