"""Rows of mixtures of experts: exact products, the weights of touched experts, one sum over the cards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast.blocks import FeedForward
from joulecast.errors import WorkloadError
from joulecast.layers import Contraction
from joulecast.serving.experts import spread, touched_experts
from joulecast.serving.passes import decode, prefill
from joulecast.serving.rows import rows
from tests.unit.serving.small import FP8, MIXTRAL_EXPERTS, PLAIN, macs, model, named

MIXTRAL = model(block=MIXTRAL_EXPERTS)
EXPERT = 3 * 4096 * 14336
SHARED = FeedForward(path="shared_expert", width=4096, intermediate=2048, gated=True)


@pytest.mark.parametrize(
    ("count", "chosen", "tokens", "touched"),
    [(8, 2, 1, 2), (8, 2, 2, 3.5), (8, 2, 3, 4.625), (256, 8, 32, 163.31), (4, 4, 9, 4), (128, 4, 100_000, 128)],
)
def test_the_expected_number_of_touched_experts(count: int, chosen: int, tokens: int, touched: float) -> None:
    assert touched_experts(count, chosen, tokens) == pytest.approx(touched, abs=0.005)


def test_products_are_spread_over_the_touched_experts_without_loss() -> None:
    assert spread(7, 3, outputs=5, inputs=2) == (
        Contraction(batch=2, m=2, n=5, k=2),
        Contraction(batch=1, m=3, n=5, k=2),
    )
    assert spread(6, 3, outputs=5, inputs=2) == (Contraction(batch=3, m=2, n=5, k=2),)


def test_the_macs_are_those_of_the_chosen_experts_and_the_router() -> None:
    assert macs(rows(MIXTRAL, prefill(1, 128))) == 128 * 2 * EXPERT + 128 * 4096 * 8


def test_a_small_batch_reads_the_experts_that_it_touches_and_holds_all() -> None:
    found = rows(MIXTRAL, decode(2, 128))
    up, down = named(found, "gate_up_proj"), named(found, "down_proj")
    assert (up.op_type, up.params) == ("GroupedGemm", 8 * 2 * 4096 * 14336)
    assert up.weight_numel == 3.5 * 2 * 4096 * 14336
    assert up.contractions == (Contraction(batch=4, m=1, n=2 * 14336, k=4096),)
    assert down.bytes_moved == 2 * (3.5 * 4096 * 14336 + 4 * 14336 + 4 * 4096)


def test_kernels_run_in_the_order_of_the_engine() -> None:
    shared = model(block=replace(MIXTRAL_EXPERTS, shared=SHARED, shared_gate=True))
    assert [row.op_type for row in rows(shared, prefill(1, 4), cards=2)] == [
        "Gemm", "TopKSoftmax", "AlignExperts", "GroupedGemm", "SiluAndMul", "GroupedGemm", "SumExperts",
        "Gemm", "SiluAndMul", "Gemm", "Gemm", "SigmoidAndMul", "Add", "AllReduce",
    ]  # fmt: skip


def test_shared_experts_take_every_token() -> None:
    shared = model(block=replace(MIXTRAL_EXPERTS, shared=SHARED, shared_gate=True))
    more = macs(rows(shared, prefill(1, 128))) - macs(rows(MIXTRAL, prefill(1, 128)))
    assert more == 128 * (3 * 4096 * 2048 + 4096)


def test_biases_of_experts_and_router_are_parameters() -> None:
    expert = replace(MIXTRAL_EXPERTS.expert, bias=True)
    biased = model(block=replace(MIXTRAL_EXPERTS, expert=expert, router_bias=True))
    more = sum(row.params for row in rows(biased, prefill(1, 1))) - sum(
        row.params for row in rows(MIXTRAL, prefill(1, 1))
    )
    assert more == 8 * (2 * 14336 + 4096) + 8


def test_a_correction_is_read_and_is_no_parameter() -> None:
    corrected = rows(model(block=replace(MIXTRAL_EXPERTS, correction=True)), prefill(1, 1))
    choice = named(corrected, "topk")
    assert (choice.weight_numel, choice.params) == (8, 0)


def test_experts_may_be_stored_apart_from_the_rest() -> None:
    paths = {f"model.layers.0.block_sparse_moe.experts.{name}": FP8 for name in ("gate_proj", "up_proj", "down_proj")}
    found = rows(replace(MIXTRAL, stored_otherwise=paths), decode(1, 8))
    assert (named(found, "gate_up_proj").dtype, named(found, ".gate").dtype) == ("float8", "bfloat16")
    assert named(found, "gate_up_proj").bytes_moved == 2 * 2 * 4096 * 14336 + 2 * (4096 + 2 * 2 * 14336)


def test_cards_share_each_expert_and_repeat_the_router() -> None:
    one, four = rows(MIXTRAL, prefill(1, 128)), rows(MIXTRAL, prefill(1, 128), cards=4)
    for row in one:
        own = named(four, row.name)
        assert own.macs * (1 if row.name.endswith(".gate") else 4) == row.macs
        assert own.params * (1 if row.name.endswith(".gate") else 4) == row.params
    assert named(four, "all_reduce").input_numel == 128 * 4096


def test_a_degree_that_does_not_divide_the_experts_is_refused() -> None:
    with pytest.raises(WorkloadError, match=r"intermediate size of an expert of small is 14336, which 3 cards"):
        rows(MIXTRAL, prefill(1, 8), cards=3)


@pytest.mark.parametrize("tokens", [1, 2, 7, 64, 1000])
def test_more_tokens_and_more_experts_never_read_less(tokens: int) -> None:
    def read(count: int, given: int) -> int:
        found = rows(model(block=replace(MIXTRAL_EXPERTS, count=count)), prefill(1, given))
        return sum(row.bytes_moved for row in found)

    assert read(8, tokens) <= read(8, tokens + 1)
    assert read(8, tokens) <= read(9, tokens)


def test_storage_that_engines_cannot_merge_is_refused() -> None:
    mixed = {"model.layers.0.block_sparse_moe.experts.up_proj": FP8}
    with pytest.raises(WorkloadError, match="are stored in bfloat16"):
        rows(replace(MIXTRAL, stored_otherwise=mixed, storage=PLAIN), prefill(1, 8))
