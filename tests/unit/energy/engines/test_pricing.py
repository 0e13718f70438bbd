"""The forecast of an engine's pass: what it must hold whatever the coefficients are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast.accelerators.catalogue import find, installed
from joulecast.energy.engines.coefficients import engines
from joulecast.energy.engines.pricing import gap_watts, law_of, price_pass, price_passes, step_seconds
from joulecast.energy.profile import AcceleratorProfile
from joulecast.errors import NotCalibratedError
from joulecast.layers import LayerProfile
from tests.unit.energy.engines.models import FP8, FP8_BLOCKS, INT4, Storage, decoding, filling, renamed

H100 = find("NVIDIA-H100-80GB-HBM3")
A100 = find("NVIDIA-A100-SXM4-80GB")
WITH_TABLES = [find(product) for product in engines()["vllm"].cards]
WITH_BF16 = [profile for profile in installed().values() if "bf16" in profile.peak_flops]


def test_a_step_of_one_sequence_takes_little_longer_than_reading_the_weights() -> None:
    rows = decoding(1)
    reading = sum(row.bytes_moved for row in rows) / H100.bandwidth_bytes_per_second
    assert reading < price_pass(rows, H100).busy_seconds < 2 * reading


def test_a_long_prefill_takes_little_longer_than_its_products_at_peak() -> None:
    rows = filling(8192)
    executed = 2 * sum(each.macs for row in rows for each in row.contractions)
    at_peak = executed / H100.peak_flops["bf16"]
    assert at_peak < price_pass(rows, H100).busy_seconds < 2 * at_peak


def test_many_passes_cost_what_each_costs_alone() -> None:
    passes = [decoding(1), decoding(64, 512), filling(512)]
    together = price_passes(passes, H100)
    alone = [price_pass(rows, H100) for rows in passes]
    assert [each.joules for each in together] == pytest.approx([each.joules for each in alone])
    assert [each.busy_seconds for each in together] == pytest.approx([each.busy_seconds for each in alone])


def test_the_last_passes_have_an_entry_for_each_row() -> None:
    passes = [decoding(1), filling(512)]
    first, last = price_passes(passes, H100, with_layers=1)
    assert first.layers == ()
    assert last.layers == price_pass(passes[1], H100).layers


@pytest.mark.parametrize("rows", [decoding(1), filling(8192)], ids=["decode", "capped prefill"])
def test_the_entries_of_the_rows_sum_to_the_pass(rows: tuple[LayerProfile, ...]) -> None:
    found = price_pass(rows, H100)
    assert [layer.name for layer in found.layers] == [row.name for row in rows]
    assert sum(layer.joules for layer in found.layers) == pytest.approx(found.joules)
    assert sum(layer.seconds for layer in found.layers) == pytest.approx(found.busy_seconds)
    assert found.power_watts == pytest.approx(found.joules / found.busy_seconds)


@pytest.mark.parametrize("profile", WITH_BF16, ids=lambda profile: profile.product)
def test_no_card_draws_more_than_its_limit(profile: AcceleratorProfile) -> None:
    for found in price_passes([decoding(256, 4096), filling(8192)], profile):
        assert 0 < found.power_watts <= profile.power_limit_watts


@pytest.mark.parametrize("profile", WITH_TABLES, ids=lambda profile: profile.product)
def test_more_sequences_longer_caches_and_longer_prompts_take_longer_and_cost_more(profile: AcceleratorProfile) -> None:
    growing = (
        [decoding(sequences, 512) for sequences in (1, 2, 7, 8, 9, 31, 64, 65, 200)],
        [decoding(16, cached) for cached in (1, 100, 1000, 1001, 1500)],
        [filling(tokens) for tokens in (1, 2, 127, 128, 129, 1000, 1001, 4000)],
    )
    for passes in growing:
        found = price_passes(passes, profile)
        assert [each.busy_seconds for each in found] == sorted(each.busy_seconds for each in found)
        assert [each.joules for each in found] == sorted(each.joules for each in found)


@pytest.mark.parametrize("storage", [FP8, INT4], ids=["fp8", "int4"])
def test_narrow_weights_cost_less_of_a_step(storage: Storage) -> None:
    plain, narrow = price_passes([decoding(1), decoding(1, storage=storage)], H100)
    assert narrow.busy_seconds < 0.75 * plain.busy_seconds
    assert narrow.joules < 0.75 * plain.joules


def test_an_arithmetic_that_the_card_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(NotCalibratedError, match=r"multiplies in fp8.*NVIDIA-A100-SXM4-80GB.*one of fp32.*bf16, int8"):
        price_pass(decoding(storage=FP8), A100)


def test_cards_that_share_a_model_take_less_time_and_wait_for_one_another() -> None:
    one, four = price_pass(decoding(), H100), price_pass(decoding(cards=4), H100, cards=4)
    assert one.busy_seconds / 4 < four.busy_seconds < one.busy_seconds
    waiting = [layer for layer in four.layers if layer.op_type == "AllReduce"]
    assert len(waiting) == 65 and all(layer.seconds > 0 for layer in waiting)


def test_a_lower_clock_lengthens_products_and_lowers_power() -> None:
    usual, slow = (price_pass(filling(8192), H100, clock_mhz=mhz) for mhz in (None, 1000))
    assert slow.busy_seconds > 1.3 * usual.busy_seconds
    assert slow.power_watts <= usual.power_watts


def test_rows_that_cannot_be_priced_lower_the_coverage_and_are_named() -> None:
    rows = decoding(1)
    odd = tuple(renamed(row, dtype="complex64") if row.op_type == "Gemm" else row for row in rows)
    found = price_pass(odd, H100)
    assert found.coverage.unsupported == ("Gemm",)
    assert found.coverage.flops < 0.1 and found.coverage.ops < 1
    assert {layer.op_type for layer in found.layers if not layer.priced} == {"Gemm"}
    assert price_pass(rows, H100).coverage.flops == 1


def test_an_unknown_engine_is_refused_with_those_there_are() -> None:
    with pytest.raises(NotCalibratedError, match="unknown engine 'tgi': choose one of vllm, sglang"):
        price_pass(decoding(), H100, engine="tgi")


def test_a_simulated_profile_prices_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOULECAST_ALLOW_SIMULATED_PROFILES", raising=False)
    with pytest.raises(NotCalibratedError, match="simulated"):
        price_pass(decoding(), replace(H100, simulated=True))


def test_a_step_has_a_part_for_each_sequence_and_says_where_it_is_from() -> None:
    assert step_seconds("vllm", 0) > 0
    assert step_seconds("vllm", 200) - step_seconds("vllm", 100) == pytest.approx(
        step_seconds("vllm", 100) - step_seconds("vllm", 0)
    )
    assert engines()["vllm"].step.origin


def test_a_card_that_waits_draws_what_its_profile_says() -> None:
    law = H100.law
    assert gap_watts(H100) == pytest.approx(law.gap_watts + law.clock_watts)
    assert gap_watts(H100, clock_mhz=1000) < gap_watts(H100)


def test_scales_of_blocks_slow_the_products_of_an_l40s() -> None:
    """Its blockwise kernel takes half as long again where products compute, and reads weights as fast as any."""
    l40s = find("NVIDIA-L40S")
    plain, blocks = (price_pass(filling(4096, storage), l40s).busy_seconds for storage in (FP8, FP8_BLOCKS))
    assert 1.1 < blocks / plain < 1.7
    plain, blocks = (price_pass(decoding(4, storage=storage), l40s).busy_seconds for storage in (FP8, FP8_BLOCKS))
    assert blocks == pytest.approx(plain, rel=0.02)


def test_an_rtx_pro_6000_has_seconds_of_its_own_and_joules_of_its_data_sheet() -> None:
    """Its tables hold no watts, and next to no products with scales of blocks."""
    server, max_q = (
        find(f"NVIDIA-RTX-PRO-6000-Blackwell-{edition}-Edition") for edition in ("Server", "Max-Q-Workstation")
    )
    engine = engines()["vllm"]
    card = engine.card_of(server.product, server.architecture)
    assert card.tables == (server.product,) and card.metered == () and "product.fp8_block.rows" not in card.held_out
    assert engine.card_of(max_q.product, max_q.architecture) is engine.generations["Blackwell GB20x"]
    for rows in (decoding(4), decoding(4, storage=FP8_BLOCKS), filling(2048)):
        fast, slow = (price_pass(rows, each) for each in (server, max_q))
        assert {layer.origin for layer in fast.layers} == {"datasheet"}
        assert {layer.origin for layer in slow.layers} == {"transferred"}  # eager networks were timed on it
        assert fast.power_watts <= server.power_limit_watts and slow.power_watts <= max_q.power_limit_watts


def test_the_power_limit_holds_over_kernels_and_the_wait_after_them() -> None:
    """A card's control averages over many passes: kernels may draw more if the card rests between them."""
    nvl = find("NVIDIA-H100-NVL")
    limit = engines()["vllm"].generations["Hopper"].held_share * nvl.power_limit_watts
    alone, short, long = (price_pass(decoding(64, 512), nvl, waiting_seconds=wait) for wait in (0.0, 5e-4, 0.1))
    assert alone.capped and alone.power_watts == pytest.approx(limit)
    assert short.step_joules / short.step_seconds == pytest.approx(limit) and short.power_watts > limit
    assert not long.capped and long.joules > short.joules
    for found in (short, long):
        assert found.busy_seconds == alone.busy_seconds
        assert found.waiting_joules == pytest.approx(found.waiting_seconds * gap_watts(nvl))
        assert sum(layer.joules for layer in found.layers) == pytest.approx(found.joules)


