"""Properties of forecasts of generation: more work never costs less, and the parts make up the request."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.generation import GenerationEstimate, forecast_generation
from joulecast.readers import huggingface
from joulecast.serving.requests import GenerationRequest

LLAMA_8B = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}  # fmt: skip
MIXTRAL = LLAMA_8B | {
    "model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "vocab_size": 32000, "num_hidden_layers": 8,
    "num_local_experts": 8, "num_experts_per_tok": 2,
}  # fmt: skip
MODELS = {"dense": LLAMA_8B, "experts": MIXTRAL}
CARDS = ("NVIDIA-H200", "NVIDIA-A100-SXM4-80GB")
_ALMOST = 1 - 1e-9  # sums of floats differ in their last digits

tokens = st.integers(1, 3000)
at_once = st.integers(1, 64)
workloads = st.tuples(st.sampled_from(sorted(MODELS)), st.sampled_from(CARDS), tokens, tokens, at_once)
few = settings(max_examples=12, deadline=None, derandomize=True)


@cache
def read(name: str):
    return huggingface.read(MODELS[name])


def forecast(model: str, card: str, **asked) -> GenerationEstimate:
    return forecast_generation(read(model), accelerator_named(card), GenerationRequest(**asked))


@few
@given(workloads, st.integers(1, 2000))
def test_a_longer_input_costs_more_and_takes_longer(workload, more):
    model, card, read_tokens, written, concurrency = workload
    asked = {"output_tokens": written, "concurrency": concurrency}
    short = forecast(model, card, input_tokens=read_tokens, **asked)
    long = forecast(model, card, input_tokens=read_tokens + more, **asked)
    assert long.joules_per_request.value >= short.joules_per_request.value * _ALMOST
    assert long.request_seconds >= short.request_seconds * _ALMOST
    assert long.memory_bytes >= short.memory_bytes


@few
@given(workloads, st.integers(1, 2000))
def test_a_longer_output_costs_more_and_takes_longer(workload, more):
    model, card, read_tokens, written, concurrency = workload
    asked = {"input_tokens": read_tokens, "concurrency": concurrency}
    short = forecast(model, card, output_tokens=written, **asked)
    long = forecast(model, card, output_tokens=written + more, **asked)
    assert long.joules_per_request.value >= short.joules_per_request.value * _ALMOST
    assert long.request_seconds >= short.request_seconds * _ALMOST


@few
@given(workloads, st.integers(1, 64))
def test_more_requests_at_once_draw_more_and_each_waits_longer(workload, more):
    model, card, read_tokens, written, concurrency = workload
    asked = {"input_tokens": read_tokens, "output_tokens": written, "phase": "decode"}
    few_at_once = forecast(model, card, concurrency=concurrency, **asked)
    many = forecast(model, card, concurrency=concurrency + more, **asked)
    assert many.request_seconds >= few_at_once.request_seconds * _ALMOST
    assert many.joules_per_request.value * many.concurrency >= (
        few_at_once.joules_per_request.value * few_at_once.concurrency * _ALMOST
    )
    assert many.memory_bytes >= few_at_once.memory_bytes


@few
@given(workloads)
def test_input_and_output_make_up_the_request(workload):
    model, card, read_tokens, written, concurrency = workload
    found = forecast(model, card, input_tokens=read_tokens, output_tokens=written, concurrency=concurrency)
    parts = read_tokens * found.joules_per_input_token.value + (written - 1) * found.joules_per_output_token.value
    assert parts == pytest.approx(found.joules_per_request.value)
    waited = found.time_to_first_token_seconds.value + (written - 1) * found.inter_token_latency_seconds.value
    assert waited == pytest.approx(found.request_seconds)


@few
@given(workloads)
def test_one_request_alone_is_its_prefill_and_its_decode_steps(workload):
    model, card, read_tokens, written, _ = workload
    asked = {"input_tokens": read_tokens, "output_tokens": written, "concurrency": 1}
    whole, reading, step = (forecast(model, card, phase=phase, **asked) for phase in ("request", "prefill", "decode"))
    seconds = reading.request_seconds + (written - 1) * step.request_seconds
    joules = reading.joules_per_request.value + (written - 1) * step.joules_per_request.value
    assert whole.request_seconds == pytest.approx(seconds)
    assert whole.joules_per_request.value == pytest.approx(joules)
