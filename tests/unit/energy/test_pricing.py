"""The forecast of a whole model: conservation, monotony, cap, intervals, origins and refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.accelerators.catalogue import find, installed
from joulecast.energy.model import ORIGINS
from joulecast.energy.pricing import price
from joulecast.energy.profile import EnergyRows
from joulecast.errors import NotCalibratedError
from joulecast.layers import Coverage
from tests.unit.energy.profiles import elementwise, model, product, repeated, view

H200 = find("NVIDIA-H200")
SIZES = st.integers(min_value=1, max_value=8192)


@pytest.mark.parametrize("name", list(installed()))
def test_every_installed_accelerator_prices_what_it_has_a_peak_for(name: str) -> None:
    profile = installed()[name]
    for precision in profile.precisions:
        found = price(model(product(), product(op_type="Conv"), elementwise()), profile, precision=precision)
        assert 0 < found.joules_per_batch_lower < found.joules_per_batch < found.joules_per_batch_upper < math.inf
        assert found.average_power_watts <= profile.power_limit_watts * 1.0001
        assert found.origin in ORIGINS


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SIZES, SIZES, SIZES), min_size=1, max_size=6), st.integers(1, 1 << 24), st.integers(0, 40))
def test_rows_and_gap_add_up_to_the_total(shapes: list[tuple[int, int, int]], numel: int, views: int) -> None:
    layers = [*(product(*shape) for shape in shapes), elementwise(numel), *(view() for _ in range(views))]
    found = price(model(*layers), H200)
    parts = sum(layer.static_joules + layer.compute_joules + layer.memory_joules for layer in found.layers)
    assert parts + found.gap_joules == pytest.approx(found.joules_per_batch, rel=1e-9)
    assert len(found.layers) == len(shapes) + 1
    assert found.gap_joules >= 0
    assert found.average_power_watts * found.latency_seconds == pytest.approx(found.joules_per_batch)


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, SIZES, st.integers(1, 8))
def test_more_work_never_costs_less(m: int, n: int, k: int, factor: int) -> None:
    for layers in ((product(m, n, k), product(m * factor, n, k)), (product(m, n, k), product(m, n, k * factor))):
        small, large = (price(model(layer), H200) for layer in layers)
        assert large.joules_per_batch >= small.joules_per_batch * (1 - 1e-9)
        assert large.latency_seconds >= small.latency_seconds * (1 - 1e-9)


def test_more_bytes_cost_more() -> None:
    small, large = (price(model(elementwise(numel)), H200) for numel in (1 << 24, 1 << 25))
    assert large.joules_per_batch > small.joules_per_batch


def test_the_cap_lowers_power_and_takes_time() -> None:
    layers = repeated(product(8192, 8192, 8192, dtype="bfloat16"), 4)
    free = replace(H200, power_limit_watts=1e6)
    tight = replace(H200, power_limit_watts=400.0)
    before, after = (price(model(*layers), accelerator) for accelerator in (free, tight))
    held = 400 * H200.law.held_share
    assert before.average_power_watts > 400 > held
    assert after.average_power_watts == pytest.approx(held, rel=1e-3)
    assert after.latency_seconds > before.latency_seconds


def test_a_power_limit_below_the_laws_clocks_is_a_reason() -> None:
    layers = repeated(product(8192, 8192, 8192, dtype="bfloat16"), 4)
    starved, capped = (price(model(*layers), replace(H200, power_limit_watts=watts)) for watts in (20.0, 400.0))
    assert any("the power limit of 20 W does not hold" in reason for reason in starved.reasons)
    assert not any("power limit" in reason for reason in capped.reasons)
    width, usual = (math.log(found.joules_per_batch_upper / found.joules_per_batch) for found in (starved, capped))
    assert width > usual


def test_a_model_of_which_nothing_is_priced_has_no_forecast() -> None:
    whole = model(product())
    nothing = replace(whole, coverage=Coverage(flops=0.0, ops=0.0, unsupported=("ai.onnx.ml:TreeEnsemble",)))
    with pytest.raises(NotCalibratedError, match=r"ai\.onnx\.ml:TreeEnsemble has no counting rule") as caught:
        price(nothing, H200)
    assert caught.value.reason == "NothingPriced"


def test_the_cap_leaves_light_work_alone() -> None:
    layers = (elementwise(1000), elementwise(1000))
    free = replace(H200, power_limit_watts=1e6)
    assert price(model(*layers), H200).latency_seconds == price(model(*layers), free).latency_seconds


def test_a_lower_clock_takes_longer() -> None:
    layers = repeated(product(4096, 4096, 4096), 2)
    fast, slow = (price(model(*layers), H200, clock_mhz=clock) for clock in (1830, 900))
    assert slow.latency_seconds > fast.latency_seconds
    assert slow.average_power_watts < fast.average_power_watts


def test_many_small_kernels_wait_for_the_host() -> None:
    layers = repeated(elementwise(1000), 500)
    eager, graph = (price(model(*layers), H200, runtime=name) for name in ("torch-eager", "torch-cudagraph"))
    assert eager.gap_joules > 0.5 * eager.joules_per_batch
    assert graph.latency_seconds < eager.latency_seconds
    assert any("another host" in reason for reason in eager.reasons)
    assert any("another runtime" in reason for reason in graph.reasons)


def test_views_cost_host_time_only() -> None:
    launch_bound = repeated(elementwise(1000), 50)
    bare, viewed = (price(model(*launch_bound, *(view() for _ in range(n))), H200) for n in (0, 100))
    assert viewed.latency_seconds > bare.latency_seconds
    assert len(viewed.layers) == len(bare.layers)


def test_default_runs_convolutions_of_float32_graphs_in_tf32_and_products_in_fp32() -> None:
    convolution, matrix = product(2048, 2048, 2048, op_type="Conv"), product(2048, 2048, 2048)
    for layer, same_as in ((convolution, "tf32"), (matrix, "fp32")):
        default, asked = (price(model(layer), H200, precision=name) for name in ("default", same_as))
        assert default.joules_per_batch == asked.joules_per_batch


def test_half_precision_moves_half_the_bytes() -> None:
    full, half = (price(model(elementwise(1 << 26)), H200, precision=name) for name in ("default", "bf16"))
    assert half.layers[0].memory_joules == pytest.approx(full.layers[0].memory_joules / 2)


def test_a_graph_stored_in_half_precision_runs_as_stored() -> None:
    stored, asked = product(dtype="bfloat16"), product()
    as_stored = price(model(stored), H200)
    assert as_stored.joules_per_batch == pytest.approx(price(model(asked), H200, precision="bf16").joules_per_batch)


def test_a_card_without_tf32_runs_convolutions_in_fp32() -> None:
    found = price(model(product(op_type="Conv")), find("Tesla-T4"))
    assert (
        found.joules_per_batch
        == price(model(product(op_type="Conv")), find("Tesla-T4"), precision="fp32").joules_per_batch
    )


def test_a_precision_without_a_peak_is_refused_with_the_way_out() -> None:
    with pytest.raises(NotCalibratedError, match=r"no bf16 peak rate \(its hardware has none\).*fp16"):
        price(model(product()), find("Tesla-T4"), precision="bf16")
    with pytest.raises(NotCalibratedError, match=r"no tf32 peak rate \(no trusted source states it\)"):
        price(model(product(op_type="Conv")), find("NVIDIA-RTX-6000-Ada-Generation"))
    with pytest.raises(NotCalibratedError, match="'int4' is not priced"):
        price(model(product()), H200, precision="int4")


def test_a_clock_that_the_card_does_not_have_is_refused() -> None:
    for clock_mhz in (-1, 0, 100, 290, 2200, 5000, math.nan):
        with pytest.raises(
            NotCalibratedError, match=r"cannot be priced on NVIDIA-H200, .* from 297 to 2178 MHz"
        ) as caught:
            price(model(product()), H200, clock_mhz=clock_mhz)
        assert caught.value.reason == "ClockOutOfRange"
    with pytest.raises(NotCalibratedError, match="no trusted boost clock"):
        price(model(product()), find("NVIDIA-A10G"), precision="bf16", clock_mhz=1000)


def test_unpriced_arithmetic_lowers_coverage_and_is_named() -> None:
    integer = replace(product(), dtype="int8", op_type="MatMulInteger")
    found = price(model(product(), integer), H200)
    assert found.coverage.flops == pytest.approx(0.5)
    assert [layer.priced for layer in found.layers] == [True, False]
    assert any("MatMulInteger" in reason for reason in found.reasons)


def test_unverified_limits_widen_the_interval_and_are_named() -> None:
    known = H200
    doubtful = replace(known, unverified=("peak bf16", "peak fp32"))
    sure, unsure = (price(model(product()), accelerator) for accelerator in (known, doubtful))
    assert unsure.joules_per_batch_upper > sure.joules_per_batch_upper
    assert any("peak fp32" in reason and "bf16" not in reason for reason in unsure.reasons)


def test_rows_beyond_the_training_range_are_named() -> None:
    card = replace(H200, training_range={"flops": (1.0, 1e6), "bytes": (1.0, 1e15)})
    assert any("training range" in reason for reason in price(model(product()), card).reasons)
    assert not any("training range" in reason for reason in price(model(elementwise()), card).reasons)


def test_the_weakest_origin_of_rows_that_matter_is_told() -> None:
    rows = (EnergyRows(origin="public", arithmetics=("bf16",), op_types=("MatMul",)),)
    card = replace(H200, origin="public", energy_rows=rows)
    heavy = product(8192, 8192, 8192, dtype="bfloat16")
    assert price(model(heavy, elementwise(16)), card).origin == "public"
    assert price(model(heavy, replace(heavy, op_type="Conv")), card).origin == "transferred"


def test_a_model_without_rows_costs_one_empty_forward_pass() -> None:
    found = price(model(), H200)
    assert found.joules_per_batch == found.gap_joules > 0
    assert found.layers == ()
