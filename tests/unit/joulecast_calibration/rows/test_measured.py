"""Every column that a row carries is described, with its unit; and what the rows must carry is there."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.bench import torchbench
from joulecast_calibration.measure.bench.ceilings import COPY_BYTES, ceilings
from joulecast_calibration.measure.bench.gaps import extrapolated
from joulecast_calibration.measure.loads.counts import network_counts
from joulecast_calibration.measure.loads.devices import Processor
from joulecast_calibration.measure.loads.layers import layer_load
from joulecast_calibration.measure.loads.networks import prepared_network
from joulecast_calibration.measure.plan.plan import PlanOptions, make_plan
from joulecast_calibration.measure.run.session import failure_columns
from joulecast_calibration.meter import characterise, measure
from joulecast_calibration.meter.crosscheck import CodeCarbonProcess
from joulecast_calibration.meter.simulated import SimulatedDevice
from joulecast_calibration.rows.measured import (
    COLUMNS,
    EVERY,
    KINDS,
    MEASURED,
    WINDOWED,
    columns_of,
    required_of,
)
from joulecast_calibration.rows.typed import GapPoint, HostConstants
from tests.unit.joulecast_calibration.measure.handmade import HandmadeSuite
from tests.unit.joulecast_calibration.measure.loads import calls
from tests.unit.joulecast_calibration.measure.loads.test_networks import vision

UNITS = {"joules": "J", "watts": "W", "seconds": "s", "bytes": "B", "mhz": "MHz", "celsius": "°C"}
NAMES_OF_PACKAGES = "versions"
"""An object whose names are data."""

WORK = {
    "layer": {"executed", "buffer_sets", "function", "module_calls", "peak_memory_bytes", "unsupported"},
    "network": {"fused_attention", "hidden_std", "peak_memory_bytes", "unsupported"},
}
"""Columns of real work, which a simulated device does not do."""

DESIGNED = {
    "session": ("accelerator", "card", "run_id", "driver", "versions", "power_limit_watts", "host", "suite_digest"),
    "constants": ("idle_watts", "gap_watts", "period_seconds", "resolution_joules", "lag_seconds"),
    "network": ("digest", "digest_expected", "hidden_std", "module_calls"),
    "layer": ("digest", "l2_state", "buffer_sets"),
}
LAYER = make_plan(HandmadeSuite(1, 2), PlanOptions(slices=("layers",))).rows[0]
BOTH = (
    "idle_watts gap_watts sm_clock_mhz memory_clock_mhz temperature_celsius throttle_reasons power_limit_watts run_id"
    " rows macs params activations input_numel bytes_moved kernels views joules joules_standard_error seconds watts"
    " watts_standard_error power_joules drift steady single finite valid precision runtime"
).split()


def names(row: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """Of a row's columns, and with a dot of those inside them."""
    for name, value in row.items():
        yield within + name
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, Mapping) and name != NAMES_OF_PACKAGES:
                yield from names(inner, f"{within}{name}.")


def test_a_run_has_rows_of_every_kind_and_slice(simulated: list[Mapping[str, Any]]) -> None:
    assert {row["kind"] for row in simulated} == set(KINDS) - {"graph"}  # nobody knows the contents of a made-up suite
    slices = {row.get("slice") for row in simulated}
    assert slices >= {
        "anchors",
        "llm",
        "networks",
        "layers",
        "cudagraph",
        "crosscheck",
        "serving",
        "bf16",
        "compile",
        "hot",
    }
    assert {row["reason"] for row in simulated if row["kind"] == "failure"} == {"OutOfMemory", "Crash"}
    assert {row.get("invalid_reason") for row in simulated} >= {"foreign process", "not finite"}


@pytest.mark.slow
def test_the_columns_found_are_those_described(simulated: list[Mapping[str, Any]]) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for row in simulated:
        found[row["kind"]] |= set(names(row))
    for kind, work in real_work().items():
        found[kind] |= work
    trouble = {"invalid_reason", "message"} & (found["layer"] | found["network"])
    for kind in WINDOWED:  # it befell some of them
        found[kind] |= trouble
    found["window"] |= {*WORK["layer"], *WORK["network"], "untraced_reason"}
    for kind in KINDS:
        assert found[kind] == columns_of(kind), kind


