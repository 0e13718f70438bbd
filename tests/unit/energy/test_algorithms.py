from __future__ import annotations

import pytest

from joulecast.energy.algorithms import convolved, kind_of, layout_bytes, winograd
from joulecast.layers import Contraction, LayerProfile


def _conv(
    channels: int, outputs: int, size: int, *, kernel: int = 3, stride: int = 1, groups: int = 1, batch: int = 32,
    dtype: str = "float32",
) -> LayerProfile:  # fmt: skip
    written = size // stride
    product = Contraction(batch=groups, m=batch * written**2, n=outputs // groups, k=channels // groups * kernel**2)
    return LayerProfile(
        name="conv",
        op_type="Conv",
        kind="counted",
        dtype=dtype,
        macs=product.macs,
        input_numel=batch * channels * size**2,
        output_numel=batch * outputs * written**2,
        contractions=(product,),
        input_shapes=((batch, channels, size, size), (outputs, channels // groups, kernel, kernel)),
        output_shapes=((batch, outputs, written, written),),
    )


def test_whole_tiles_take_2_25_and_4_times_fewer_multiplications() -> None:
    layer = _conv(64, 64, 56)
    fused, through_memory = winograd(layer)
    assert (fused.saved, through_memory.saved) == (2.25, 4.0)
    assert layer.macs == fused.product.macs * 2.25 == through_memory.product.macs * 4
    assert fused.extra_elements == 0
    assert through_memory.extra_elements == 2 * 36 * (32 * 14 * 14) * (64 + 64)


def test_tiles_over_the_edge_are_executed_too() -> None:
    fused, through_memory = winograd(_conv(512, 512, 7))
    assert fused.product.m == 32 * 4 * 4
    assert through_memory.product.m == 32 * 2 * 2


@pytest.mark.parametrize(
    "layer",
    [
        _conv(64, 128, 56, stride=2),
        _conv(64, 64, 56, kernel=1),
        _conv(64, 64, 56, kernel=5),
        _conv(128, 128, 56, groups=32),
        _conv(3, 64, 56),
        _conv(16, 16, 56),
        _conv(512, 512, 7, batch=1),
    ],
    ids=["stride 2", "1 x 1", "5 x 5", "grouped", "images", "few channels", "few tiles"],
)
def test_shapes_that_have_no_winograd(layer: LayerProfile) -> None:
    assert winograd(layer) == ()


@pytest.mark.parametrize(
    "layer, kind",
    [
        (_conv(64, 64, 56), "square"),
        (_conv(64, 64, 56, stride=2), "strided"),
        (_conv(64, 256, 56, kernel=1), "pointwise"),
        (_conv(64, 256, 56, kernel=1, stride=2), "pointwise"),
        (_conv(64, 64, 56, kernel=7, groups=64), "depthwise"),
        (_conv(128, 128, 56, groups=32), "narrow groups"),
        (_conv(128, 128, 56, groups=2), "grouped"),
        (_conv(3, 64, 224, kernel=7, stride=2), "stem"),
        (_conv(64, 64, 56, kernel=7), "large"),
    ],
)
def test_convolutions_by_their_shapes(layer: LayerProfile, kind: str) -> None:
    assert kind_of(layer) == kind


def test_strides_are_read_from_the_sizes() -> None:
    for stride in (1, 2, 4):
        sizes = convolved(_conv(64, 64, 56, stride=stride))
        assert sizes is not None and sizes.strides == (stride, stride)


def test_transposes_surround_tensor_core_convolutions_of_images_that_lie_channel_by_channel() -> None:
    half = _conv(64, 64, 56, dtype="float16")
    assert layout_bytes(half, channels_last=False) == 4 * (half.input_numel + half.output_numel)
    assert layout_bytes(half, channels_last=True) == 0
    assert layout_bytes(_conv(64, 64, 56), channels_last=False) == 0
    assert layout_bytes(_conv(64, 64, 56, groups=64, dtype="float16"), channels_last=False) == 0


@pytest.mark.parametrize(("taps", "kind"), [(0, "resize"), (1, "resize"), (4, "interpolation"), (16, "interpolation")])
def test_an_interpolation_is_another_kernel_than_the_nearest(taps: int, kind: str) -> None:
    assert kind_of(LayerProfile(name="resize", op_type="Resize", kind="zero", taps=taps)) == kind
