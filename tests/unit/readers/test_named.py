from __future__ import annotations

import resource
import socket
import sys
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import torch
import transformers

from joulecast.errors import JoulecastError, ModelReferenceError, WorkloadError
from joulecast.readers.named import Entry, build, entries, known, libraries
from joulecast.readers.named.catalogue import listed
from joulecast.readers.named.initialisation import Uninitialised

# Trainable elements as the publishers of these networks give them.
PUBLISHED = {
    "torchvision:resnet50": 25_557_032,
    "torchvision:lraspp_mobilenet_v3_large": 3_221_538,
    "timm:vit_tiny_patch16_224": 5_717_416,
    "transformers:bert-base-uncased": 109_514_298,
    "transformers:gpt2": 124_439_808,
    "transformers:opt-125m": 125_239_296,
    "transformers:bloom-560m": 559_214_592,
    "transformers:gpt-neo-1.3B": 1_315_575_808,
    "transformers:t5-small": 60_506_624,
    "transformers:Meta-Llama-3-8B": 8_030_261_248,
    "transformers:whisper-tiny": 37_760_640,
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a named source must open no connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.slow
@pytest.mark.parametrize("source", PUBLISHED)
def test_a_network_has_the_parameters_that_its_publisher_says(source: str) -> None:
    module = build(source).module
    assert sum(parameter.numel() for parameter in module.parameters()) == PUBLISHED[source]
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_values_are_neither_drawn_nor_stored_unless_asked_for() -> None:
    state = torch.get_rng_state()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    build("transformers:pythia-6.9b")  # 27 GB, had they been written
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB
    build("timm:resnet10t")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.slow
def test_what_a_network_reads_while_it_is_built_is_true() -> None:
    """Depths, widths and relative positions come out of tensors, and stay what initialisation makes of them."""
    for source in ("torchvision:regnet_y_400mf", "torchvision:swin_t", "transformers:t5-small"):
        quick, initialised = build(source).module, build(source, initialise=True).module
        assert [p.shape for p in quick.parameters()] == [p.shape for p in initialised.parameters()]
        for mine, theirs in zip(quick.buffers(), initialised.buffers(), strict=True):
            assert torch.equal(mine, theirs)


def test_an_initialised_network_runs() -> None:
    built = build("torchvision:squeezenet1_1", batch_size=2, initialise=True)
    with torch.inference_mode():
        logits = built.module(*built.args, **built.kwargs)
    assert logits.shape == (2, 1000)
    assert torch.isfinite(logits).all()
    assert logits.std() > 0
    assert built.args[0].std() > 0.9


def test_an_initialised_text_model_runs_on_ids_that_it_knows() -> None:
    built = build("transformers:bert_uncased_L-2_H-128_A-2", batch_size=2, sequence_length=16, initialise=True)
    ids = built.kwargs["input_ids"]
    assert ids.shape == (2, 16)
    assert built.inputs["input_ids"].below == 30522
    assert 0 <= int(ids.min()) < int(ids.max()) < 30522
    with torch.inference_mode():
        assert torch.isfinite(built.module(*built.args, **built.kwargs).last_hidden_state).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "said", "shapes"),
    [
        ("torchvision:r3d_18", {"batch_size": 4}, {"x": (4, 3, 16, 112, 112)}),
        ("timm:test_vit", {}, {"x": (1, 3, 160, 160)}),  # not listed: the size that timm says
        ("torchvision:vgg13", {}, {"x": (1, 3, 224, 224)}),
        ("transformers:openai-community/gpt2", {}, {"input_ids": (1, 128)}),
        ("transformers:gpt2", {"sequence_length": 512}, {"input_ids": (1, 512)}),
        ("transformers:gpt2", {"input_shapes": {"input_ids": (1, 7)}}, {"input_ids": (1, 7)}),
        ("transformers:t5-small", {"batch_size": 2}, {"input_ids": (2, 128), "decoder_input_ids": (2, 8)}),
        ("transformers:wav2vec2-base-960h", {"seconds": 10}, {"input_values": (1, 160_000)}),
        ("transformers:s2t-small-librispeech-asr", {}, {"input_features": (1, 100, 80), "decoder_input_ids": (1, 4)}),
        ("transformers:whisper-tiny", {"seconds": 30}, {"input_features": (1, 80, 3000), "decoder_input_ids": (1, 4)}),
    ],
)
def test_a_network_is_fed_what_it_takes(source: str, said: dict[str, Any], shapes: dict[str, Any]) -> None:
    built = build(source, **said)
    fed = built.kwargs or dict(zip(built.inputs, built.args, strict=True))
    assert {name: tuple(tensor.shape) for name, tensor in fed.items()} == shapes
    assert {name: spec.shape for name, spec in built.inputs.items()} == shapes
    assert built.name == source


