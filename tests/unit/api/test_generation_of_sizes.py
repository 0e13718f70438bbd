"""How forecasts of generation grow, and what adds up in them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.generation import GenerationEstimate, forecast_generation
from joulecast.readers.huggingface import read
from joulecast.serving.requests import GenerationRequest
from tests.models.served import CASES, MIXTURES

CARD = accelerator_named("NVIDIA-H100-80GB-HBM3")
CHOSEN = (
    "LlamaForCausalLM", "Gemma2ForCausalLM", "MixtralForCausalLM", "DeepseekV3ForCausalLM", "Mamba2ForCausalLM",
    "Qwen3NextForCausalLM",
)  # fmt: skip
MODELS = {case.name: case.small for case in (*CASES, *MIXTURES) if case.name in CHOSEN}
by_model = pytest.mark.parametrize("name", CHOSEN)
few = settings(max_examples=12, deadline=None)
NEARLY = 1 - 1e-9


def forecast(name: str, keys: dict[str, Any] | None = None, **asked: Any) -> GenerationEstimate:
    return forecast_generation(read({**MODELS[name], **(keys or {})}), CARD, GenerationRequest(**asked))


def joules(found: GenerationEstimate) -> float:
    """Joules of all requests at once."""
    return found.joules_per_request.value * found.concurrency


@by_model
@few
@given(concurrency=st.integers(1, 64), read_tokens=st.integers(1, 900), written=st.integers(2, 200))
def test_more_requests_and_tokens_cost_more(name: str, concurrency: int, read_tokens: int, written: int) -> None:
    def of(concurrency: int, read_tokens: int, written: int) -> GenerationEstimate:
        return forecast(name, concurrency=concurrency, input_tokens=read_tokens, output_tokens=written)

    own = of(concurrency, read_tokens, written)
    assert joules(own) > 0
    for larger in (
        of(2 * concurrency, read_tokens, written),
        of(concurrency, 2 * read_tokens, written),
        of(concurrency, read_tokens, 2 * written),
    ):
        assert joules(larger) >= NEARLY * joules(own)
        assert larger.request_seconds >= NEARLY * own.request_seconds
        assert larger.memory_bytes > own.memory_bytes or name == "Mamba2ForCausalLM"


@by_model
def test_prefill_and_decode_make_up_the_request(name: str) -> None:
    asked = {"input_tokens": 300, "output_tokens": 60, "concurrency": 8}
    whole = forecast(name, **asked)
    read_joules = whole.joules_per_input_token.value * 300
    written = whole.joules_per_output_token.value * 59
    assert read_joules + written == pytest.approx(whole.joules_per_request.value)


@by_model
def test_steps_of_a_longer_context_cost_evenly_more(name: str) -> None:
    """Or more than evenly: MACs and bytes are affine in the context, and a kernel costs the larger of the two."""
    found = [
        forecast(
            name, phase="decode", concurrency=4, input_tokens=tokens, output_tokens=1
        ).joules_per_output_token.value
        for tokens in (1000, 3000, 5000)
    ]
    assert found[0] <= found[1] / NEARLY <= found[2] / NEARLY**2
    assert found[2] - found[1] >= NEARLY * (found[1] - found[0]) - 1e-12


WIDER = {
    "LlamaForCausalLM": {"hidden_size": 128},
    "Gemma2ForCausalLM": {"hidden_size": 128},
    "MixtralForCausalLM": {"num_local_experts": 12},
    "DeepseekV3ForCausalLM": {"n_routed_experts": 12, "n_group": 1, "topk_group": 1},
}


@pytest.mark.parametrize("name", WIDER)
def test_wider_models_and_more_experts_cost_more(name: str) -> None:
    own, wider = forecast(name, concurrency=16), forecast(name, WIDER[name], concurrency=16)
    assert joules(wider) >= NEARLY * joules(own)
    assert wider.memory_bytes > own.memory_bytes


LLAMA_8B = next(case.published for case in CASES if case.origin == "meta-llama/Meta-Llama-3-8B")


def test_cards_share_weights_and_cache_evenly() -> None:
    """Up to what every card holds whole: normalisations and activations."""
    model = read(LLAMA_8B)
    one, four = (
        forecast_generation(model, CARD, GenerationRequest(concurrency=16, tensor_parallel=cards)) for cards in (1, 4)
    )
    assert 0.25 < four.memory_bytes / one.memory_bytes < 0.26
    assert four.request_seconds < one.request_seconds
    assert joules(four) > joules(one)
