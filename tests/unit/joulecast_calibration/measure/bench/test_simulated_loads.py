"""What a preset is given to run is the load of the card that it is a loads of."""

from __future__ import annotations

import statistics
from dataclasses import replace
from functools import cache

import pytest

from joulecast.accelerators.catalogue import find
from joulecast.energy.profile import AcceleratorProfile
from joulecast_calibration import suite
from joulecast_calibration.measure.bench.simulated_loads import SimulatedLoads
from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.measure.plan.plan import PlanOptions, make_plan
from joulecast_calibration.meter import characterise, measure
from joulecast_calibration.meter.simulated import PRESETS, DeviceOutOfMemoryError, Phase, SimulatedDevice
from tests.unit.joulecast_calibration.measure.handmade import layer

MOST_BYTES = 8e9
OTHERS = [name for name, spec in PRESETS.items() if spec.product != PRESETS["hopper"].product]


@cache
def rows(slice: str) -> tuple[Configuration, ...]:  # noqa: A002 (the field's name)
    return tuple(make_plan(suite.committed(), PlanOptions(slices=(slice,), seed=0)).rows)


def layers(op_type: str = "", count: int = 60) -> list[Configuration]:
    """Those that every card has memory for."""
    found = [row for row in rows("layers") if row.op_type and not row.anchor and op_type in ("", row.op_type)]
    return [row for row in found if row.counts["bytes_moved"] < MOST_BYTES][:count]


def network(name: str, batch_size: int) -> Configuration:
    found = [row for row in rows("networks") if (row.name, row.batch_size) == (name, batch_size) and not row.anchor]
    return found[0]


def phase(loads: SimulatedLoads, configuration: Configuration) -> Phase:
    (only,) = loads.load(configuration).execution.phases
    return only


def asked_share(device: SimulatedDevice, of: Phase) -> float:
    """Of the limit, at boost and 25 °C."""
    chip = device.spec.chip
    return (chip.busy_watts(1.0, 25.0) + of.compute_watts + of.memory_watts) / chip.power_limit_watts


@pytest.mark.parametrize("spec", PRESETS.values(), ids=lambda spec: spec.name)
def test_a_chip_has_the_limits_of_its_card(spec) -> None:
    card = find(spec.product)
    assert spec.chip.power_limit_watts == card.power_limit_watts
    assert spec.chip.boost_mhz == pytest.approx(card.boost_clock_mhz, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_no_layer_is_faster_than_the_card_allows(name: str) -> None:
    device = SimulatedDevice(name)
    loads = SimulatedLoads(device)
    card = loads.profile
    fastest = card.peak_flops.get("tf32", card.peak_flops["fp32"])  # of what torch does unasked
    for row in layers():
        least = max(2 * row.counts["macs"] / fastest, row.counts["bytes_moved"] / card.bandwidth_bytes_per_second)
        assert phase(loads, row).seconds > least


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_nothing_asks_for_more_than_the_limit_and_not_all_for_little(name: str) -> None:
    device = SimulatedDevice(name)
    loads = SimulatedLoads(device)
    shares = [asked_share(device, phase(loads, row)) for row in layers()]
    assert max(shares) < 1
    assert statistics.median(shares) > 0.5
    assert min(shares) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_what_is_measured_is_within_the_limit_and_what_the_device_used(name: str) -> None:
    device = SimulatedDevice(name)
    loads = SimulatedLoads(device)
    constants = characterise(device.sensor, device.clock, device.load(0.002))
    for row in layers(count=12):
        load = loads.load(row)
        window = measure(load, device.sensor, device.clock, constants)
        end = device.now
        true = device.true_joules(end - window.window_seconds, end) / window.window_seconds
        assert device.sensor.state().throttle_reasons == ()
        load.drain()
        assert window.joules / window.seconds <= 1.01 * device.spec.chip.power_limit_watts
        assert window.joules / window.seconds == pytest.approx(true, rel=0.03), row.label


def test_moving_bytes_takes_as_much_longer_as_the_bandwidth_is_lower() -> None:
    row = max(layers("Add", count=400), key=lambda each: each.counts["bytes_moved"])
    slow, fast = SimulatedLoads(SimulatedDevice("volta")), SimulatedLoads(SimulatedDevice("hopper"))
    ratio = phase(slow, row).seconds / phase(fast, row).seconds
    assert ratio == pytest.approx(reached(fast.profile) / reached(slow.profile), rel=0.01)


def reached(card: AcceleratorProfile) -> float:
    """Return the bytes a second that large elementwise kernels reach, by the card's law."""
    law = card.law
    return card.bandwidth_bytes_per_second * law.memory_efficiency * law.family_memory["other"]


def test_a_hopper_runs_what_the_suite_forecasts() -> None:
    device = SimulatedDevice("hopper")
    loads = SimulatedLoads(device)
    for row in [*layers(), network("torchvision:resnet50", 32)]:
        found, watts = phase(loads, row), row.forward_joules / row.forward_seconds
        assert found.seconds == row.forward_seconds
        least = device.spec.chip.busy_watts(1.0, 25.0)  # what the device draws when it is busy with next to nothing
        assert asked_share(device, found) == pytest.approx(min(max(watts, least) / 700, 1.2), rel=1e-6)


def test_half_precision_is_faster_where_the_card_has_it() -> None:
    row = max(layers("Gemm", count=400), key=lambda each: each.counts["macs"])
    half = replace(row, precision="bf16")
    for name, factor in (("hopper", 3.0), ("ampere", 3.0)):
        loads = SimulatedLoads(SimulatedDevice(name))
        assert phase(loads, row).seconds > factor * phase(loads, half).seconds
    old = SimulatedLoads(SimulatedDevice("volta"))
    assert phase(old, row) == phase(old, half)


@pytest.mark.parametrize("name", OTHERS)
def test_a_captured_network_waits_for_no_host(name: str) -> None:
    loads, eager = SimulatedLoads(SimulatedDevice(name)), network("torchvision:resnet50", 1)
    captured = loads.load(replace(eager, runtime="torch-cudagraph")).execution
    waiting = loads.load(eager).execution
    assert captured.phases == waiting.phases
    assert (captured.host_seconds, waiting.host_seconds > 1e-4) == (0.0, True)


def test_a_network_that_does_not_fit_the_card_runs_out_of_memory() -> None:
    large = network("hf:gpt-j-6b", 1)
    assert SimulatedLoads(SimulatedDevice("ampere")).load(large)
    with pytest.raises(DeviceOutOfMemoryError, match=r"24,266,175,408 bytes do not fit into the 12,884,901,888"):
        SimulatedLoads(SimulatedDevice("maxwell")).load(large)


def test_what_no_suite_knows_is_the_forecast_in_proportion_to_bandwidth_and_limit() -> None:
    known = layer(3)
    row = Configuration(
        kind="layer", slice="layers", name="f", digest=known.digest, op_type=known.op_type,
        forward_seconds=1e-4, forward_joules=0.035,
    )  # fmt: skip
    device = SimulatedDevice("maxwell")
    found = phase(SimulatedLoads(device), row)
    assert found.seconds == pytest.approx(1e-4 * 3350 / 336.5)
    assert asked_share(device, found) == pytest.approx(350 / 700)
