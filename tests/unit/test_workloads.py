"""The batch size and the shapes of a workload, as far as a request decides them."""

from __future__ import annotations

import numpy as np
import pytest

from joulecast.errors import WorkloadError
from joulecast.workloads import FORECAST_BATCH_SIZE, WorkloadRequest, traced_workload


def test_the_word_batch_is_replaced_by_the_batch_size() -> None:
    asked = WorkloadRequest(input_shapes={"x": ("batch", 3), "state": (2, "batch")})
    workload = asked.resolve(lambda default: 5)
    assert workload.batch_size == 5
    assert workload.input_shapes == {"x": (5, 3), "state": (2, 5)}


def test_the_default_is_what_a_reader_falls_back_to() -> None:
    asked = WorkloadRequest(default_batch_size=FORECAST_BATCH_SIZE)
    assert asked.resolve(lambda default: default).batch_size == FORECAST_BATCH_SIZE


def test_without_a_batch_size_only_shapes_of_numbers_decide_it() -> None:
    shapes = {"x": (4, 3), "mask": ("batch", 3)}
    assert WorkloadRequest(input_shapes=shapes).deciding_shapes == {"x": (4, 3)}
    assert WorkloadRequest(input_shapes=shapes, batch_size=4).deciding_shapes == {"x": (4, 3), "mask": (4, 3)}


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        (WorkloadRequest(), 7),
        (WorkloadRequest(batch_size=2), 2),
        (WorkloadRequest(input_shapes={"x": (4, 3)}), 4),
        (WorkloadRequest(batch_size=4, input_shapes={"x": (4, 3)}), 4),
        (WorkloadRequest(input_shapes={"x": ("batch", 3)}), 7),
    ],
)
def test_the_leading_dimension_decides_where_it_is_always_the_batch(asked: WorkloadRequest, size: int) -> None:
    assert asked.leading_batch_size(7) == size


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (WorkloadRequest(input_shapes={"x": (4, 3), "y": (5,)}), "4 by --input x, 5 by --input y; give one"),
        (WorkloadRequest(batch_size=2, input_shapes={"x": (4, 3)}), "4 by --input x and 2 by --batch-size; give one"),
    ],
)
def test_leading_dimensions_that_disagree_are_refused(asked: WorkloadRequest, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        asked.leading_batch_size(1)


def test_example_inputs_hold_their_batch() -> None:
    shapes = {"scalar": (), "x": (6, 3)}
    assert traced_workload(shapes, None).batch_size == 6
    assert traced_workload(shapes, 2).batch_size == 2
    assert traced_workload({}, None).batch_size == 1
    with pytest.raises(WorkloadError, match="batch size 0 is not a whole number from 1 up"):
        traced_workload(shapes, 0)


def test_numbers_of_numpy_are_whole_numbers() -> None:
    asked = WorkloadRequest(batch_size=np.int64(3), input_shapes={"x": (np.int64(3), 2)})  # type: ignore[arg-type, dict-item]
    assert asked.shapes_at(3) == {"x": (3, 2)}
