"""Decide which values have no negative element because a ReLU comes before them."""

from __future__ import annotations

from joulecast.readers.module.calls import Call

MAKERS = frozenset({"relu", "relu_", "relu6", "abs", "square"})

CARRIERS = frozenset(
    """view _unsafe_view reshape permute transpose t slice select split split_with_sizes chunk unbind expand squeeze
    unsqueeze alias detach clone _to_copy as_strided max_pool1d_with_indices max_pool2d_with_indices
    max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d mean sum dropout
    native_dropout upsample_nearest2d upsample_bilinear2d constant_pad_nd cat stack flip roll repeat amax max
    pixel_shuffle channel_shuffle""".split()
)


def positive(call: Call) -> bool:
    """Decide whether a ReLU before the call makes all its outputs non-negative."""
    name = call.function.split(".")[1 if call.function.startswith("aten.") else -1]
    if name in MAKERS:
        return True
    if name in ("hardtanh", "hardtanh_", "clamp", "clamp_min"):
        return len(call.args) > 1 and isinstance(call.args[1], int | float) and call.args[1] >= 0
    return name in CARRIERS and bool(call.tensors) and all(tensor.positive for tensor in call.tensors)
