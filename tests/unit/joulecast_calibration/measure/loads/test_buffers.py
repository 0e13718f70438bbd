from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
import torch

from joulecast.errors import MeasurementError
from joulecast.readers.module.calls import Call, TensorRef
from joulecast_calibration.measure.loads.buffers import set_bytes, set_count, shared_positions
from tests.unit.joulecast_calibration.measure.loads import calls

CPU = torch.device("cpu")


@dataclass
class Memory:
    """A device of a given size."""

    cache: int = 50 << 20  # of an H100
    free: int = 80 << 30
    torch: torch.device = CPU

    def cache_bytes(self) -> int:
        return self.cache

    def free_bytes(self) -> int:
        return self.free

    def synchronize(self) -> None: ...

    def release(self) -> None: ...

    def reset_peak(self) -> None: ...

    def peak_bytes(self) -> int | None:
        return None

    def versions(self) -> Mapping[str, str | None]:
        return {}


def added(numel: int) -> Call:
    """Of ``12 · numel`` bytes: two inputs and an output."""
    return calls.binary("aten.add.Tensor", numel)


@pytest.mark.parametrize(
    ("numel", "sets"),
    [
        (1, 64),  # tiny: as many as there may be
        (200_000, 64),  # 2.4 MB: 65.5 sets would be needed
        (1_000_000, 14),  # 12 MB: 157.3 MB / 12 MB = 13.1
        (13_107_200, 1),  # 157.3 MB: three caches by itself
        (100_000_000, 1),
    ],
)
def test_three_caches_lie_between_two_uses_of_a_buffer(numel: int, sets: int) -> None:
    assert set_count(added(numel), Memory()) == sets


def test_weights_inputs_and_outputs_count() -> None:
    assert set_bytes(calls.linear(batch=4, inputs=256, outputs=128)) == 4 * (4 * 256 + 128 * 256 + 128 + 4 * 128)


def test_gaps_between_elements_are_memory_too() -> None:
    call = Call(function="aten.relu.default", tensors=(calls.spec(2, 3, strides=(10, 2)),), outputs=(calls.spec(2, 3),))
    assert set_bytes(call) == 4 * 15 + 4 * 6


def test_memory_bounds_the_sets() -> None:
    assert set_count(added(1_000_000), Memory(free=60_000_000)) == 2
    assert set_count(added(1_000_000), Memory(free=13_000_000)) == 1


def test_what_does_not_fit_at_all_is_refused_before_it_is_made() -> None:
    with pytest.raises(MeasurementError, match="smaller batch") as refusal:
        set_count(added(1_000_000), Memory(free=11_000_000))
    assert refusal.value.reason == "OutOfMemory"


def test_a_table_is_shared_and_its_rows_differ() -> None:
    call = Call(
        function="aten.embedding.default",
        args=(TensorRef(0), TensorRef(1)),
        tensors=(calls.spec(250_000, 1024, role="parameter"), calls.spec(1, 128, dtype="int64", role="input")),
        outputs=(calls.spec(1, 128, 1024),),
    )
    assert shared_positions(call) == {0}
    assert set_count(call, Memory()) == 64
    with pytest.raises(MeasurementError, match=r"1\.02 GB"):
        set_count(call, Memory(free=1_000_000_000))
