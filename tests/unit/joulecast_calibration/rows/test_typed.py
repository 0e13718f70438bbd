"""Measured rows become frozen values, or are refused with the column named."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.rows.journals import read_rows
from joulecast_calibration.rows.measured import COLUMNS, KINDS, WINDOWED, columns_of, required_of
from joulecast_calibration.rows.typed import (
    ROWS,
    Ceiling,
    CodeCarbon,
    Flaw,
    Gap,
    GapPoint,
    GraphRow,
    HostConstants,
    InvalidRow,
    LayerRow,
    Machine,
    NetworkRow,
    row_of,
    row_or_flaw,
)

INSIDE = {
    "host": Machine,
    "gap": Gap,
    "gap.points": GapPoint,
    "host_constants": HostConstants,
    "ceilings": Ceiling,
    "codecarbon": CodeCarbon,
}
"""What lies inside a column."""


@pytest.fixture(scope="module")
def layer(simulated: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in simulated if row["kind"] == "layer" and row["valid"])


def names(kind: type[Any]) -> set[str]:
    return {field.name for field in fields(kind)}


def test_every_row_of_a_simulated_run_is_read(simulated: list[dict[str, Any]]) -> None:
    found = Counter(type(row_of(row)) for row in simulated)
    assert set(found) == {*ROWS.values(), InvalidRow} - {GraphRow}  # a made-up suite has no graphs
    invalid = [row for row in simulated if row["kind"] in WINDOWED and not row["valid"]]
    assert found[InvalidRow] == len(invalid)


def test_values_are_those_of_the_line(simulated: list[dict[str, Any]]) -> None:
    for line in simulated:
        row = row_of(line)
        for name in set(line) & names(type(row)) - set(INSIDE):
            value = getattr(row, name)
            assert (list(value) if isinstance(value, tuple) else value) == line[name]


def test_every_row_that_was_measured_on_hardware_is_read() -> None:
    folder = Path(__file__).resolve().parents[4] / "data" / "measurements"
    lines = [line for path in folder.rglob("*.jsonl") for line in path.read_text("utf-8").splitlines()]
    assert {type(row_of(json.loads(line))) for line in lines} >= {GraphRow, LayerRow, NetworkRow}


@pytest.mark.parametrize("kind", KINDS)
def test_fields_are_the_columns(kind: str) -> None:
    """One list of names: ``COLUMNS`` says what they mean and in which unit, the dataclass of which type they are."""
    described = columns_of(kind)
    assert names(ROWS[kind]) == {name for name in described if "." not in name}
    for outer, inner in INSIDE.items():
        inside = {name.removeprefix(f"{outer}.") for name in described if name.startswith(f"{outer}.")}
        assert not inside or {name for name in inside if "." not in name} == names(inner)


def test_what_has_a_unit_is_a_number_with_bounds() -> None:
    for kind in KINDS:
        hints = get_type_hints(ROWS[kind], include_extras=True)
        for column in COLUMNS:
            if kind in column.kinds and column.unit in ("J", "s", "W", "MHz", "B") and "." not in column.name:
                assert "Within" in str(hints[column.name]), f"{kind}.{column.name}"


def test_rows_are_frozen(layer: dict[str, Any]) -> None:
    row = row_of(layer)
    assert isinstance(row, LayerRow)
    with pytest.raises(FrozenInstanceError):
        row.joules = 1.0  # type: ignore[misc]
    assert not hasattr(row, "__dict__")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"joules": -1}, "joules is -1: give a finite number above 0 J"),
        ({"joules": 0}, "joules is 0: give a finite number above 0 J"),
        ({"joules": None}, "joules is null: give a finite number above 0 J"),
        ({"seconds": math.nan}, "seconds is NaN: give a finite number above 0 s"),
        ({"watts": math.inf}, "watts is Infinity: give a finite number above 0 W"),
        ({"seconds": "0.1"}, 'seconds is "0.1": give a finite number above 0 s'),
        ({"macs": 1.5}, "macs is 1.5: give a whole number from 0"),
        ({"macs": True}, "macs is true: give a whole number from 0"),
        ({"joules_standard_error": -1}, "joules_standard_error is -1: give a finite number from 0"),
        ({"sm_clock_mhz": 0}, "sm_clock_mhz is 0: give a finite number above 0 MHz"),
        ({"throttle_reasons": "none"}, 'throttle_reasons is "none": give a list'),
        ({"simulated": None}, "simulated is null: give true or false"),
        ({"method": "guess"}, 'method is "guess": give one of counter, power'),
        ({"schema": 99}, "schema 99 is newer than 1: upgrade joulecast"),
        ({"kind": "abacus"}, "kind is 'abacus': give one of session, constants, graph, layer"),
        ({"kind": ["layer"]}, "kind is"),
        ({"kind": "network"}, "batch_size is null: give a whole number from 1"),
    ],
)
def test_what_nothing_can_measure_is_refused(layer: dict[str, Any], change: dict[str, Any], said: str) -> None:
    with pytest.raises(MeasurementError) as caught:
        row_of(layer | change, "rows.jsonl, line 7")
    assert str(caught.value).startswith(f"rows.jsonl, line 7: {said}")
    assert caught.value.reason == "InvalidRow"


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"joules": -1}, "joules"),
        ({"codecarbon": 3, "kind": "window", "window": "codecarbon"}, "codecarbon"),
        ({"kind": "x"}, "kind"),
        ({"schema": 99}, "schema"),
        ({"simulated": False}, "buffer_sets"),
    ],
)
def test_a_flaw_names_the_column_that_it_is_counted_by(
    layer: dict[str, Any], change: dict[str, Any], column: str
) -> None:
    flaw = row_or_flaw(layer | change)
    assert isinstance(flaw, Flaw)
    assert flaw.column == column


def test_a_row_that_was_measured_lacks_nothing(layer: dict[str, Any]) -> None:
    """What a simulated device cannot tell, a real one always does."""
    with pytest.raises(MeasurementError, match=r"buffer_sets, .* is missing, which each valid measured layer row"):
        row_of(layer | {"simulated": False})
    whole = layer | {"buffer_sets": 2, "executed": "relu", "function": "relu", "module_calls": 0}
    row = row_of(whole | {"peak_memory_bytes": None, "unsupported": 0, "simulated": False})
    assert isinstance(row, LayerRow)
    assert row.buffer_sets == 2


@pytest.mark.parametrize("name", sorted(required_of("layer") & columns_of("network") - {"valid", "kind", "simulated"}))
def test_no_column_that_is_always_there_may_lack(layer: dict[str, Any], name: str) -> None:
    with pytest.raises(MeasurementError, match=name):
        row_of({key: value for key, value in layer.items() if key != name} | {"simulated": False})


def test_an_invalid_row_is_none_that_can_be_fitted(layer: dict[str, Any]) -> None:
    for change in ({"valid": False}, {"valid": False, "joules": None}, {"valid": False, "joules": "many"}):
        row = row_of(layer | change)
        assert isinstance(row, InvalidRow)
        assert not hasattr(row, "joules")
    with pytest.raises(MeasurementError, match="valid is 1: give true or false"):
        row_of(layer | {"valid": 1})


def test_columns_of_a_later_version_are_left_out(layer: dict[str, Any]) -> None:
    assert row_of(layer | {"colour": "green"}) == row_of(layer)


def test_rows_of_a_journal_are_read_with_their_session_beside_them(tmp_path: Any, layer: dict[str, Any]) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(layer) + "\n")
    (found,) = read_rows(tmp_path).rows
    assert found == row_of(layer)
    assert not isinstance(found, NetworkRow)
