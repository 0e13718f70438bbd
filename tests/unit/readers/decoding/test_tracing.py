"""Passes of a decoder, traced of its class."""

from __future__ import annotations

import pytest

from joulecast.energy.features import executed
from joulecast.errors import UnsupportedOperatorError
from joulecast.readers.decoding.tracing import Decoder, path_of
from tests.unit.serving.eager.test_bitsandbytes import CONFIG


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder(CONFIG, "float16")


def test_a_step_adds_one_token_to_the_cache(decoder: Decoder) -> None:
    rows = decoder.step(sequences=3, cached_tokens=16)
    attended = [row for row in rows if row.op_type == "Attention"]
    assert [row.contractions[0].n for row in attended] == [17, 17]
    products = [row for row in rows if row.op_type == "Gemm"]
    assert {row.contractions[0].m for row in products} == {3}
    assert len(products) == 2 * 7 + 1
    assert {path_of(row.scope) for row in products} >= {"model.layers.1.mlp.down_proj", "lm_head"}


def test_eager_mode_launches_each_step_of_a_normalisation(decoder: Decoder) -> None:
    rows = decoder.step(sequences=1, cached_tokens=16)
    norm = [row for row in executed(rows) if row.scope.endswith("layers.1.input_layernorm")]
    assert sum(row.kernels["torch-eager"] for row in norm) == 8


def test_filling_the_cache_is_no_part_of_the_step(decoder: Decoder) -> None:
    joined = [row for row in decoder.step(sequences=1, cached_tokens=16) if row.op_type == "Concat"]
    assert all(row.scope.startswith("model") for row in joined)


def test_a_prompt_makes_the_logits_of_its_last_token(decoder: Decoder) -> None:
    rows = decoder.prompt(sequences=2, tokens=16)
    head = [row for row in rows if row.scope == "model.lm_head" and row.macs]
    assert [row.contractions[0].m * row.contractions[0].batch for row in head] == [2]


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "unheard-of"},
        {**CONFIG, "num_attention_heads": 3},
        {"model_type": "bert", "auto_map": {"AutoConfig": "evil.Config"}, "hidden_size": "wide"},
    ],
)
def test_what_transformers_cannot_build_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(UnsupportedOperatorError, match="take the runtime vllm"):
        Decoder(config, "float16").step(sequences=1, cached_tokens=4)
