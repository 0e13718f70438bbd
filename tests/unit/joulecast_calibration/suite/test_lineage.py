"""Who a network is, by its name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast_calibration import suite
from joulecast_calibration.suite.lineage import (
    family_of,
    is_language_model,
    kin,
    language_models,
    task_of,
    zero_shot_names,
)
from tests.unit.energy import data


@pytest.mark.parametrize(
    ("architecture", "family"),
    [
        ("resnet101", "ResNet"),
        ("resnext50", "ResNet"),
        ("vitmodel", "ViT"),
        ("bertmodel", "BERT"),
        ("camembertmodel", "BERT"),
        ("RobertaForMaskedLM", "BERT"),
        ("llamamodel", "Llama"),
        ("unheard12", "unheard"),
        ("hf:opt-125m", "OPT"),
        ("timm:vit_base_patch16_224", "ViT"),
    ],
)
def test_a_family_is_a_lineage_across_libraries(architecture: str, family: str) -> None:
    assert family_of(architecture) == family


def test_language_models_are_those_that_generate() -> None:
    generating = ["gpt2model", "optmodel", "qwen2model", "llamamodel"]
    assert [name for name in [*generating, "bertmodel", "vitmodel", "resnet101"] if is_language_model(name)] == (
        generating
    )


def test_a_task_is_that_of_the_lineage_or_of_the_input() -> None:
    images, tokens = data.row("unheard", "", None, 1, 900.0), data.row("unheard", "", 8, 1, 900.0)
    assert [task_of(images), task_of(tokens)] == ["vision", "nlp"]
    assert task_of(replace(images, architecture="wav2vec2model")) == "audio"
    assert task_of(replace(images, architecture="bertmodel")) == "nlp"


def test_every_network_of_the_suite_is_who_the_suite_says() -> None:
    for entry in suite.committed().architectures:
        row = replace(data.row(entry.name, "", None, 1, 900.0), clock_mhz=None)
        assert (family_of(entry.name), task_of(row)) == (entry.family, entry.task)


def test_decoders_of_text_are_language_models_however_long_their_input() -> None:
    assert {"GPT-2", "Llama", "OPT", "BLOOM", "GPT-Neo", "Falcon", "Mamba", "Reformer"} <= language_models()
    assert not {"BERT", "T5", "BART", "MusicGen"} & language_models()  # MusicGen tells sounds


def test_unseen_language_models_are_those_of_the_suite() -> None:
    assert zero_shot_names() == {network.name for network in suite.committed().llms}
    assert all(is_language_model(name) for name in zero_shot_names())


def test_relatives_are_those_of_the_suite() -> None:
    assert "RoFormer" in kin()["BERT"]
    assert "BERT" in kin()["RoFormer"]
    assert all(family in related for family, related in kin().items())
