"""Forecasts of rows from columns of figures."""

from __future__ import annotations

import pytest

from joulecast.energy.model import LayerEnergy

COLUMNS = {
    "name": ["a", "b"], "op_type": ["Conv", "Relu"], "scope": ["", "x"], "seconds": [1.0, 2.0],
    "static_joules": [3.0, 4.0], "compute_joules": [5.0, 6.0], "memory_joules": [7.0, 8.0],
    "origin": ["public", "datasheet"], "priced": [True, False],
}  # fmt: skip


def test_columns_give_the_objects_that_as_many_calls_give() -> None:
    expected = tuple(
        LayerEnergy(**{name: column[place] for name, column in COLUMNS.items()})  # type: ignore[arg-type]
        for place in range(2)
    )
    assert LayerEnergy.of_columns(**COLUMNS) == expected
    assert hash(LayerEnergy.of_columns(**COLUMNS)[0]) == hash(expected[0])


def test_a_column_that_is_missing_or_too_short_is_refused() -> None:
    with pytest.raises(TypeError, match="the columns of LayerEnergy are name, op_type"):
        LayerEnergy.of_columns(**{name: column for name, column in COLUMNS.items() if name != "priced"})
    with pytest.raises(ValueError, match="unpack"):
        LayerEnergy.of_columns(**COLUMNS | {"priced": [True]})