def test_required_columns_are_in_every_valid_row(simulated: list[Mapping[str, Any]]) -> None:
    for row in simulated:
        kind = row["kind"]
        work = WORK.get(kind, set()) | ({"peak_memory_bytes", "unsupported", "module_calls"} & required_of(kind))
        if row.get("valid") is not False:
            assert required_of(kind) - work - set(names(row)) == set(), row
    with layer_load(calls.linear(), device=Processor()) as layer:
        assert set(layer.columns) >= WORK["layer"]


def test_what_the_design_asks_for_is_required() -> None:
    for kind, wanted in DESIGNED.items():
        assert set(wanted) <= required_of(kind)
    assert set(BOTH) <= required_of("layer") & required_of("network")
    assert required_of("layer") & required_of("network") == set(MEASURED)
    assert {"run_id", "simulated", "schema"} <= set(EVERY)
    assert {"card", "accelerator", "driver"} <= required_of("session")
    assert "host_constants.kernel_seconds" in columns_of("constants")


def test_each_column_is_described_once_with_its_unit() -> None:
    described = [(column.name, kind) for column in COLUMNS for kind in column.kinds]
    assert len(described) == len(set(described))
    assert {kind for _, kind in described} == set(KINDS)
    for column in COLUMNS:
        assert column.meaning, column.name
        last = column.name.rpartition(".")[2].removesuffix("_standard_error").rpartition("_")[2]
        if last in UNITS and not column.name.endswith("_per_second"):
            assert column.unit == UNITS[last], column.name


def real_work() -> dict[str, set[str]]:
    """Columns by kind that real work adds to what a simulated run has."""
    with layer_load(calls.linear(), device=Processor(cache_bytes=1 << 16)) as layer:
        layer_columns = set(layer.columns)
        assert layer.graph is not None
        graph_columns = {*EVERY, *layer.graph.columns()}
    with prepared_network(vision(), device=Processor()) as network, network.load(batch_size=1) as made:
        network_columns = set(made.columns)
    untraced = set(network_counts(torch.nn.LSTM(2, 2), (None,), {}, name="not traceable").columns)
    assert "untraced_reason" in untraced
    return {
        "constants": set(names(constants())),
        "graph": graph_columns,
        "failure": set(failure_columns(LAYER, "Error", "it failed")),
        "layer": layer_columns | {"untraced_reason"},
        "network": network_columns | untraced,
        "window": set(names({"codecarbon": beside_codecarbon()})),
    }


def constants() -> dict[str, Any]:
    """As ``TorchBench.constants`` puts them together, measured or not."""

    def fails() -> Mapping[str, Any]:
        raise MeasurementError("not here")

    found = extrapolated([GapPoint(share=0.1, watts=60.0), GapPoint(share=0.4, watts=90.0)], 200.0)
    gap = json.loads(json.dumps(asdict(found)))  # as a journal holds it
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(COPY_BYTES, "cpu", 1 << 12)  # it is not the rate that is asked for
        reached = [asdict(each) for each in ceilings(Processor(), lambda _: SimpleNamespace(watts=1.0, seconds=1.0))]
    return {
        "gap": gap | torchbench._part("gap", fails),
        "host_constants": {field.name: 0.0 for field in fields(HostConstants)} | torchbench._part("host", fails),
        "ceilings": reached,
        **torchbench._part("ceilings", fails),
    }


def beside_codecarbon() -> dict[str, Any]:
    class Other(CodeCarbonProcess):
        """Without the process."""

        def __init__(self) -> None:
            self.version = "3"

        def _ask(self, question: str) -> dict[str, Any]:
            return {"joules": 100.0, "seconds": 4.0}

    device = SimulatedDevice("ampere")
    load = device.load(0.001, watts=200.0)
    window = measure(load, device.sensor, device.clock, characterise(device.sensor, device.clock, load))
    return Other().compare("a layer", load, device.sensor, device.clock, window)


def test_a_described_name_is_no_name_of_another_unit() -> None:
    """A column that stands in several kinds has one unit."""
    units: dict[str, set[str]] = defaultdict(set)
    for column in COLUMNS:
        units[column.name].add(column.unit)
    assert {name for name, found in units.items() if len(found) > 1} == set()
