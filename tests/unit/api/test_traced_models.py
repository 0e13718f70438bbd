"""A configuration that no entry reads is counted as its class of transformers, traced in a process with limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import joulecast
from joulecast.api import traced_models
from joulecast.errors import ModelFormatError, NotCalibratedError, UnsupportedOperatorError
from joulecast.serving.requests import GenerationRequest
from tests.models.served import oracle

GLM = {
    "model_type": "glm", "architectures": ["GlmForCausalLM"], "hidden_size": 64, "intermediate_size": 160,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 96,
    "pad_token_id": 0, "torch_dtype": "bfloat16",
}  # fmt: skip
SHAPES = {"input_ids": (1, 12)}

Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(**keys: object) -> Path:
        (tmp_path / "config.json").write_text(json.dumps(GLM | keys))
        return tmp_path

    return write


@pytest.mark.slow
def test_a_class_without_an_entry_is_traced_and_the_forecast_says_so(written: Written) -> None:
    profile = joulecast.profile(written(), input_shapes=SHAPES)
    wanted = oracle.built("GlmForCausalLM", GLM).prefill(12)
    assert (profile.totals.macs, profile.totals.params) == (wanted.macs, wanted.params)
    assert (profile.graph, profile.format, profile.layers[-1].dtype) == ("traced", "huggingface", "bfloat16")
    found = joulecast.estimate(profile, "NVIDIA-H200")
    assert found.runtime == "torch-eager"
    assert "its class of transformers was traced" in found.reasons[-1]
    with pytest.raises(NotCalibratedError, match="was traced as torch runs it, which vllm does not run"):
        joulecast.estimate(profile, "NVIDIA-H200", runtime="vllm")


@pytest.mark.slow
def test_code_and_kernels_that_a_configuration_names_are_not_loaded(written: Written) -> None:
    own = {"_attn_implementation": "some-org/kernel", "auto_map": {"AutoModelForCausalLM": "modeling.Model"}}
    assert joulecast.profile(written(**own), input_shapes=SHAPES).totals.macs
    with pytest.raises(UnsupportedOperatorError, match="has no class 'os' of glm"):
        joulecast.profile(written(architectures=["os"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"model_type": "no_such_type"}, "the installed transformers has no model type 'no_such_type'"),
        ({"quantization_config": {"quant_method": "fp8"}}, "weights of glm are quantised"),
        ({"model_type": "vit", "architectures": ["ViTModel"]}, "ViTModel reads pixel_values and no text"),
    ],
)
def test_what_cannot_be_traced_is_refused_with_both_reasons(written: Written, keys: dict, told: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match="a trace is no way out either") as caught:
        joulecast.profile(written(**keys))
    assert told in str(caught.value)
    assert "not among the known architectures" in str(caught.value)


@pytest.mark.slow
def test_a_class_that_refuses_its_sizes_is_an_error_of_the_configuration(written: Written) -> None:
    with pytest.raises(ModelFormatError, match="the class of glm in transformers refuses"):
        joulecast.profile(written(hidden_size="many"))


@pytest.mark.slow
def test_endless_layers_end_at_the_limit(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced_models, "LIMIT_SECONDS", 10)
    with pytest.raises(ModelFormatError, match="could not be traced within 10 seconds and 8 GiB"):
        joulecast.profile(written(num_hidden_layers=10**9))


def test_without_torch_the_sentence_names_the_extra(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced_models, "EXTRA", ("a_package_that_is_not_installed",))
    with pytest.raises(UnsupportedOperatorError, match=r"pip install 'joulecast\[torch\]'"):
        joulecast.profile(written())


def test_generation_of_a_class_without_an_entry_is_refused(written: Written) -> None:
    with pytest.raises(UnsupportedOperatorError, match="counts one pass as torch runs it"):
        joulecast.estimate_generation(written(), "NVIDIA-H200", GenerationRequest())
