"""The shipped networks say what they are and take the sizes of a measured row."""

from __future__ import annotations

import pytest

from joulecast.energy import networks


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ("resnet101", ""),
        ("vitmodel", "large"),
        ("mobilevitmodel", "small"),
        ("bertmodel", "large"),
        ("gpt2model", "gpt2"),
        ("optmodel", "opt-1p3b"),
        ("qwen2model", "qwen2-1p5b"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_network_of_the_set_is_there_in_both_types(model: str, config: str, dtype: str) -> None:
    network = networks.find(model=model, config=config, dtype=dtype)
    assert (network.model, network.config, network.dtype) == (model, config, dtype)
    assert network.skeleton()
    assert network.origin


def test_an_unknown_network_is_an_error() -> None:
    with pytest.raises(KeyError, match="alexnet"):
        networks.find(model="alexnet", config="", dtype="float32")


def test_sizes_bind_batch_and_sequence_of_every_input() -> None:
    workload = networks.installed()["bert-large-float32"].workload(batch_size=8, sequence_length=512)
    assert workload.input_shapes == {"input_ids": (8, 512), "attention_mask": (8, 512)}
    assert networks.installed()["vit-large-float32"].workload(batch_size=16).input_shapes == {
        "pixel_values": (16, 3, 224, 224)
    }


def test_a_text_network_needs_a_sequence() -> None:
    with pytest.raises(ValueError, match="sequence_length"):
        networks.installed()["gpt2-float32"].workload(batch_size=1)
