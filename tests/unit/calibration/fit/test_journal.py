"""Which rows are fitted, and every reason to refuse them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from joulecast.calibration.fit.measured.journal import journal_of, product_of, read
from joulecast.calibration.fit.measured.profile import FittedRows
from joulecast.calibration.rows.journals import Row, flaw_of, read_rows
from joulecast.errors import MeasurementError

Changed = Callable[[Callable[[dict[str, Any]], dict[str, Any] | None]], Path]


def test_simulated_rows_are_refused_unasked(measured: Path) -> None:
    with pytest.raises(MeasurementError, match="was not measured: simulated-hopper is simulated"):
        read([measured])


def test_simulated_rows_are_read_where_tests_ask_for_it(measured: Path, allowed: None) -> None:
    found = read([measured])
    assert found.simulated
    assert found.product == "NVIDIA-H100-80GB-HBM3"
    assert {row["kind"] for row in found.rows} == {"layer", "network"}
    assert found.power_limit_watts == 700.0
    assert found.refused == {}
    assert len(found.constants) == 1


@pytest.mark.parametrize(
    ("limit_watts", "product"), [(700.0, "NVIDIA-H100-80GB-HBM3"), (350.0, "NVIDIA-H100-PCIe"), (None, "H100")]
)
def test_a_short_name_is_told_by_the_power_limit(measured: Path, limit_watts: float | None, product: str) -> None:
    rows = [replaced(row, accelerator="H100", power_limit_watts=limit_watts) for row in read_rows(measured).rows]
    kept = [row for row in rows if row["kind"] == "layer"]
    assert journal_of(rows, kept, "H100", refused={}, simulated=False).product == product


def replaced(row: Row, **columns: Any) -> Row:
    return Row({**row, **columns}, row.path, row.line)


def test_a_file_is_as_good_as_its_folder_and_counts_once(measured: Path, allowed: None) -> None:
    files = sorted(measured.glob("*.jsonl"))
    whole = [dict(row) for row in read([measured]).rows]
    assert [dict(row) for row in read(files).rows] == whole
    assert [dict(row) for row in read([measured, *files]).rows] == whole


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
    first = [row["key"] for row in read([measured]).rows if row["kind"] == "layer"][:3]
    flaws = dict(zip(first, [{"valid": False}, {"joules": 0.0}, {"seconds": None}], strict=True))

    def spoilt(row: dict[str, Any]) -> dict[str, Any]:
        return row | flaws.get(row.get("key", ""), {})

    found = read([changed(spoilt)])
    lost = len(read([measured]).rows) - len(found.rows)
    assert lost >= 3
    assert sum(found.refused.values()) == lost
    assert set(found.refused) >= {"invalid: no reason given", "no joules", "no seconds"}


def test_one_measured_row_among_simulated_ones_is_refused(changed: Changed, allowed: None) -> None:
    mixed = changed(lambda row: row | ({"simulated": False} if row["sequence"] == 3 else {}))
    with pytest.raises(MeasurementError, match="this row was not measured"):
        read([mixed])


@pytest.mark.parametrize(
    ("name", "product"),
    [("simulated-hopper", "NVIDIA-H100-80GB-HBM3"), ("simulated-unheard", "simulated-unheard")],
)
def test_a_simulated_card_is_a_likeness_of_a_real_one(name: str, product: str) -> None:
    assert product_of(name, simulated=True) == product
    assert product_of(name, simulated=False) == name


def test_numbers_have_to_be_finite(fitted: FittedRows) -> None:
    row = fitted.journal.rows[0]
    assert flaw_of(row) == ""
    assert flaw_of({**row, "joules": float("inf")}) == "no joules"
    assert flaw_of({**row, "views": float("nan")}) == "views makes no sense"
