"""Forecasts of generation: figures that belong together, and what cannot be forecast."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

import joulecast
from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.generation import forecast_generation
from joulecast.api.generation_documents import generation_document
from joulecast.api.language_models import in_precision, language_model
from joulecast.energy.engines import intervals
from joulecast.energy.engines.coefficients import ServedInterval, engine_named
from joulecast.energy.interval import Widening
from joulecast.errors import JoulecastError, NotCalibratedError, UnsupportedOperatorError, WorkloadError
from joulecast.readers import huggingface
from joulecast.serving.requests import GenerationRequest
from joulecast.sources import fetch
from tests import checkpoints
from tests.unit.api.test_documents import validate

LLAMA_8B = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}
LLAMA_70B = LLAMA_8B | {
    "hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64, "num_hidden_layers": 80,
}  # fmt: skip
CARD = "NVIDIA-H100-80GB-HBM3"
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic"}


def forecast(config=LLAMA_8B, card=CARD, **asked):
    options = {name: asked.pop(name) for name in ("precision", "runtime", "cache_precision") if name in asked}
    model = huggingface.read(config)
    return forecast_generation(model, accelerator_named(card), GenerationRequest(**asked), **options)


def test_input_and_output_tokens_make_up_the_request():
    found = forecast(input_tokens=500, output_tokens=100, concurrency=16)
    read = 500 * found.joules_per_input_token.value
    written = 99 * found.joules_per_output_token.value
    assert read + written == pytest.approx(found.joules_per_request.value)
    assert found.average_power_watts == pytest.approx(
        found.joules_per_request.value * found.concurrency / found.request_seconds
    )


def test_an_interval_holds_its_figure():
    found = forecast()
    for name in ("joules_per_request", "joules_per_output_token", "inter_token_latency_seconds"):
        figure = getattr(found, name)
        assert figure.lower < figure.value < figure.upper


def test_a_step_reads_the_weights_once_and_cannot_be_faster():
    found = forecast(phase="decode", concurrency=1)
    weights = 2 * (8_030_261_248 - 128256 * 4096)
    assert found.inter_token_latency_seconds.value > weights / 3.36e12
    assert found.average_power_watts < 700


def test_more_at_once_costs_less_each_and_takes_longer():
    alone, crowd = forecast(concurrency=1), forecast(concurrency=64)
    assert crowd.joules_per_request.value < alone.joules_per_request.value / 4
    assert crowd.inter_token_latency_seconds.value > alone.inter_token_latency_seconds.value
    assert crowd.tokens_per_second > alone.tokens_per_second


def test_cards_that_share_a_model_are_faster_and_all_are_counted():
    one, four = forecast(concurrency=8), forecast(concurrency=8, tensor_parallel=4)
    assert four.inter_token_latency_seconds.value < one.inter_token_latency_seconds.value
    assert four.joules_per_request.value > one.joules_per_request.value
    assert four.memory_bytes < one.memory_bytes / 3
    assert four.average_power_watts > 2 * one.average_power_watts


def test_eight_bits_cost_less_than_sixteen():
    plain, narrow = forecast(concurrency=4), forecast(LLAMA_8B | {"quantization_config": FP8}, concurrency=4)
    assert narrow.joules_per_output_token.value < 0.75 * plain.joules_per_output_token.value


def test_a_rate_gives_the_requests_that_are_in_flight():
    found = forecast(concurrency=None, requests_per_second=5.0)
    assert found.concurrency / found.request_seconds >= 5.0
    fewer = forecast(concurrency=found.concurrency - 1)
    assert fewer.concurrency / fewer.request_seconds < 5.0


def test_a_rate_that_no_batch_completes_is_refused():
    with pytest.raises(WorkloadError, match="more than 1 × NVIDIA-H100-80GB-HBM3 complete") as error:
        forecast(concurrency=None, requests_per_second=5000.0)
    assert error.value.reason == "DoesNotFit"


def test_what_does_not_fit_says_the_fewest_cards_that_do():
    with pytest.raises(WorkloadError, match="not even one fits; ask for a tensor-parallel degree of 2") as error:
        forecast(LLAMA_70B)
    assert error.value.reason == "DoesNotFit"
    assert forecast(LLAMA_70B, tensor_parallel=2).memory_bytes < 72e9


def test_too_many_requests_are_refused_with_how_many_fit():
    with pytest.raises(WorkloadError, match=r"at most (\d+) fit") as error:
        forecast(input_tokens=8192, output_tokens=1024, concurrency=200)
    most = int(str(error.value).split("at most ")[1].split()[0])
    assert forecast(input_tokens=8192, output_tokens=1024, concurrency=most).concurrency == most


def test_heads_that_cards_cannot_share_are_named():
    odd = LLAMA_8B | {"num_attention_heads": 12, "num_key_value_heads": 12, "head_dim": 128}
    with pytest.raises(WorkloadError, match="the number of attention heads of llama is 12, which 8 cards"):
        forecast(odd, tensor_parallel=8)


def test_a_card_runs_what_it_can_and_refuses_the_rest():
    assert forecast(LLAMA_8B | {"quantization_config": FP8}, card="NVIDIA-A100-SXM4-80GB").joules_per_request.value > 0
    with pytest.raises(NotCalibratedError, match="ask for precision fp16"):
        forecast(card="Tesla-T4")
    small = LLAMA_8B | {"num_hidden_layers": 8}
    assert forecast(small, card="Tesla-T4", precision="fp16").precision == "fp16"


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"precision": "fp12"}, WorkloadError, "precision 'fp12'"),
        (
            {"runtime": "torch-eager"},
            NotCalibratedError,
            "'torch-eager' is none: choose one of the runtimes vllm",
        ),
        ({"config": LLAMA_8B | {"model_type": "llamba"}}, UnsupportedOperatorError, "llamba"),
    ],
)
def test_what_cannot_be_forecast_is_named(asked, error, said):
    with pytest.raises(error) as found:
        forecast(**asked)
    assert said in str(found.value)


def test_keys_that_nothing_reads_are_told_and_widen_the_interval():
    plain, odd = forecast(), forecast(LLAMA_8B | {"attention_mystery": 7})
    assert "keys of config.json that nothing reads: attention_mystery" in odd.reasons
    assert odd.joules_per_request.upper > plain.joules_per_request.upper


@pytest.fixture
def folder(tmp_path):
    for name, content in checkpoints.model_folder().items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_a_folder_is_forecast_by_its_path(folder):
    found = joulecast.estimate_generation(folder, CARD, GenerationRequest(input_tokens=32, output_tokens=8))
    assert found.joules_per_request.value > 0
    assert found.coverage.flops == 1


def test_a_document_of_generation_fulfils_its_schema(folder):
    fetched = fetch(str(folder))
    model = language_model(fetched)
    found = [forecast_generation(model, accelerator_named(CARD), GenerationRequest(concurrency=n)) for n in (1, 2)]
    missing = {"NVIDIA-X1": NotCalibratedError("NVIDIA-X1 has no power limit")}
    document = generation_document(found, fetched=fetched, model=model, unavailable=missing.items())
    validate(document)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert {(row["result"], row["phase"]) for row in document["layers"]} == {
        (0, "prefill"), (0, "decode"), (1, "prefill"), (1, "decode"),
    }  # fmt: skip


def test_the_profile_of_a_language_model_is_one_pass(folder):
    profile = joulecast.profile(folder, input_shapes={"input_ids": (4, 16)})
    assert profile.graph == "engine"
    assert profile.workload.batch_size == 4
    again = joulecast.profile_from_document(json.loads(json.dumps(joulecast.profile_document(profile))))
    assert again.totals == profile.totals
    validate(joulecast.profile_document(profile))
    assert joulecast.estimate(profile, CARD).joules_per_batch > 0


def test_a_language_model_has_no_other_input(folder):
    with pytest.raises(WorkloadError, match="whose input is input_ids of batch × tokens: leave out pixels"):
        joulecast.profile(folder, input_shapes={"pixels": (1, 3, 224, 224)})


def test_files_that_hold_another_dtype_than_the_configuration_says_are_believed(tmp_path):
    config = dict(checkpoints.CONFIG) | {"torch_dtype": "float32"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(checkpoints.safetensors_file(checkpoints.tensors(dtype="F16")))
    model = language_model(fetch(str(tmp_path)))
    assert model.dtype == "float16"
    assert model.notes == ("config.json says float32 and the files hold float16: priced in float16",)


def test_a_precision_changes_what_is_not_quantised():
    model = huggingface.read(LLAMA_8B | {"quantization_config": FP8})
    changed = in_precision(model, "fp16")
    assert (changed.dtype, changed.storage) == ("float16", model.storage)
    assert changed.storage_of("lm_head").dtype == "float16"
    assert in_precision(model, "default") is model


def test_a_model_that_is_not_one_of_language_has_no_phases():
    with pytest.raises(JoulecastError, match="makes one pass over a text and generates nothing"):
        encoder = replace(huggingface.read(LLAMA_8B), generates=False)
        forecast_generation(encoder, accelerator_named(CARD), GenerationRequest())


def test_a_step_of_an_output_of_one_token_is_priced():
    found = forecast(phase="decode", output_tokens=1)
    assert [shown.phase for shown in found.phases] == ["decode"]
    assert found.joules_per_request.value > 0


def test_scored_engines_have_intervals_of_their_own_for_seconds_and_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = ServedInterval(seconds=0.3, watts=0.1, joules=0.4, origin="made up")
    engine = replace(engine_named("vllm"), interval=scored)
    monkeypatch.setattr(intervals, "engine_named", lambda name: engine)
    wider = [Widening(reason="another reason", log_half_width=0.3)]
    found = intervals.widths("vllm", wider)
    assert found.seconds == pytest.approx(math.hypot(0.3, 0.3))
    assert found.joules == pytest.approx(0.5)
    assert not any("prior" in each.reason for each in intervals.widenings("vllm", "NVIDIA-H200"))


def test_an_engine_that_was_never_scored_says_that_its_interval_is_a_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = replace(engine_named("vllm"), interval=None)
    monkeypatch.setattr(intervals, "engine_named", lambda name: engine)
    reasons = intervals.widenings("vllm", "NVIDIA-H200")
    assert "is a prior" in reasons[0].reason
    assert intervals.widths("vllm", reasons).seconds == intervals.widths("vllm", reasons).joules > 0


def test_a_cache_in_eight_bits_takes_half_the_memory_and_less_to_read():
    wide, narrow = forecast(concurrency=32), forecast(concurrency=32, cache_precision="fp8")
    assert wide.memory_bytes - narrow.memory_bytes == 32 * 640 * 131_072 / 2
    assert narrow.joules_per_output_token.value < wide.joules_per_output_token.value
    with pytest.raises(WorkloadError, match="unknown precision 'int3' of the cache: give one of default, bf16"):
        forecast(cache_precision="int3")
