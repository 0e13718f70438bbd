"""Which rows are fitted, and every reason to refuse them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.fit.journal import journal_of, product_of, read
from joulecast_calibration.rows.journals import Executed, Placed, is_executed, read_rows
from tests.unit.joulecast_calibration.rows.made import as_measured

Changed = Callable[[Callable[[dict[str, Any]], dict[str, Any] | None]], Path]


def test_simulated_rows_are_refused_unasked(measured: Path) -> None:
    with pytest.raises(MeasurementError, match="was not measured: simulated-hopper is simulated"):
        read([measured])


def test_simulated_rows_are_read_where_tests_ask_for_it(measured: Path, allowed: None) -> None:
    found = read([measured])
    assert found.simulated
    assert found.product == "NVIDIA-H100-80GB-HBM3"
    assert {line.kind for line in found.rows} == {"layer", "network"}
    assert found.power_limit_watts == 700.0
    assert found.refused == {}
    assert len(found.constants) == 1


@pytest.mark.parametrize(
    ("limit_watts", "product"), [(700.0, "NVIDIA-H100-80GB-HBM3"), (350.0, "NVIDIA-H100-PCIe"), (None, "H100")]
)
def test_a_short_name_is_told_by_the_power_limit(measured: Path, limit_watts: float | None, product: str) -> None:
    found = read_rows(measured)
    kept = [of_limit(line, limit_watts) for line in filter(is_executed, found.placed)]
    assert journal_of(found.rows, kept, "H100", refused={}, simulated=False).product == product


def of_limit(line: Executed, watts: float | None) -> Executed:
    return Placed(path=line.path, line=line.line, row=replace(line.row, power_limit_watts=watts))


def test_a_file_is_as_good_as_its_folder_and_counts_once(measured: Path, allowed: None) -> None:
    files = sorted(measured.glob("*.jsonl"))
    whole = read([measured]).rows
    assert read(files).rows == whole
    assert read([measured, *files]).rows == whole


def test_no_place_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="nowhere does not exist"):
        read([tmp_path / "nowhere"])
    with pytest.raises(MeasurementError, match="holds no measured rows: make some with `joulecast measure") as error:
        read([tmp_path])
    assert error.value.reason == "NoRows"


def test_two_accelerators(changed: Changed, measured: Path, allowed: None) -> None:
    other = changed(lambda row: row | ({"accelerator": "simulated-volta"} if "accelerator" in row else {}))
    with pytest.raises(MeasurementError, match=r"2 accelerators \(simulated-hopper and simulated-volta") as error:
        read([measured, other])
    assert error.value.reason == "MixedRows"


@pytest.mark.slow
def test_rows_planned_with_two_versions_of_the_suite_are_read_together(
    changed: Changed, measured: Path, allowed: None
) -> None:
    other = changed(lambda row: row | ({"suite_digest": "sha256:other"} if "suite_digest" in row else {}))
    assert len(read([measured, other]).rows) == 2 * len(read([measured]).rows)


def test_too_few_rows(changed: Changed, allowed: None) -> None:
    few = changed(lambda row: row if row["kind"] == "session" or row["sequence"] < 5 else None)
    with pytest.raises(MeasurementError, match="valid layer and network rows, and a fit needs 10") as error:
        read([few])
    assert error.value.reason == "TooFewRows"


def test_rows_that_are_not_good_are_counted_and_left_out(changed: Changed, measured: Path, allowed: None) -> None:
    first = [line.row.key for line in read([measured]).rows if line.kind == "layer"][:3]
    flaws = dict(zip(first, [{"valid": False}, {"joules": 0.0}, {"seconds": None}], strict=True))

    def spoilt(row: dict[str, Any]) -> dict[str, Any]:
        return row | flaws.get(row.get("key", ""), {})

    found = read([changed(spoilt)])
    lost = len(read([measured]).rows) - len(found.rows)
    assert lost >= 3
    assert sum(found.refused.values()) == lost
    reasons = sorted(found.refused)
    assert reasons[0] == "invalid: no reason given"
    assert [reason.partition(": ")[2] for reason in reasons[1:]] == [
        "joules is 0.0: give a finite number above 0 J",
        "seconds is null: give a finite number above 0 s",
    ]
    assert all(reason.startswith("layer rows, the first at run.jsonl, line ") for reason in reasons[1:])


def test_one_measured_row_among_simulated_ones_is_refused(changed: Changed, allowed: None) -> None:
    mixed = changed(lambda row: row | ({"simulated": False} if row["sequence"] == 3 else {}))
    with pytest.raises(MeasurementError, match="this row was not measured"):
        read([mixed])


@pytest.mark.parametrize(
    ("name", "product"),
    [("simulated-hopper", "NVIDIA-H100-80GB-HBM3"), ("simulated-unheard", "simulated-unheard")],
)
def test_a_simulated_card_simulates_a_real_one(name: str, product: str) -> None:
    assert product_of(name, simulated=True) == product
    assert product_of(name, simulated=False) == name


def test_too_few_rows_say_what_was_left_out(changed: Changed, allowed: None) -> None:
    damaged = changed(lambda row: row | ({"joules": -1} if "joules" in row else {}))
    with pytest.raises(
        MeasurementError, match=r"holds 0 valid .*\(left out: [0-9]+ layer rows, the first at run.jsonl"
    ):
        read([damaged])


def test_numbers_have_to_be_finite(changed: Changed, measured: Path, allowed: None) -> None:
    """JSON has no infinity, but a number may be too large for any use."""
    huge = changed(lambda row: row | ({"joules": 10**400} if row["kind"] == "network" else {}))
    found = read([huge])
    assert {line.kind for line in found.rows} == {"layer"}
    (reason,) = found.refused
    assert "joules is a whole number too large for any use: give a finite number above 0 J" in reason


def test_rows_without_any_session_that_can_be_read_say_what_is_wrong_with_it(changed: Changed) -> None:
    lost = changed(lambda row: as_measured(row) | ({"seed": "none"} if row["kind"] == "session" else {}))
    reason = 'their session, run.jsonl line 1, is refused: seed is "none": give a whole number'
    with pytest.raises(MeasurementError, match=reason) as error:
        read([lost])
    assert error.value.reason == "TooFewRows"
