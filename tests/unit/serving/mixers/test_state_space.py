"""State spaces: products, convolution, scans by formula, and a state that does not grow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast.blocks import Norm, StateSpace
from joulecast.errors import WorkloadError
from joulecast.serving.memory import cache_bytes
from joulecast.serving.mixers.scans import chunks
from joulecast.serving.passes import Pass, Sequences, decode, prefill
from joulecast.serving.rows import rows
from tests.unit.serving.small import GATED_DELTA, MAMBA, MAMBA2, macs, model, named

EACH = pytest.mark.parametrize("block", [MAMBA, MAMBA2, GATED_DELTA], ids=lambda block: block.kind)

PRODUCTS = {
    "mamba": 64 * 2 * 128 + 128 * (4 + 2 * 16) + 4 * 128 + 128 * 64,
    "mamba2": 64 * (2 * 128 + 2 * 2 * 16 + 8) + 128 * 64,
    "gated-delta": 64 * (2 * 4 * 8 + 2 * 128) + 64 * 16 + 128 * 64,
}
CHANNELS = {"mamba": 128, "mamba2": 128 + 2 * 2 * 16, "gated-delta": 128 + 2 * 4 * 8}
OTHER_PARAMS = {
    "mamba": 128 * 5 + 128 + 128 * 17,  # convolution with bias, step bias, decay and skip
    "mamba2": 192 * 5 + 3 * 8 + 128,  # convolution with bias; decay, skip, step bias; normalisation
    "gated-delta": 192 * 4 + 2 * 8 + 16,
}


def test_a_prompt_is_read_in_chunks_and_a_rest() -> None:
    assert chunks(70, 32) == ((2, 32), (1, 6))
    assert chunks(64, 32) == ((2, 32),)
    assert chunks(6, 32) == ((1, 6),)


@EACH
def test_products_and_convolution(block: StateSpace) -> None:
    found = rows(model(block), prefill(1, 40))
    scan = named(found, "scan")
    assert macs(found) - scan.macs == 40 * (PRODUCTS[block.kind] + CHANNELS[block.kind] * 4)
    assert sum(row.params for row in found) == PRODUCTS[block.kind] + OTHER_PARAMS[block.kind]


@pytest.mark.parametrize(
    ("block", "tokens", "scan"),
    [
        (MAMBA, 40, 40 * 2 * 128 * 16),
        (MAMBA2, 32, 2 * 32 * 32 * 16 + 8 * 32 * 32 * 16 + 2 * 8 * 32 * 16 * 16),
        (MAMBA2, 40, (2 * 16 + 8 * 16) * (32 * 32 + 8 * 8) + 2 * 8 * 40 * 16 * 16),
        (GATED_DELTA, 64, 8 * (64 * 64 * (3 * 8 + 2 * 16) + 64 * 63 * 62 // 6 + 3 * 64 * 8 * 16)),
        (GATED_DELTA, 3, 8 * (9 * (3 * 8 + 2 * 16) + 1 + 3 * 3 * 8 * 16)),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_scans_of_prompts(block: StateSpace, tokens: int, scan: int) -> None:
    found = named(rows(model(block), prefill(1, tokens)), "scan")
    assert found.macs == scan == sum(each.macs for each in found.contractions)
    assert named(rows(model(block), prefill(5, tokens)), "scan").macs == 5 * scan


@pytest.mark.parametrize(
    ("block", "update"), [(MAMBA, 2 * 128 * 16), (MAMBA2, 2 * 8 * 16 * 16), (GATED_DELTA, 3 * 8 * 8 * 16)]
)
def test_updates_by_one_token(block: StateSpace, update: int) -> None:
    assert named(rows(model(block), decode(3, 1000)), "scan").macs == 3 * update


@EACH
def test_a_step_multiplies_as_a_prompt_of_one_token_does_but_for_its_scan(block: StateSpace) -> None:
    prompt, step = rows(model(block), prefill(3, 1)), rows(model(block), decode(3, 9))
    assert {row.name: row.macs for row in prompt if not row.name.endswith("scan")} == {
        row.name: row.macs for row in step if not row.name.endswith("scan")
    }


@EACH
def test_decode_does_not_depend_on_context(block: StateSpace) -> None:
    assert rows(model(block), decode(3, 10)) == rows(model(block), decode(3, 100_000))


@EACH
def test_a_mixed_pass_counts_parameters_once(block: StateSpace) -> None:
    both = Pass(groups=(Sequences(count=1, new_tokens=8), Sequences(count=3, new_tokens=1, cached_tokens=8)))
    alone = (rows(model(block), prefill(1, 8)), rows(model(block), decode(3, 8)))
    found = rows(model(block), both)
    assert sum(row.params for row in found) == sum(row.params for row in alone[0])
    assert macs(found) == sum(macs(each) for each in alone)


@EACH
def test_cards_share_heads_and_channels(block: StateSpace) -> None:
    one, two = rows(model(block), prefill(2, 40)), rows(model(block), prefill(2, 40), cards=2)
    for row in one:
        own = named(two, row.name)
        shared = 1 if row.params == own.params and row.name.endswith(".norm") else 2
        assert (own.macs * 2, own.params * shared) == (row.macs, row.params)
    assert named(two, "mixer.all_reduce" if block.path == "mixer" else "linear_attn.all_reduce").input_numel == 80 * 64


def test_mamba_sums_the_inputs_of_its_step_over_the_cards() -> None:
    assert named(rows(model(MAMBA), prefill(1, 8), cards=2), "x_proj.all_reduce").input_numel == 8 * (4 + 32)


def test_a_single_group_of_keys_is_repeated_on_every_card() -> None:
    alone = replace(MAMBA2, groups=1)
    assert named(rows(model(alone), prefill(1, 8), cards=4), "conv1d").params == (32 + 2 * 16) * 5


def test_normalised_steps_are_parameters() -> None:
    normed = replace(MAMBA, step_norms=tuple(Norm(kind="rms", width=width) for width in (4, 16, 16)))
    found, plain = (sum(row.params for row in rows(model(each), prefill(1, 8))) for each in (normed, MAMBA))
    assert found - plain == 36


@pytest.mark.parametrize(
    ("block", "elements"),
    [(MAMBA, 128 * 16 + 128 * 3), (MAMBA2, 8 * 16 * 16 + 192 * 3), (GATED_DELTA, 8 * 8 * 16 + 192 * 3)],
)
def test_states_take_the_same_memory_at_any_length(block: StateSpace, elements: int) -> None:
    assert cache_bytes(model(block), 1) == cache_bytes(model(block), 100_000) == 2 * elements
    assert cache_bytes(model(block), 1, cards=2) == elements


def test_a_state_may_be_kept_in_more_bits_than_activations() -> None:
    wide = replace(MAMBA2, state_dtype="float32")
    assert cache_bytes(model(wide), 9) == 4 * 8 * 16 * 16 + 2 * 192 * 3
    moved = [named(rows(model(each), decode(1, 9)), "scan").bytes_moved for each in (MAMBA2, wide)]
    assert moved[1] - moved[0] == 2 * 2 * 8 * 16 * 16


def test_heads_that_cards_cannot_share_are_refused() -> None:
    with pytest.raises(WorkloadError, match="inner width of a state space of small is 128, which 3 cards"):
        rows(model(MAMBA2), prefill(1, 8), cards=3)
