"""Generation as transformers runs it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from joulecast import GenerationRequest, estimate_generation
from joulecast.accelerators.catalogue import find
from joulecast.api.eager_generation import EagerModel, price_eager
from joulecast.api.generation import GenerationEstimate
from joulecast.errors import JoulecastError, WorkloadError
from joulecast.readers import huggingface
from tests.unit.serving.eager.test_bitsandbytes import CONFIG, EIGHT, FOUR

CARD = "NVIDIA-A100-SXM4-80GB"


def forecast(folder: Path, stored: dict[str, Any] | None = None, **asked: Any) -> GenerationEstimate:
    config = {**CONFIG, **({"quantization_config": stored} if stored else {})}
    folder.joinpath("config.json").write_text(json.dumps(config))
    request = GenerationRequest(**{"input_tokens": 16, "output_tokens": 8, **asked})
    return estimate_generation(str(folder), CARD, request, runtime="torch-eager")


def test_a_request_is_its_prompt_and_its_steps(tmp_path: Path) -> None:
    whole, step = forecast(tmp_path), forecast(tmp_path, phase="decode")
    prompt = forecast(tmp_path, phase="prefill")
    assert whole.joules_per_request.value == pytest.approx(
        prompt.joules_per_request.value + 7 * step.joules_per_output_token.value
    )
    assert whole.inter_token_latency_seconds.value == step.inter_token_latency_seconds.value > 0
    assert [each.phase for each in whole.phases] == ["prefill", "decode"]
    assert sum(layer.joules for layer in step.phases[0].layers) < step.joules_per_request.value


def test_a_step_of_a_small_model_waits_for_the_host_however_it_is_stored(tmp_path: Path) -> None:
    seconds = [
        forecast(tmp_path, stored, phase="decode").inter_token_latency_seconds.value
        for stored in (None, FOUR, {**EIGHT, "llm_int8_threshold": 0.0}, EIGHT)
    ]
    assert seconds == sorted(seconds)
    assert seconds[-1] > 2 * seconds[0]


def test_the_interval_carries_another_host() -> None:
    model = EagerModel.of(CONFIG, huggingface.read(CONFIG))
    accelerator = find(CARD)
    slow = {"torch-eager": accelerator.hosts["torch-eager"].paced(1.4)}
    step = model.step(sequences=1, cached_tokens=16)
    found, slower = price_eager(step, accelerator), price_eager(step, replace(accelerator, hosts=slow))
    assert slower.seconds == pytest.approx(1.4 * found.seconds, rel=0.01)
    assert slower.joules < float(found.estimate.joules_per_batch_upper)
    assert found.interval.seconds > found.interval.watts


@pytest.mark.parametrize(
    "asked",
    [{"tensor_parallel": 2}, {"cached_tokens": 8}, {"concurrency": None, "requests_per_second": 1.0}],
)
def test_what_torch_alone_does_not_do_is_refused(tmp_path: Path, asked: dict[str, Any]) -> None:
    with pytest.raises(WorkloadError):
        forecast(tmp_path, **asked)


def test_other_quantisations_name_the_runtime_that_knows_them(tmp_path: Path) -> None:
    with pytest.raises(JoulecastError, match="vllm"):
        forecast(tmp_path, {"quant_method": "gptq", "bits": 4})


def test_an_export_version_is_priced_as_the_card_it_is_alike() -> None:
    twin, own = find("NVIDIA-A800-SXM4-80GB"), find(CARD)
    assert (twin.product, twin.origin) == ("NVIDIA-A800-SXM4-80GB", "transferred")
    assert (twin.law, twin.hosts) == (own.law, own.hosts)