def test_a_card_known_by_its_data_sheet_alone_takes_the_energies_of_its_measured_die_at_its_own_clock() -> None:
    nvl, h200 = find("NVIDIA-H100-NVL"), find("NVIDIA-H200")
    card = engines()["vllm"].generations["Hopper"]
    found = law_of(nvl, card)
    assert card.die is not None and card.die.cards == ("NVIDIA-H100-80GB-HBM3", "NVIDIA-H200")
    assert H100.law.byte_joules < found.byte_joules < h200.law.byte_joules
    assert 0.7 < found.flop_joules["bf16"] / h200.law.flop_joules["bf16"] < 1
    assert found.static_watts == nvl.law.static_watts, "what a board draws at rest is the board's"
    for measured in (H100, h200):
        assert law_of(measured, engines()["vllm"].cards[measured.product]) == measured.law
    other = replace(nvl, architecture="Hopper GH999")
    assert law_of(other, card) == nvl.law, "another die"


def test_a_card_with_fewer_watts_than_those_that_were_fitted_computes_slower() -> None:
    """An H100 NVL has 0.48 W a TFLOP/s, the cards of its chip with tables 0.71."""
    nvl = find("NVIDIA-H100-NVL")
    rich = replace(nvl, power_limit_watts=nvl.power_limit_watts * 0.71 / 0.48)
    slow, fast = (price_pass(filling(8192), card).busy_seconds for card in (nvl, rich))
    assert 1.08 * fast < slow < 1.2 * fast
    steps = [price_pass(decoding(1), card).busy_seconds for card in (nvl, rich)]
    assert steps[0] == pytest.approx(steps[1], rel=0.02)
