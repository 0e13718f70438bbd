"""The engine's rows of each architecture count what the traced class of transformers counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from joulecast.blocks import LanguageModel
from joulecast.layers import LayerProfile
from joulecast.readers.huggingface import read
from joulecast.serving.passes import Pass, Sequences, decode, prefill
from joulecast.serving.rows import rows
from tests.models.served import CASES, oracle
from tests.models.served.case import Case

SMALL_TOKENS, PUBLISHED_TOKENS = 12, 128

DECODING = [case for case in CASES if case.decodes]


def named(case: Case) -> str:
    return case.name


def model_of(case: Case, keys: Mapping[str, Any]) -> LanguageModel:
    return read({**keys, "architectures": [case.architecture]})


def macs(found: Iterable[LayerProfile]) -> int:
    return sum(row.macs for row in found)


def params(found: Iterable[LayerProfile]) -> int:
    return sum(row.params for row in found)


def check(case: Case, keys: Mapping[str, Any], tokens: int) -> None:
    model, module = model_of(case, keys), oracle.built(case.architecture, keys)
    found, wanted = rows(model, prefill(1, tokens)), oracle.prefill(module, tokens)
    assert params(found) == wanted.params
    assert macs(found) == wanted.macs
    if case.decodes:
        assert macs(rows(model, decode(1, tokens))) == oracle.decode(module, tokens)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_small_models_count_as_traced(case: Case) -> None:
    check(case, case.small, SMALL_TOKENS)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.published], ids=named)
def test_published_models_count_as_traced(case: Case) -> None:
    check(case, case.published, PUBLISHED_TOKENS)


REFERENCES = {
    # architecture: (GMAC of 128 tokens with all logits, params)
    "LlamaForCausalLM": (964.8912, 8_030_261_248),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_published_counts_are_the_reference_values(name: str) -> None:
    (case,) = (case for case in CASES if case.name == name)
    run = Pass(groups=(Sequences(count=1, new_tokens=PUBLISHED_TOKENS),), logits="all")
    found = rows(model_of(case, case.published), run)
    assert (round(macs(found) / 1e9, 4), params(found)) == REFERENCES[name]


def test_llama_3_8b_decodes_and_prefills_by_the_reference_values() -> None:
    (case,) = (case for case in CASES if case.name == "LlamaForCausalLM")
    model = model_of(case, case.published)
    assert round(macs(rows(model, prefill(1, 128))) / 1e9, 4) == 898.1735
    steps = {past: round(macs(rows(model, decode(1, past))) / 1e9, 4) for past in (128, 1024, 2048)}
    assert steps == {128: 7.5385, 1024: 7.7734, 2048: 8.0418}
