"""Measure the device's highest rates: bytes per second of a large copy, operations per second of a large product.

Random data and zeros are both used. A product of zeros runs up to 13 % faster, so no row is measured on zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from joulecast_calibration.measure.bench.gaps import Measure
from joulecast_calibration.measure.loads.capture import graph_load
from joulecast_calibration.measure.loads.devices import Device, described_errors
from joulecast_calibration.measure.loads.precision import arithmetic
from joulecast_calibration.measure.loads.streams import ClosableLoad
from joulecast_calibration.rows.typed import Ceiling

COPY_BYTES: Mapping[str, int] = {"cuda": 1 << 30, "cpu": 1 << 27}  # many times the last cache
PRODUCT_SIZE: Mapping[str, int] = {"cuda": 8192, "cpu": 512}  # fills every multiprocessor of an H100 many times over
DATA = ("random", "zeros")
PRODUCTS: Mapping[str, tuple[torch.dtype, str]] = {
    "float32": (torch.float32, "default"), "tf32": (torch.float32, "tf32"), "bfloat16": (torch.bfloat16, "default"),
    "float16": (torch.float16, "default"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CeilingWork:
    """What is run to find a ceiling; ``bytes`` (read and written) and ``flops`` are of one execution."""

    what: Literal["copy", "gemm"]
    dtype: str
    data: str
    bytes: int = 0
    flops: int = 0


def ceilings(device: Device, measure: Measure) -> list[Ceiling]:
    """Measure each ceiling: rate, watts, and joules and seconds of one execution. Raises what ``measure`` raises."""
    return [_measured(work, device, measure) for work in (*copies(device), *products(device))]


def copies(device: Device) -> Iterator[CeilingWork]:
    moved = 2 * COPY_BYTES[device.torch.type]
    yield from (CeilingWork(what="copy", dtype="float32", data=data, bytes=moved) for data in DATA)


def products(device: Device) -> Iterator[CeilingWork]:
    """Yield the matrix products; processors get float32 alone, as their half precision does not represent a network."""
    flops = 2 * PRODUCT_SIZE[device.torch.type] ** 3
    for dtype in PRODUCTS if device.torch.type == "cuda" else ("float32",):
        yield from (CeilingWork(what="gemm", dtype=dtype, data=data, flops=flops) for data in DATA)


def _measured(work: CeilingWork, device: Device, measure: Measure) -> Ceiling:
    with ceiling_load(work, device) as load:
        window = measure(load)
    return Ceiling(
        what=work.what,
        dtype=work.dtype,
        data=work.data,
        watts=window.watts,
        joules=window.watts * window.seconds,
        seconds=window.seconds,
        bytes_per_second=work.bytes / window.seconds if work.bytes else None,
        flops_per_second=work.flops / window.seconds if work.flops else None,
    )


@contextmanager
def ceiling_load(work: CeilingWork, device: Device) -> Iterator[ClosableLoad]:
    """Build the load of one ceiling; its memory is freed after the block."""
    dtype, precision = PRODUCTS[work.dtype]
    with (
        described_errors(device, f"{work.what} of {work.dtype}"),
        arithmetic(precision),
        closing(_load(work, _shape(work, dtype, device), dtype, device)) as load,
    ):
        yield load


def _shape(work: CeilingWork, dtype: torch.dtype, device: Device) -> tuple[int, ...]:
    kind = device.torch.type
    return (PRODUCT_SIZE[kind],) * 2 if work.what == "gemm" else (COPY_BYTES[kind] // dtype.itemsize,)


def _load(work: CeilingWork, shape: tuple[int, ...], dtype: torch.dtype, device: Device) -> ClosableLoad:
    generator = torch.Generator(device.torch).manual_seed(0)
    left, right = (torch.zeros(shape, dtype=dtype, device=device.torch) for _ in range(2))
    if work.data == "random":
        left.normal_(generator=generator)
        right.normal_(generator=generator)
    if work.what == "copy":
        return graph_load([lambda: right.copy_(left)], device.torch)
    result = torch.empty_like(left)
    return graph_load([lambda: torch.mm(left, right, out=result)], device.torch)


@contextmanager
def busy_load(device: Device) -> Iterator[ClosableLoad]:
    """Build a steady load of high power: the float32 product of random matrices."""
    flops = 2 * PRODUCT_SIZE[device.torch.type] ** 3
    with ceiling_load(CeilingWork(what="gemm", dtype="float32", data="random", flops=flops), device) as load:
        yield load
