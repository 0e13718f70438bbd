"""The rows of one pass: which kernels run, and under which names."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from joulecast.blocks import LanguageModel, Storage
from joulecast.errors import WorkloadError
from joulecast.layers import LayerProfile
from joulecast.readers.huggingface import products, read
from joulecast.serving.passes import Pass, Sequences, decode, prefill
from joulecast.serving.rows import rows
from tests.models.served import CASES, MIXTURES
from tests.models.served.case import Case

BY_NAME = {case.name: case for case in (*CASES, *MIXTURES)}


def model_of(name: str, **keys: object) -> LanguageModel:
    case = BY_NAME[name]
    return read({**case.small, "architectures": [case.architecture], **keys})


def named(found: tuple[LayerProfile, ...], part: str) -> list[LayerProfile]:
    return [row for row in found if part in row.name]


@pytest.mark.parametrize("case", BY_NAME.values(), ids=lambda case: case.name)
def test_no_two_kernels_of_a_pass_have_one_name(case: Case) -> None:
    found = rows(model_of(case.name), replace(prefill(1, 12), encoder_tokens=20), cards=1)
    assert [name for name, count in Counter(row.name for row in found).items() if count > 1] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_weights_of_every_product_are_asked_for_by_a_path_that_the_reader_names(case: Case) -> None:
    """Else a product would be taken to be stored as the others are, whatever the files say."""
    model, asked = model_of(case.name), set[str]()

    class Asked(dict[str, Storage]):
        def get(self, path: str, default: Any = None) -> Any:
            asked.add(path)
            return default

    rows(replace(model, stored_otherwise=Asked()), replace(prefill(1, 12), encoder_tokens=20))
    assert asked == set(products(model))


def test_an_encoder_runs_once_a_request() -> None:
    model = model_of("T5ForConditionalGeneration")
    first, step = (rows(model, replace(run, encoder_tokens=20)) for run in (prefill(2, 1), decode(2, 5)))
    assert named(first, "encoder.")
    assert named(first, "EncDecAttention.kv_proj")
    assert named(step, "encoder.") == named(step, "EncDecAttention.kv_proj") == []


def test_requests_that_start_beside_others_run_the_encoder_for_themselves() -> None:
    model = model_of("BartForConditionalGeneration")
    mixed = Pass(
        groups=(Sequences(count=3, new_tokens=1), Sequences(count=5, new_tokens=1, cached_tokens=7)), encoder_tokens=20
    )
    (own,) = named(rows(model, mixed), "encoder.layers.0.down_proj")
    assert own.macs == 3 * 20 * 64 * 160
    cross = named(rows(model, mixed), "decoder.layers.0.encoder_attn.attn")
    assert [row.macs for row in cross] == [2 * 3 * 20 * 64, 2 * 5 * 20 * 64]


def test_an_encoder_without_a_number_of_tokens_is_refused() -> None:
    with pytest.raises(WorkloadError, match="t5 has an encoder: say how many tokens of input it reads"):
        rows(model_of("T5ForConditionalGeneration"), prefill(1, 1))


def test_an_encoder_of_one_length_needs_no_number() -> None:
    model = model_of("WhisperForConditionalGeneration")
    assert model.encoder_tokens == 20
    assert rows(model, prefill(1, 4)) == rows(model, replace(prefill(1, 4), encoder_tokens=20))


def test_an_encoder_keeps_no_cache() -> None:
    kinds = {row.op_type for row in rows(model_of("BertModel"), prefill(2, 12))}
    assert "FlashAttention" in kinds
    assert "ReshapeAndCache" not in kinds


def test_a_pooled_head_runs_on_one_token_a_sequence() -> None:
    (classifier,) = named(rows(model_of("BertForSequenceClassification"), prefill(3, 12)), "classifier")
    assert classifier.macs == 3 * 64 * 2


def test_logits_are_of_the_last_token_unless_all_are_asked_for() -> None:
    model, run = model_of("LlamaForCausalLM"), prefill(3, 12)
    last, every = (named(rows(model, replace(run, logits=kind)), "lm_head")[0].macs for kind in ("last", "all"))
    assert (last, every) == (3 * 64 * 96, 36 * 64 * 96)


def test_heads_that_cards_cannot_share_are_refused() -> None:
    with pytest.raises(WorkloadError, match="the number of attention heads of llama is 4, which 3 cards cannot share"):
        rows(model_of("LlamaForCausalLM"), prefill(1, 12), cards=3)


def test_a_tied_head_has_no_parameters_of_its_own_and_reads_its_weights() -> None:
    tied, untied = (
        named(rows(model_of("LlamaForCausalLM", tie_word_embeddings=tied), prefill(1, 12)), "lm_head")[0]
        for tied in (True, False)
    )
    assert (tied.params, untied.params) == (0, 64 * 96)
    assert tied.bytes_moved == untied.bytes_moved