def test_a_dtype_is_that_of_weights_and_inputs() -> None:
    vision = build("torchvision:squeezenet1_1", dtype="bfloat16")
    assert {p.dtype for p in vision.module.parameters()} | {vision.args[0].dtype} == {torch.bfloat16}
    text = build("transformers:pythia-70m", dtype="float16")
    assert {p.dtype for p in text.module.parameters()} == {torch.float16}
    assert text.kwargs["input_ids"].dtype == torch.int64
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    ("source", "said", "sentence"),
    [
        ("torchvision:resnet50", {"sequence_length": 128}, "does not read text"),
        ("transformers:gpt2", {"seconds": 1}, "does not read audio"),
        ("transformers:whisper-tiny", {"seconds": 1}, "30 s of audio at a time"),
        ("transformers:wav2vec2-base-960h", {"seconds": 0}, "give 1 or more"),
        ("transformers:gpt2", {"sequence_length": 0}, "give 1 or more"),
        ("transformers:gpt2", {"batch_size": 0}, "0 batch"),
        ("transformers:gpt2", {"dtype": "int8"}, "float32, bfloat16, float16"),
        ("transformers:gpt2", {"input_shapes": {"image": (1, 3)}}, "no input 'image': it is fed input_ids"),
        ("transformers:gpt2", {"input_shapes": {"input_ids": (128,)}}, "input_ids=batch,128"),
        ("transformers:gpt2", {"input_shapes": {"input_ids": (8, 128)}}, "at batch size 1"),
    ],
)
def test_what_a_network_cannot_be_fed_is_refused(source: str, said: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WorkloadError, match=sentence):
        build(source, **said)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("torchvision:resnet5", "did you mean .*torchvision:resnet50"),
        ("timm:vit_base_patch16_22", "timm:vit_base_patch16_224"),
        ("transformers:gpt-neo-1.3b", "transformers:gpt-neo-1.3B"),
        ("transformers:", "one of them is transformers:"),
        ("transformers:bert-base", "did you mean transformers:bert-base-uncased.* as a module"),
        ("torchvision:fasterrcnn_resnet50_fpn", "not among the"),
        ("resnet50", "torchvision:NAME"),
    ],
)
def test_an_unknown_name_brings_the_closest_ones(source: str, sentence: str) -> None:
    with pytest.raises(ModelReferenceError, match=sentence):
        build(source)


@pytest.mark.parametrize(
    ("source", "package"),
    [("torchvision:resnet50", "torchvision"), ("timm:any", "timm"), ("transformers:gpt2", "transformers")],
)
def test_without_its_library_a_source_says_how_to_get_it(
    source: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(JoulecastError, match=r"pip install 'joulecast\[torch\]'") as caught:
        build(source)
    assert caught.value.reason == "MissingDependency"


def test_an_older_library_that_lacks_a_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    older = SimpleNamespace(__name__="transformers", __version__="5.0.0")
    monkeypatch.setattr(libraries, "package", lambda library: older)
    with pytest.raises(
        ModelReferenceError, match=r"transformers 5\.0\.0 .* no GPT2LMHeadModel, which transformers:gpt2"
    ):
        build("transformers:gpt2")


ALWAYS_TIED = {"transformers:flan-t5-base", "transformers:mt5-small", "transformers:umt5-small"}
"""transformers 5 takes an untied head of this lineage for the sign that its input is not scaled."""


CONFIGURED = [entry for entry in listed() if entry.library == "transformers"]


@pytest.mark.slow
@pytest.mark.parametrize("entry", CONFIGURED, ids=lambda entry: entry.name)
def test_every_setting_of_a_configuration_is_heard(entry: Entry) -> None:
    configuration = getattr(transformers, entry.model_class).config_class(**entry.config)
    rotary = getattr(configuration, "rope_parameters", None) or {}
    for name, value in entry.config.items():
        if isinstance(value, dict) or (name == "tie_word_embeddings" and entry.source in ALWAYS_TIED):
            continue
        heard = getattr(configuration, name, None)
        heard = rotary.get("partial_rotary_factor") if heard is None else heard
        assert (list(heard) if isinstance(heard, tuple) else heard) == value, name


def test_the_suite_has_what_it_needs() -> None:
    tasks = [entry.task for entry in entries()]
    assert tasks.count("vision") >= 200
    assert tasks.count("nlp") >= 80
    assert tasks.count("audio") >= 45
    assert {entry.source for entry in entries() if entry.zero_shot} == {
        "transformers:gpt-neo-1.3B",
        "transformers:bloom-560m",
        "transformers:opt-125m",
    }
    assert len(set(known())) == len(known()) > len(entries())
    assert all(entry.family for entry in listed())
    assert all(source.startswith("timm:") for source in known("timm"))


def test_memory_that_no_draw_would_accept_is_left_as_it_is() -> None:
    """torch draws truncated normals until all fit, which untouched memory may never do."""
    tensor = torch.full((4,), 8192.0)
    with Uninitialised():
        torch.nn.init.trunc_normal_(tensor)
    assert tensor.tolist() == [8192.0] * 4
    torch.nn.init.trunc_normal_(tensor)
    assert tensor.abs().max() <= 2
