"""Test the profiler's jobs for language models: generations, passes, and what is refused, by configurations alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.generation import forecast_generation
from joulecast.api.language_models import language_model
from joulecast.errors import JoulecastError, UnsupportedOperatorError, WorkloadError
from joulecast.serving.requests import GenerationRequest
from joulecast.sources import FetchedModel
from joulecast.sources.facts.model_facts import FORMAT, ModelFacts
from joulecast_operator.api.estimates import EstimateStatus
from joulecast_operator.workers import language, profiler
from joulecast_operator.workers.stored_models import CONFIGURATION
from tests import small_models
from tests.checkpoints import CONFIG

H100, L40S, V100 = "NVIDIA-H100-80GB-HBM3", "NVIDIA-L40S", "Tesla-V100-SXM2-16GB"
LLAMA_70B = {
    **CONFIG, "hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64, "num_hidden_layers": 80,
    "num_key_value_heads": 8, "vocab_size": 128256, "rope_theta": 500000.0, "max_position_embeddings": 8192,
}  # fmt: skip
TOKENS = {"input_tokens": 512, "output_tokens": 256, "concurrency": 32, "tensor_parallel": 4}


def job(config: Mapping[str, Any] | str, **changes: Any) -> tuple[dict[str, Any], bytes]:
    text = config if isinstance(config, str) else json.dumps(config)
    model = {
        "reference": "sha256:content", "format": CONFIGURATION, "path": "", "digest": "sha256:content",
        "layer_digest": None, "bytes_fetched": 0, "image_bytes": 0, "verification": None,
    }  # fmt: skip
    header = {
        "operation": "forecast", "model": model, "skeleton_bytes": len(text.encode()), "ready": {},
        "batch_sizes": [None], "input_shapes": {}, "input_values": {}, "phase": None, "generation": {},
        "architecture": None, "precision": "default", "cache_precision": "default", "runtime": None,
        "power_limit_watts": None, "clock_mhz": None, "accelerators": [H100], "overrides": [],
    }  # fmt: skip
    return header | changes, text.encode()


def answer(config: Mapping[str, Any] | str, **changes: Any) -> dict[str, Any]:
    found, made = profiler.work(*job(config, **changes))
    assert made == b""
    return found


def test_a_generation_is_what_the_library_forecasts() -> None:
    found = answer(LLAMA_70B, generation=TOKENS)
    (row,) = found["results"]
    facts = FetchedModel(
        **job(LLAMA_70B)[0]["model"] | {"format": FORMAT}, skeleton=ModelFacts(config=LLAMA_70B).document()
    )
    expected = forecast_generation(language_model(facts), accelerator_named(H100), GenerationRequest(**TOKENS))
    assert row["joulesPerRequest"] == pytest.approx(expected.joules_per_request.value, rel=1e-5)
    assert row["joulesPerOutputTokenUpper"] == pytest.approx(expected.joules_per_output_token.upper, rel=1e-5)
    assert row["memoryBytes"] == expected.memory_bytes
    told = {"phase": "request", "runtime": "vllm", "concurrency": 32, "inputTokens": 512, "outputTokens": 256,
            "cachedTokens": 0, "parallel": 4}  # fmt: skip
    assert told.items() <= row.items()
    assert "batchSize" not in row
    assert row["intervalReasons"] == list(expected.reasons)
    step = sorted(expected.phases[-1].layers, key=lambda layer: -layer.joules)
    assert [layer["name"] for layer in row["topLayers"]] == [layer.name for layer in step[:3]]
    assert found["totals"]["params"] == 70_553_706_496
    assert found["notes"][0] == "read as LlamaForCausalLM"


def test_a_result_fits_the_schema_of_a_status() -> None:
    (row,) = answer(LLAMA_70B, generation=TOKENS)["results"]
    (read,) = EstimateStatus.model_validate({"results": [row]}).results or []
    assert read.model_dump(by_alias=True, exclude_none=True) == row


@pytest.mark.parametrize(
    ("phase", "absent"),
    [
        ("prefill", ("joulesPerOutputToken", "interTokenLatencySeconds")),
        ("decode", ("joulesPerInputToken", "timeToFirstTokenSeconds")),
    ],
)
def test_a_phase_has_only_its_own_figures(phase: str, absent: tuple[str, ...]) -> None:
    (row,) = answer(LLAMA_70B, phase=phase, generation=TOKENS)["results"]
    assert row["phase"] == phase
    assert not [name for name in row if name.startswith(absent)]
    assert row["joulesPerRequest"] > 0


def test_the_cache_is_kept_in_the_precision_asked_for() -> None:
    (wide,), (narrow,) = (
        answer(LLAMA_70B, generation=TOKENS, cache_precision=each)["results"] for each in ("default", "fp8")
    )
    assert (wide["cachePrecision"], narrow["cachePrecision"]) == ("default", "fp8")
    cached = TOKENS["concurrency"] * 768 * 80 * 2 * 8 * 128 // TOKENS["tensor_parallel"]
    assert wide["memoryBytes"] - narrow["memoryBytes"] == cached, "one byte in place of two for each element"
    assert narrow["joulesPerOutputToken"] < wide["joulesPerOutputToken"]


def test_a_cache_that_no_kernel_reads_on_an_accelerator_is_its_reason() -> None:
    found = answer({**CONFIG, "torch_dtype": "float16"}, accelerators=[V100, H100], cache_precision="fp8")
    assert [row["accelerator"] for row in found["results"]] == [H100]
    assert found["unavailable"][V100]["reason"] == "UnsupportedOnAccelerator"
    assert "cached in fp8" in found["unavailable"][V100]["message"]


def test_a_rate_gives_the_concurrency() -> None:
    rate = {"requests_per_second": 1.0, "tensor_parallel": 4}
    (row,) = answer(LLAMA_70B, generation=rate)["results"]
    assert row["concurrency"] > 1


def test_what_does_not_fit_says_how_many_accelerators_do() -> None:
    found = answer(LLAMA_70B, generation=TOKENS | {"tensor_parallel": 1})
    assert found["results"] == []
    assert found["unavailable"][H100]["reason"] == "DoesNotFit"
    assert "tensor-parallel degree of 4" in found["unavailable"][H100]["message"]


def test_one_accelerator_without_a_forecast_leaves_the_others_theirs() -> None:
    found = answer(CONFIG, accelerators=[V100, L40S, "NVIDIA-L40S-SHARED", "NVIDIA-H2000"])
    assert [row["accelerator"] for row in found["results"]] == [L40S]
    reasons = {name: entry["reason"] for name, entry in found["unavailable"].items()}
    assert reasons == {V100: "UnsupportedOnAccelerator", "NVIDIA-H2000": "UnknownAccelerator"}


def test_batch_sizes_mean_passes() -> None:
    found = answer(CONFIG, batch_sizes=[1, 8], generation={"input_tokens": 128})
    assert [(row["phase"], row["batchSize"]) for row in found["results"]] == [("forward", 1), ("forward", 8)]
    assert all(row["runtime"] == "vllm" for row in found["results"])
    assert "joulesPerRequest" not in found["results"][0]


def test_several_cards_share_a_pass() -> None:
    asked = {"batch_sizes": [8], "generation": {"input_tokens": 128, "tensor_parallel": 2}}
    (shared,), (alone,) = (answer(CONFIG, **each)["results"] for each in (asked, asked | {"generation": {}}))
    assert (shared["parallel"], alone["parallel"]) == (2, 1)
    assert shared["latencySeconds"] != alone["latencySeconds"]


def test_an_encoder_makes_a_pass_and_generates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read = language.language_model
    monkeypatch.setattr(
        language, "language_model", lambda *given, **named: replace(read(*given, **named), generates=False)
    )
    (row,) = answer(CONFIG)["results"]
    assert (row["phase"], row["batchSize"]) == ("forward", 1)
    with pytest.raises(WorkloadError, match="leave outputTokens out"):
        answer(CONFIG, generation={"output_tokens": 2})


def test_the_architecture_can_be_named() -> None:
    own = {**CONFIG} | {"model_type": "house-llama"}
    with pytest.raises(UnsupportedOperatorError) as caught:
        answer(own)
    assert caught.value.reason == "UnknownArchitecture"
    assert answer(own, architecture="llama")["results"]


def test_a_quantisation_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(JoulecastError) as caught:
        answer({**CONFIG} | {"quantization_config": {"quant_method": "house"}})
    assert caught.value.reason == "UnsupportedQuantisation"
    assert "house" in str(caught.value)


@pytest.mark.parametrize("phase", ["request", "forward"])
def test_a_locked_clock_is_forecast_and_told_and_a_power_limit_is_refused(phase: str) -> None:
    (free,) = answer(CONFIG, phase=phase)["results"]
    (locked,) = answer(CONFIG, phase=phase, clock_mhz=1200)["results"]
    assert locked["clockMHz"] == 1200
    assert "clockMHz" not in free
    assert locked["averagePowerWatts"] < free["averagePowerWatts"]
    refused = answer(CONFIG, phase=phase, power_limit_watts=300)
    assert refused["results"] == []
    why = refused["unavailable"][H100]
    assert why["reason"] == "PowerLimitNotPriced"
    assert "give a clock lock (spec.workload.clockMHz)" in why["message"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"runtime": "torch-eager"}, "does not serve language models"),
        ({"input_shapes": {"input_ids": [1, 8]}}, "give spec.workload.inputTokens"),
        ({"generation": {"tensor_parallel": 3}}, "spec.workload.tensorParallel is 3: give one of 1, 2, 4, 8"),
        ({"generation": {"cached_tokens": 512}}, "spec.workload.cachedTokens is 512"),
        ({"phase": "forward", "generation": {"tensor_parallel": 3}}, "spec.workload.tensorParallel is 3"),
        ({"phase": "forward", "generation": {"cached_tokens": 2}}, "leave cachedTokens out"),
    ],
)
def test_what_a_language_model_does_not_take_is_named(changes: dict[str, Any], says: str) -> None:
    try:
        message = answer(CONFIG, **changes)["unavailable"][H100]["message"]
    except WorkloadError as error:
        message = str(error)
    assert says in message


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"a":' * 10_000, "null", '{"model_type": 5}', "{}"])
def test_a_text_that_is_no_configuration_is_one_clear_error(text: str) -> None:
    with pytest.raises(JoulecastError) as caught:
        answer(text)
    assert caught.value.reason in ("InvalidModelFormat", "UnknownArchitecture")


@pytest.mark.parametrize(
    "changes",
    [{"phase": "request"}, {"generation": {"output_tokens": 1}}, {"cache_precision": "fp8"}, {"runtime": "vllm"}],
    ids=str,
)
def test_any_other_model_generates_nothing(tmp_path: Any, changes: dict[str, Any]) -> None:
    from tests.unit.joulecast_operator.workers.test_profiler import job as other

    small_models.classifier(tmp_path / "c.onnx")
    with pytest.raises(WorkloadError, match="of format onnx"):
        profiler.work(*other(tmp_path / "c.onnx", **changes))


def test_a_language_model_is_read_without_onnx_and_torch() -> None:
    header, body = job(LLAMA_70B, generation=TOKENS)
    code = (
        "import json, sys\nfrom joulecast_operator.workers import language\n"
        f"language.forecast(json.loads({json.dumps(header)!r}), {body!r})\n"
        "print([name for name in ('onnx', 'torch', 'transformers') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
