"""Pooling and interpolation."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import NamingRule, Reading, entry, over_tensors


def _adaptive(op_type: str) -> NamingRule:
    """Return the rule of pooling to one position a channel, or to several."""

    def rule(reading: Reading) -> None:
        given = reading.given("self")
        spatial = reading.output.shape[2:] if len(given.shape) > 2 else reading.output.shape[1:]
        one = all(size == 1 for size in spatial)
        reading.node(f"Global{op_type}" if one else op_type, (given.name,))

    return entry(rule, "self output_size")


def _max_pool(reading: Reading) -> None:
    """Add a pooling; the places of the maxima are an output only if some call reads them, as in stored files."""
    reading.node("MaxPool", (reading.name("self"),), reading.outputs[:1], kernel_shape=reading.value("kernel_size"))


def _average(reading: Reading) -> None:
    reading.node("AveragePool", (reading.name("self"),), kernel_shape=reading.value("kernel_size"))


def _resize(mode: str, *, antialias: int = 0) -> NamingRule:
    """Return the rule of an interpolation in one of ONNX's modes."""

    def rule(reading: Reading) -> None:
        reading.node("Resize", (reading.name("self"),), mode=mode, antialias=antialias)

    return entry(rule, "self")


TABLE: Mapping[str, NamingRule] = {
    **{f"aten._adaptive_avg_pool{n}d": _adaptive("AveragePool") for n in (2, 3)},
    **{f"aten.adaptive_avg_pool{n}d": _adaptive("AveragePool") for n in (1, 2, 3)},
    **{f"aten.adaptive_max_pool{n}d": _adaptive("MaxPool") for n in (1, 2, 3)},
    **{f"aten.avg_pool{n}d": entry(_average, "self kernel_size") for n in (1, 2, 3)},
    **{f"aten.max_pool{n}d_with_indices": entry(_max_pool, "self kernel_size") for n in (1, 2, 3)},
    **{f"aten.max_pool{n}d": entry(_max_pool, "self kernel_size") for n in (1, 2, 3)},
    "aten.fractional_max_pool2d": over_tensors("MaxPool"),
    "aten.max_unpool2d": over_tensors("MaxUnpool"),
    **{f"aten.upsample_nearest{n}d": _resize("nearest") for n in (1, 2, 3)},
    **{f"aten._upsample_nearest_exact{n}d": _resize("nearest") for n in (1, 2, 3)},
    **{f"aten.upsample_{name}": _resize("linear") for name in ("linear1d", "bilinear2d", "trilinear3d")},
    "aten.upsample_bicubic2d": _resize("cubic"),
    "aten._upsample_bilinear2d_aa": _resize("linear", antialias=1),
    "aten._upsample_bicubic2d_aa": _resize("cubic", antialias=1),
    "aten.affine_grid_generator": over_tensors("AffineGrid"),
    "torchvision.roi_align.default": over_tensors("RoiAlign"),
    "aten.grid_sampler_2d": over_tensors("GridSample"),
    "aten.grid_sampler_3d": over_tensors("GridSample"),
}
