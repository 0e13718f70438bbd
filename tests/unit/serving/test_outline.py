"""A model in short has the rows of the whole model, those of layers that are alike counted once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast.readers import huggingface
from joulecast.serving.outline import Outline
from joulecast.serving.passes import Pass, Sequences
from joulecast.serving.rows import collected, rows
from tests.models.served import CASES, MIXTURES
from tests.unit.serving.small import FP8

MIXED = Pass(
    groups=(Sequences(count=1, new_tokens=40), Sequences(count=3, new_tokens=1, cached_tokens=70)), encoder_tokens=30
)


def small(name: str):
    (case,) = (each for each in (*CASES, *MIXTURES) if each.name == name)
    return huggingface.read({"architectures": [case.architecture], **case.small})


@pytest.mark.parametrize("case", [*CASES, *MIXTURES], ids=lambda case: case.name)
def test_rows_of_the_outline_are_those_of_the_model(case):
    model = huggingface.read({"architectures": [case.architecture], **case.small})
    outline = Outline.of(model)
    counted, whole = outline.rows(MIXED), rows(model, MIXED)
    assert outline.expanded(counted.rows) == whole
    assert sum(counted.times) == len(whole)
    assert sum(row.macs * times for row, times in zip(counted.rows, counted.times, strict=True)) == sum(
        row.macs for row in whole
    )


def test_layers_in_turns_are_counted_once_each():
    model = small("GptOssForCausalLM")
    layers = [layer for layer, _ in model.decoder.layers]
    assert len(layers) > len(set(layers))
    assert len(Outline.of(model).model.decoder.layers) == len(set(layers))


def test_a_layer_that_is_stored_otherwise_is_another_layer():
    model = small("LlamaForCausalLM")
    quantised = replace(model, stored_otherwise={"model.layers.1.mlp.down_proj": FP8, "lm_head": FP8})
    outline = Outline.of(quantised)
    assert len(outline.model.decoder.layers) == len(Outline.of(model).model.decoder.layers) + 1
    assert outline.expanded(outline.rows(MIXED).rows) == rows(quantised, MIXED)


@pytest.mark.parametrize("cards", [1, 2])
def test_weights_of_all_layers_are_held(cards):
    model = replace(small("LlamaForCausalLM"), stored_otherwise={"model.layers.1.mlp.down_proj": FP8})
    assert Outline.of(model).held_bytes(MIXED, cards=cards) == collected(model, MIXED, cards=cards).held_bytes


def test_another_model_with_equal_fields_has_an_outline_of_its_own():
    model = small("LlamaForCausalLM")
    assert Outline.of(model) is Outline.of(model)
    assert Outline.of(replace(model)) is not Outline.of(model)
