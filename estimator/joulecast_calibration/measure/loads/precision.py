"""Set the arithmetic of a measurement. ``default`` is torch's own setting and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch

from joulecast.errors import MeasurementError
from joulecast.readers.module.calls import Call, TensorSpec
from joulecast_calibration.measure.plan.configuration import PRECISIONS

HALVES: Mapping[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Precisions that convert the model, as ``module.to(dtype)`` does; autocast is not used."""


def half_of(precision: str) -> torch.dtype | None:
    """Return what float32 tensors are converted to, or None where they stay."""
    if precision not in PRECISIONS:
        raise MeasurementError(f"unknown precision {precision!r}: choose from {', '.join(PRECISIONS)}")
    return HALVES.get(precision)


def built_dtype(precision: str) -> str:
    """Return the dtype in which a network is built: a name for ``readers.named.build``."""
    return str(half_of(precision) or torch.float32).removeprefix("torch.")


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Set torch's switches for the precision, and restore them after the block.

    ``tf32``: ``torch.set_float32_matmul_precision("high")``. By default, torch multiplies matrices in float32 and
    convolves in TF32.
    """
    half_of(precision)
    if precision != "tf32":
        yield
        return
    before, newer = torch.get_float32_matmul_precision(), [place.fp32_precision for place in _PLACES]
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        for place, own in zip(_PLACES, newer, strict=True):
            place.fp32_precision = own  # "highest" writes "ieee" where torch, unasked, has "none"


_PLACES = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
"""What ``set_float32_matmul_precision`` writes to beside its own switch. Setting these alone would leave the two in
contradiction, which torch refuses to read."""


def in_precision(call: Call, precision: str) -> Call:
    """Convert the call's tensors as a converted model would, and keep its own dtype arguments."""
    half = half_of(precision)
    if half is None:
        return call
    name = str(half).removeprefix("torch.")
    return replace(
        call,
        tensors=tuple(_converted(tensor, name) for tensor in call.tensors),
        outputs=tuple(_converted(tensor, name) for tensor in call.outputs),
    )


def _converted(tensor: TensorSpec, name: str) -> TensorSpec:
    return replace(tensor, dtype=name) if tensor.dtype == "float32" else tensor
