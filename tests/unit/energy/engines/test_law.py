"""The equations of the engines' law, by hand on kernels of one part each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from joulecast.accelerators.catalogue import find
from joulecast.energy.engines.coefficients import KERNELS, Card, Collective, KernelLaw, engines
from joulecast.energy.engines.law import Limits, costs, joules_of, pace, seconds_of
from joulecast.energy.engines.table import kernel_table
from joulecast.energy.physical import voltage_squared
from joulecast.layers import Contraction, LayerProfile
from joulecast.serving.passes import decode
from tests.unit.energy.engines.models import decoding, filling, rows_of

LIMITS = Limits(peak_flops=np.full(7, 1e15), bandwidth_bytes_per_second=1e12, multiprocessors=100.0, clock_hertz=1e9)
LAW = find("NVIDIA-H200").law
PLAIN = KernelLaw(compute_share=0.5, memory_share=0.8, tail_seconds=1e-6, sharpness=100.0)
CARD = Card(
    tables=(),
    kernels=dict.fromkeys(KERNELS, PLAIN),
    collectives={degree: Collective(latency_seconds=5e-6, bytes_per_second=1e11) for degree in ("2", "4", "8")},
)


def taken(row: LayerProfile, law: KernelLaw = PLAIN, clock: float = 1.0) -> float:
    return float(seconds_of(kernel_table([row], "vllm"), dict.fromkeys(KERNELS, law), LIMITS, clock)[0])


def of_type(rows: tuple[LayerProfile, ...], op_type: str) -> LayerProfile:
    return next(row for row in rows if row.op_type == op_type)


def test_a_pass_over_memory_takes_its_bytes_and_its_tail() -> None:
    row = of_type(filling(4096), "SiluAndMul")
    assert taken(row) == pytest.approx(row.bytes_moved / 0.8e12 + 1e-6)


def test_a_large_product_takes_its_operations() -> None:
    product = Contraction(batch=1, m=12800, n=12800, k=8192)  # 50 × 100 tiles of 256 × 128, 50 waves
    row = LayerProfile(
        name="x", op_type="Gemm", kind="counted", dtype="bfloat16", macs=product.macs, contractions=(product,)
    )
    assert taken(row) == pytest.approx(2 * product.macs / 0.5e15 + 1e-6)
    assert taken(row, clock=0.5) == pytest.approx(4 * product.macs / 0.5e15 + 1e-6)


def test_attention_of_prompts_takes_its_operations_and_an_exponential_a_score() -> None:
    row = of_type(filling(2048), "FlashAttention")
    executed = 2 * sum(each.macs for each in row.contractions)
    assert taken(row) == pytest.approx(executed / 0.5e15 + 1e-6)
    scores = 32 * 2048 * row.contractions[0].n
    assert taken(row, replace(PLAIN, element_cycles=2.0)) == pytest.approx(scores * 2 / 1e11 + 1e-6, rel=0.01)


def test_the_products_of_a_group_run_in_the_same_waves() -> None:
    """Sixty tiles of one size and thirty of another are one wave of 100 multiprocessors, not two."""
    parts = (Contraction(batch=60, m=64, n=64, k=4096), Contraction(batch=30, m=63, n=64, k=4096))
    rows = [
        LayerProfile(
            name="x", op_type="GroupedGemm", kind="counted", dtype="bfloat16", macs=1, contractions=contractions
        )
        for contractions in (parts, parts[:1])
    ]
    assert taken(rows[0]) == pytest.approx(taken(rows[1]))


def test_decode_starts_a_unit_for_each_head_of_each_sequence() -> None:
    row = of_type(decoding(32, 1024), "PagedAttention")
    started = taken(row, replace(PLAIN, unit_seconds=2e-6)) - taken(row)
    assert started == pytest.approx(3 * 2e-6), "256 heads on 100 multiprocessors"


def test_an_input_is_narrowed_before_and_weights_are_widened_beside() -> None:
    product = Contraction(batch=1, m=64, n=4096, k=4096)
    fields = {"name": "x", "op_type": "Gemm", "kind": "counted", "macs": product.macs, "contractions": (product,)}
    sizes = {"input_numel": 64 * 4096, "output_numel": 64 * 4096, "weight_numel": 4096**2}
    narrow = LayerProfile(**fields, **sizes, dtype="float8", bytes_moved=4 * 64 * 4096 + 4096**2)  # type: ignore[arg-type]
    assert taken(narrow, replace(PLAIN, input_cycles=3.0)) - taken(narrow) == pytest.approx(64 * 4096 * 3 / 1e11)
    stored = LayerProfile(**fields, **sizes, dtype="bfloat16", bytes_moved=4 * 64 * 4096 + 4096**2 // 2)  # type: ignore[arg-type]
    assert taken(stored, replace(PLAIN, element_cycles=5.0)) == pytest.approx(4096**2 * 5 / 1e11 + 1e-6)


def test_a_sum_over_cards_takes_latency_and_its_message() -> None:
    row = of_type(rows_of(decode(32, 1024), cards=2), "AllReduce")
    found = costs(kernel_table([row], "vllm"), CARD, LIMITS, LAW, cards=2)
    assert found.seconds[0] == pytest.approx(5e-6 + 2 * 32 * 4096 / 1e11)
    assert found.switched_joules[0] == 0


def test_energy_is_that_of_the_accelerators_law_times_the_kinds_own() -> None:
    row = of_type(filling(2048), "FlashAttention")
    twice = dict.fromkeys(KERNELS, replace(PLAIN, flop_energy=2.0, byte_energy=3.0))
    switched, moved = joules_of(kernel_table([row], "vllm"), twice, LAW)
    assert switched[0] == pytest.approx(2 * LAW.flop_joules["bf16"] * 2 * sum(each.macs for each in row.contractions))
    assert moved[0] == pytest.approx(3 * LAW.byte_joules * row.bytes_moved)


def test_the_clock_falls_until_switching_power_is_what_the_card_has() -> None:
    clock = pace(LAW, 0.5, 1.0)
    assert clock * float(voltage_squared(LAW, np.array(clock))) == pytest.approx(0.5)
    assert pace(LAW, 1.2, 1.0) == pace(LAW, 1.0, 0.0) == 1


def test_a_card_takes_its_own_coefficients_then_its_generations_then_those_of_all() -> None:
    engine = engines()["vllm"]
    assert engine.card_of("NVIDIA-H200", "Hopper GH100") is engine.cards["NVIDIA-H200"]
    assert engine.card_of("NVIDIA-H100-NVL", "Hopper GH100") is engine.generations["Hopper"]
    small, large = engine.generations["Blackwell GB20x"], engine.generations["Blackwell"]
    assert engine.card_of("NVIDIA-GeForce-RTX-5090", "Blackwell GB202") is small
    assert engine.card_of("x", "Blackwell GB100 + Grace") is engine.card_of("x", "Blackwell Ultra GB300") is large
    assert engine.card_of("Tesla-T4", "Turing") is engine.other
