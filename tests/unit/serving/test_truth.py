"""The engine's rows of each architecture count what the traced class of transformers counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from joulecast.blocks import LanguageModel
from joulecast.layers import LayerProfile
from joulecast.readers.huggingface import read
from joulecast.serving.passes import decode, prefill
from joulecast.serving.rows import rows
from tests.models.served import CASES, oracle, quick_or_slow
from tests.models.served.case import Case
from tests.models.served.depth import kinds, shallow

SMALL_TOKENS, PUBLISHED_TOKENS = 12, 128


def named(case: Case) -> str:
    return case.name


def model_of(case: Case, keys: Mapping[str, Any]) -> LanguageModel:
    return read({**keys, "architectures": [case.architecture]})


def macs(found: Iterable[LayerProfile]) -> int:
    return sum(row.macs for row in found)


def params(found: Iterable[LayerProfile]) -> int:
    return sum(row.params for row in found)


def check(case: Case, keys: Mapping[str, Any], tokens: int, encoder_tokens: int) -> None:
    model, module = model_of(case, keys), oracle.built(case.architecture, keys, encoder_tokens)
    run = replace(prefill(1, tokens), logits=module.logits, encoder_tokens=encoder_tokens)
    found, wanted = rows(model, run), module.prefill(tokens)
    assert params(found) == wanted.params
    assert abs(macs(found) - wanted.macs) <= case.within * wanted.macs
    if case.decodes:
        step = replace(decode(1, tokens), encoder_tokens=encoder_tokens)
        assert macs(rows(model, step)) == module.decode(tokens, wanted)


@pytest.mark.parametrize("case", quick_or_slow(CASES))
def test_small_models_count_as_traced(case: Case) -> None:
    check(case, case.small, SMALL_TOKENS, case.encoder_tokens[0])


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.published], ids=named)
def test_published_models_count_as_traced(case: Case) -> None:
    run = replace(prefill(1, PUBLISHED_TOKENS), encoder_tokens=case.encoder_tokens[1])
    keys = shallow(case.published, lambda keys: kinds(rows(model_of(case, keys), run)))
    check(case, keys, PUBLISHED_TOKENS, case.encoder_tokens[1])


REFERENCES = {
    # architecture: (tokens, GMAC with all logits, params)
    "BertModel": (128, 11.1742, 109_482_240),
    "WhisperForConditionalGeneration": (4, 193.9814, 241_734_912),
    "OPTForCausalLM": (128, 16.1156, 125_239_296),
    "GPT2LMHeadModel": (128, 16.1141, 124_439_808),
    "BloomForCausalLM": (128, 72.3434, 559_214_592),
    "GPTNeoForCausalLM": (128, 169.404, 1_315_575_808),
    "LlamaForCausalLM": (128, 964.8912, 8_030_261_248),
}
"""Counts that other tools confirm, of the published configurations."""


@pytest.mark.parametrize("name", REFERENCES)
def test_published_counts_are_the_reference_values(name: str) -> None:
    (case,) = (case for case in CASES if case.name == name)
    tokens, gmacs, parameters = REFERENCES[name]
    run = replace(prefill(1, tokens), logits="all", encoder_tokens=case.encoder_tokens[1])
    found = rows(model_of(case, case.published), run)
    assert (round(macs(found) / 1e9, 4), params(found)) == (gmacs, parameters)


def test_llama_3_8b_decodes_and_prefills_by_the_reference_values() -> None:
    (case,) = (case for case in CASES if case.name == "LlamaForCausalLM")
    model = model_of(case, case.published)
    assert round(macs(rows(model, prefill(1, 128))) / 1e9, 4) == 898.1735
    steps = {past: round(macs(rows(model, decode(1, past))) / 1e9, 4) for past in (128, 1024, 2048)}
    assert steps == {128: 7.5385, 1024: 7.7734, 2048: 8.0418}
