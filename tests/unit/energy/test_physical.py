"""What the law says of single products: how they lie, how they are cut, and in which arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from joulecast.energy.features import LONGEST_ROW, Array, features
from joulecast.energy.generic import chip_of_sheet, law_of
from joulecast.energy.physical import UNALIGNED, WAIT_SECONDS, Busy, Chip, busy, compute_seconds
from joulecast.energy.profile import Law
from joulecast.layers import LayerProfile
from joulecast_calibration.fit.shared import START, sheet_of
from tests.unit.energy.profiles import elementwise, product


def gemm(
    m: int, k: int, n: int, *, weights: tuple[int, int] | None = None, leading: tuple[int, ...] = ()
) -> LayerProfile:
    """A product with weights: ``m`` rows, or ``leading`` axes of as many."""
    shapes = ((*(leading or (m,)), k), weights or (n, k))
    return replace(product(m, n, k, op_type="Gemm"), input_shapes=shapes)


def matmul(batch: int, m: int, k: int, n: int) -> LayerProfile:
    """A product of two activations."""
    return replace(product(m, n, k, batch=batch), input_shapes=((batch, m, k), (batch, k, n)))


@pytest.fixture
def chip() -> Chip:
    sheet = sheet_of("NVIDIA-A100-PCIE-40GB")
    assert sheet is not None
    return chip_of_sheet(sheet)


@pytest.fixture
def law() -> Law:
    sheet = sheet_of("NVIDIA-A100-PCIE-40GB")
    assert sheet is not None
    return law_of(START, sheet)


def seconds(rows: list[LayerProfile], precision: str, law: Law, chip: Chip) -> Array:
    return compute_seconds(features(rows, precision=precision, runtime="torch-eager"), law, chip)


def spent(row: LayerProfile, precision: str, law: Law, chip: Chip, clock: float = 1.0) -> Busy:
    return busy(features([row], precision=precision, runtime="torch-eager"), law, chip, np.array([clock]))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (gemm(64, 768, 3072), True),  # a Linear layer of two axes
        (gemm(64, 768, 3072, weights=(768, 3072)), False),  # Conv1D
        (gemm(64, 768, 3072, weights=(768, 3072), leading=(2, 32)), True),  # Linear: the file holds the transpose
        (gemm(64, 768, 768), True),  # square weights do not tell
        (matmul(12, 64, 64, 64), False),
    ],
)
def test_how_weights_lie_is_read_from_shapes(row: LayerProfile, expected: bool) -> None:
    assert features([row], precision="default", runtime="torch-eager").transposed.tolist() == [expected]


def test_transposed_weights_take_longer_outside_tensor_cores_alone(law: Law, chip: Chip) -> None:
    linear, conv1d = gemm(8192, 768, 3072), gemm(8192, 768, 3072, weights=(768, 3072))
    slow, quick = seconds([linear, conv1d], "fp32", law, chip)
    depth = law.depth * chip.peak_flops[0] / chip.peak_flops.max()
    extra = law.transposed_depth["fp32"]
    assert slow / quick == pytest.approx((768 + depth + extra) / (768 + depth))
    slow, quick = seconds([linear, conv1d], "bf16", law, chip)
    assert slow == quick


def test_a_prologue_takes_the_same_time_in_every_arithmetic(law: Law, chip: Chip) -> None:
    equal = replace(
        law, compute_efficiency=dict.fromkeys(law.compute_efficiency, 1.0), tile_edge={}, transposed_depth={}
    )
    without = replace(equal, depth=0.0)
    row = matmul(108, 256, 64, 128)  # one wave of the largest tiles
    prologues = [
        float(seconds([row], name, equal, chip)[0] - seconds([row], name, without, chip)[0])
        for name in ("fp32", "tf32", "bf16")
    ]
    assert prologues == pytest.approx([prologues[0]] * 3)


@pytest.mark.parametrize(("precision", "step"), [("bf16", 8), ("fp16", 8), ("tf32", 4)])
def test_tensor_cores_want_rows_that_begin_at_sixteen_bytes(precision: str, step: int, law: Law, chip: Chip) -> None:
    aligned, odd = matmul(64, 200, 64, 64 * step), matmul(64, 200, 64, 64 * step - 1)
    good, bad = seconds([aligned, odd], precision, law, chip)
    assert bad / good == pytest.approx(UNALIGNED)  # as many tiles
    good, bad = seconds([aligned, odd], "fp32", law, chip)
    assert bad == good


def test_joules_of_products_do_not_depend_on_how_weights_lie_but_through_time(law: Law, chip: Chip) -> None:
    linear, conv1d = gemm(8192, 768, 3072), gemm(8192, 768, 3072, weights=(768, 3072))
    one, other = (spent(row, "fp32", law, chip) for row in (linear, conv1d))
    assert one.compute_joules == pytest.approx(other.compute_joules)
    assert one.static_joules / one.seconds == pytest.approx(other.static_joules / other.seconds)


def test_a_lower_clock_takes_longer_and_less_dynamic_energy(law: Law, chip: Chip) -> None:
    row = gemm(8192, 4096, 4096)
    high, low = spent(row, "bf16", law, chip), spent(row, "bf16", law, chip, clock=0.5)
    assert low.seconds[0] == pytest.approx(2 * high.seconds[0], rel=0.05)
    assert low.compute_joules[0] < high.compute_joules[0]
    assert low.memory_joules[0] == high.memory_joules[0]


@pytest.mark.parametrize(("length", "times"), [(LONGEST_ROW, 1), (LONGEST_ROW + 1, 2)])
def test_a_long_softmax_works_on_every_element_twice(length: int, times: int) -> None:
    row = replace(elementwise(64 * length, op_type="Softmax"), input_shapes=((64, length),))
    assert features([row], precision="default", runtime="torch-eager").elements.tolist() == [times * 64 * length]


def resize(taps: int, *, images: int = 1024) -> LayerProfile:
    """A resize of maps of 7 × 7 to 14 × 14 positions, 1,024 channels."""
    shape = (images, 1024, 14, 14)
    return replace(
        elementwise(math.prod(shape), op_type="Resize"),
        taps=taps,
        input_shapes=((images, 1024, 7, 7),),
        output_shapes=(shape,),
    )


def test_torch_interpolates_all_images_and_channels_of_a_position_in_turn(law: Law, chip: Chip) -> None:
    """An RTX 4090 takes 0.29 µs for each, however many multiprocessors it has (timm, EfficientFormerV2)."""
    nearest, linear = (features([resize(taps)], precision="default", runtime="torch-eager") for taps in (1, 4))
    assert nearest.turns.tolist() == [0]
    assert linear.turns.tolist() == [1024 * 1024]
    seconds = [float(busy(rows, law, chip, np.ones(1)).seconds[0]) for rows in (nearest, linear)]
    assert seconds[1] == pytest.approx(1024 * 1024 * WAIT_SECONDS, rel=0.05)
    assert seconds[1] > 20 * seconds[0]


def test_other_runtimes_interpolate_with_a_thread_for_each_element() -> None:
    assert features([resize(4)], precision="default", runtime="onnxruntime-cuda").turns.tolist() == [0]
