"""The passes of decoders that are measured, and how one of them is built and traced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from joulecast.errors import MeasurementError
from joulecast_calibration import suite
from joulecast_calibration.suite.contents import rows_of_pass
from joulecast_calibration.suite.decoders import (
    BATCH_SIZES,
    CONFIGURATIONS,
    CONTEXTS,
    LONGEST_SECONDS,
    PHASES,
    DecoderPass,
    Decoders,
    read_decoders,
)
from joulecast_calibration.suite.decoding import CachedPass, build_decoder
from joulecast_calibration.suite.survey.decoders import joined, survey, traced_pass, write_decoders

TINY = {
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 50,
}  # fmt: skip
EXPERTS = {
    "model_type": "olmoe", "hidden_size": 32, "intermediate_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "num_experts": 8, "num_experts_per_tok": 2, "vocab_size": 50,
}  # fmt: skip
BOTH = pytest.mark.parametrize("config", [TINY, EXPERTS], ids=["dense", "experts"])
PARAMETERS = {  # as the publishers of the models state them, in millions
    "decoder:smollm2-135m": 135, "decoder:qwen2-0.5b": 494, "decoder:llama-3.2-1b": 1236, "decoder:qwen2-1.5b": 1544,
    "decoder:granite-3.0-1b-a400m": 1335, "decoder:olmoe-1b-7b": 6919,
    "decoder:llama-3.2-3b": 3213, "decoder:qwen2-7b": 7616, "decoder:llama-3-8b": 8030,
}  # fmt: skip


def tiny(device: str = "cpu", config: Mapping[str, Any] = TINY) -> nn.Module:
    module = build_decoder(config, dtype=torch.float32, device=device)
    if device == "cpu":
        torch.manual_seed(0)
        for parameter in module.parameters():
            parameter.normal_(0.0, 0.3)
    return module


@pytest.fixture(scope="module")
def decoders() -> Decoders:
    return suite.committed().decoders


def test_the_decoders_have_the_parameters_of_the_models_they_are_named_for(decoders: Decoders) -> None:
    found = {each.name: round(each.counts["params"] / 1e6) for each in decoders.passes}
    assert found == PARAMETERS
    assert set(found) == set(CONFIGURATIONS)


def test_every_pass_is_measured_or_left_out_with_its_reason(decoders: Decoders) -> None:
    wanted = {(n, p, b, c) for n in CONFIGURATIONS for p in PHASES for b in BATCH_SIZES for c in CONTEXTS}
    measured = [each.key for each in decoders.passes]
    omitted = {(each.name, each.phase, each.batch_size, each.context_tokens): each.reason for each in decoders.omitted}
    assert len(measured) == len(set(measured))
    assert set(measured) | set(omitted) == wanted
    assert not set(measured) & set(omitted)
    assert "takes 85 GB" in omitted["decoder:llama-3-8b", "decode", 128, 4096]
    assert all(each.predicted_seconds <= LONGEST_SECONDS for each in decoders.passes)


def test_a_decode_pass_reads_the_weights_once_and_the_cache_of_every_sequence(decoders: Decoders) -> None:
    """Llama-3-8B: 7.5050 G weights in products of one token, and 131,072 more products a token of context."""
    for batch, context in ((1, 128), (8, 1024), (32, 4096)):
        found = decoders.find(("decoder:llama-3-8b", "decode", batch, context))
        assert found
        layers = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
        products = layers + 4096 * 128256 + 2 * 32 * 4096 * context
        assert found.counts["macs"] == batch * products
        cached = 2 * 32 * 8 * 128 * context * batch * 2
        assert found.counts["bytes_moved"] > 2 * (layers + 4096 * 128256) + cached


def test_contents_are_what_the_counts_sum_up(decoders: Decoders) -> None:
    for found in decoders.passes[::20]:
        assert sum(times for _, times in found.contents) == found.counts["rows"]
        assert sum(row.macs * times for row, times in rows_of_pass(found)) == found.counts["macs"]


@pytest.mark.slow
def test_a_committed_pass_is_traced_as_it_was() -> None:
    name = "decoder:smollm2-135m"
    module = build_decoder(CONFIGURATIONS[name], dtype=torch.bfloat16, device="meta")
    now = traced_pass(name, module, "decode", 8, 1024)
    before = suite.committed().decoders.find(now.key)
    assert before
    assert (now.counts, now.peak_bytes) == (before.counts, before.peak_bytes)


@BOTH
@pytest.mark.parametrize("tokens", [1, 7])
def test_a_step_on_a_filled_cache_gives_the_logits_of_the_whole_sequence(
    config: Mapping[str, Any], tokens: int
) -> None:
    """The oracle is transformers without a cache."""
    module = tiny(config=config)
    ids = torch.arange(2 * (tokens + 1)).reshape(2, -1) % TINY["vocab_size"]  # type: ignore[operator]
    whole = module(input_ids=ids, use_cache=False).logits[:, -1]
    prefill = CachedPass(module, phase="prefill", batch_size=2, context_tokens=tokens + 1)
    assert torch.allclose(prefill(ids, torch.arange(tokens + 1)[None])[:, -1], whole, atol=1e-4)
    step = CachedPass(module, phase="decode", batch_size=2, context_tokens=tokens + 1)
    for name, cached in step.named_buffers(recurse=False):
        cached.fill_(7.0)
        cached[:, :, :tokens] = prefill.get_buffer(name)[:, :, :tokens]
    assert torch.allclose(step(ids[:, -1:], torch.tensor([[tokens]]))[:, -1], whole, atol=1e-4)


@BOTH
def test_a_step_may_be_repeated_for_ever(config: Mapping[str, Any]) -> None:
    """It leaves the cache as it was, but for the place of the new token, and so a graph of it may be replayed."""
    step = CachedPass(tiny(config=config), phase="decode", batch_size=2, context_tokens=6)
    step.fill_cache(torch.Generator().manual_seed(0))
    fed = step.inputs(torch.Generator().manual_seed(1))
    before = {name: cached.clone() for name, cached in step.named_buffers(recurse=False)}
    first = step(**fed)
    after = {name: cached.clone() for name, cached in step.named_buffers(recurse=False)}
    assert torch.equal(step(**fed), first)
    assert all(torch.equal(before[name][:, :, :5], after[name][:, :, :5]) for name in before)
    assert all(torch.equal(after[name], cached) for name, cached in step.named_buffers(recurse=False))


@BOTH
def test_no_pass_waits_for_a_value(config: Mapping[str, Any]) -> None:
    """On the meta device there are none: what can be run there can be captured."""
    for phase in PHASES:
        own = CachedPass(tiny("meta", config), phase=phase, batch_size=3, context_tokens=5)
        assert own(**own.inputs()).shape == (3, 1, TINY["vocab_size"])


def test_experts_that_no_token_meets_are_not_read() -> None:
    """A step of one sequence meets two of eight experts at most; a long prompt meets all of them."""
    config = {**EXPERTS, "num_hidden_layers": 1}
    module = build_decoder(config, dtype=torch.bfloat16, device="meta")
    step = traced_pass("decoder:olmoe-1b-7b", module, "decode", 1, 8)
    prompt = traced_pass("decoder:olmoe-1b-7b", module, "prefill", 8, 128)

    def experts_read(found: DecoderPass) -> float:
        """Return the experts whose first matrix, of gate and up (32 × 2 × 16), is read."""
        rows = [row for row, _ in rows_of_pass(found) if row.contractions and row.contractions[0].k == 32]
        return max(row.weight_numel for row in rows if row.contractions[0].n == 2 * 16) / (2 * 32 * 16)

    assert 1 <= experts_read(step) <= 2
    assert experts_read(prompt) == pytest.approx(8, rel=0.01)


def test_a_survey_of_some_decoders_keeps_the_others() -> None:
    dense = survey({"decoder:qwen2-7b": TINY}, batch_sizes=(1,), contexts=(8,))
    mixed = survey({"decoder:olmoe-1b-7b": EXPERTS}, batch_sizes=(1,), contexts=(8,))
    found = joined(dense, mixed)
    assert [each.name for each in found.passes] == 2 * ["decoder:olmoe-1b-7b"] + 2 * ["decoder:qwen2-7b"]


def contents(each: DecoderPass) -> list[str]:
    return sorted(map(repr, rows_of_pass(each)))


def test_a_survey_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = survey({"decoder:tiny": TINY}, batch_sizes=(1, 2), contexts=(8,))
    write_decoders(tmp_path, found)
    again = read_decoders(tmp_path)
    bare = [replace(each, contents=()) for each in found.passes]
    assert [replace(each, contents=()) for each in again.passes] == bare
    assert [contents(each) for each in again.passes] == [contents(each) for each in found.passes]
    assert [each.key[1:] for each in found.passes] == [("prefill", 1, 8), ("prefill", 2, 8), ("decode", 1, 8),
                                                       ("decode", 2, 8)]  # fmt: skip


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"decoders.json.gz cannot be read .*: rebuild it"):
        read_decoders(tmp_path)
