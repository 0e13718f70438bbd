"""What is fitted of each kind of kernel: which table it is read from, and which coefficients that table determines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from joulecast.energy.engines.coefficients import KernelLaw
from joulecast_calibration.rows.engines.attention import decode_attention, latent_attention, prefill_attention
from joulecast_calibration.rows.engines.elementwise import elementwise
from joulecast_calibration.rows.engines.experts import experts
from joulecast_calibration.rows.engines.products import (
    block_products,
    integer_products,
    plain_products,
    quantised_products,
)
from joulecast_calibration.rows.engines.states import convolutions, recurrences
from joulecast_calibration.rows.engines.timed import Timed

Reader = Callable[[Path, str], Timed | None]

_TILED = ("compute_share", "memory_share", "tail_seconds", "tile_edge", "depth", "sharpness")
_NARROW = (*_TILED, "input_cycles")
_STORED = (*_TILED, "element_cycles")
_ATTENTION = ("compute_share", "memory_share", "tail_seconds", "unit_seconds", "element_cycles", "sharpness")

BOUNDS: Mapping[str, tuple[float, float]] = {
    "compute_share": (0.005, 1.0),
    "memory_share": (0.05, 0.97),
    "tail_seconds": (2e-7, 1e-4),
    "tile_edge": (0.1, 500.0),
    "depth": (1.0, 5000.0),
    "unit_seconds": (1e-8, 1e-4),
    "element_cycles": (1e-4, 10.0),
    "input_cycles": (1e-3, 10.0),
    "sharpness": (1.0, 12.0),
}
"""Of a search: no kernel is faster than its card, and an end of a range means that the table does not tell."""

_PRODUCT = KernelLaw(compute_share=0.7, memory_share=0.85, tail_seconds=3e-6, tile_edge=5.0, depth=100.0, sharpness=3.0)
_NARROWED = KernelLaw(
    compute_share=0.6,
    memory_share=0.85,
    tail_seconds=5e-6,
    tile_edge=5.0,
    depth=100.0,
    input_cycles=0.5,
    sharpness=3.0,
)
_UNPACKED = KernelLaw(
    compute_share=0.7,
    memory_share=0.8,
    tail_seconds=6e-6,
    tile_edge=5.0,
    depth=100.0,
    element_cycles=0.05,
    sharpness=3.0,
)
_GROUPED_UNPACKED = KernelLaw(
    compute_share=0.2,
    memory_share=0.7,
    tail_seconds=1e-5,
    tile_edge=5.0,
    depth=100.0,
    element_cycles=0.01,
    sharpness=3.0,
)
_ATTENDED = KernelLaw(
    compute_share=0.6,
    memory_share=0.8,
    tail_seconds=1e-5,
    unit_seconds=1e-6,
    element_cycles=0.06,
    sharpness=2.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of kernel.

    - ``read``: its table of a card; ``what``: the table in words.
    - ``start``: where the search begins; ``free``: what it moves.
    - ``like``: a kind whose fitted coefficients of the same card take the place of ``start``.
    """

    read: Reader
    what: str
    start: KernelLaw
    free: tuple[str, ...]
    like: str | None = None


def _quantised(name: str) -> Reader:
    return partial(quantised_products, name=name)


def _integer(name: str) -> Reader:
    return partial(integer_products, name=name)


def _experts(*names: str) -> Reader:
    return lambda folder, card: experts(folder, card, *names)


_BLOCKS_OF_FOUR = frozenset({"b200_sxm", "gb200", "b300_sxm", "gb300"})
"""Cards on which engines multiply mxfp4 by kernels for blocks (``serving.execution``) and never unpack it."""


def _unpacked_experts(folder: Path, card: str) -> Timed | None:
    names = ("int4_wo",) if card in _BLOCKS_OF_FOUR else ("int4_wo", "w4a16_mxfp4")
    return experts(folder, card, *names)


KINDS: Mapping[str, Kind] = {
    "pass": Kind(
        read=elementwise,
        what="passes over memory",
        start=KernelLaw(compute_share=0.5, memory_share=0.6, tail_seconds=2e-6),
        free=("memory_share",),
    ),
    "convolution": Kind(
        read=convolutions,
        what="causal convolutions",
        start=KernelLaw(compute_share=0.5, memory_share=0.8, tail_seconds=2e-6, element_cycles=0.1),
        free=("memory_share", "tail_seconds", "element_cycles", "sharpness"),
    ),
    "product": Kind(read=plain_products, what="bf16 products", start=_PRODUCT, free=_TILED),
    "product.fp8": Kind(read=_quantised("fp8"), what="fp8 products", start=_NARROWED, free=_NARROW),
    "product.fp8_block": Kind(
        read=block_products,
        what="fp8 products with scales of blocks",
        start=_NARROWED,
        free=("compute_share", "tile_edge"),
        like="product.fp8",
    ),
    "product.fp4": Kind(read=_quantised("nvfp4"), what="nvfp4 products", start=_NARROWED, free=_NARROW),
    "product.int8": Kind(read=_integer("sq"), what="int8 products", start=_NARROWED, free=_NARROW),
    "product.stored8": Kind(read=_integer("int8_wo"), what="products with int8 weights", start=_UNPACKED, free=_STORED),
    "product.stored4": Kind(read=_integer("int4_wo"), what="products with int4 weights", start=_UNPACKED, free=_STORED),
    "prefill_attention": Kind(read=prefill_attention, what="attention of prompts", start=_ATTENDED, free=_ATTENTION),
    "decode_attention": Kind(read=decode_attention, what="attention of decode", start=_ATTENDED, free=_ATTENTION),
    "latent_attention": Kind(
        read=latent_attention, what="attention of decode to a latent", start=_ATTENDED, free=_ATTENTION
    ),
    "recurrence": Kind(
        read=recurrences,
        what="gated delta rules",
        start=KernelLaw(compute_share=0.1, memory_share=0.8, tail_seconds=3e-6, sharpness=2.0),
        free=("compute_share", "memory_share", "tail_seconds", "sharpness"),
    ),
    "experts": Kind(read=_experts("bfloat16"), what="bf16 experts", start=_PRODUCT, free=_TILED),
    "experts.fp8": Kind(read=_experts("fp8_block"), what="fp8 experts", start=_NARROWED, free=_NARROW),
    "experts.fp4": Kind(read=_experts("nvfp4"), what="nvfp4 experts", start=_NARROWED, free=_NARROW),
    "experts.stored4": Kind(
        read=_unpacked_experts,
        what="experts with 4-bit weights",
        start=_GROUPED_UNPACKED,
        free=_STORED,
    ),
}
"""In the order of fits: mixtures of experts hold passes, whose law has to be known before."""

CARDS: Mapping[str, str] = {
    "NVIDIA-A100-SXM4-80GB": "a100_sxm",
    "NVIDIA-H100-80GB-HBM3": "h100_sxm",
    "NVIDIA-H200": "h200_sxm",
    "NVIDIA-B200": "b200_sxm",
    "NVIDIA-GB200": "gb200",
    "NVIDIA-B300-SXM6-AC": "b300_sxm",
    "NVIDIA-GB300": "gb300",
    "NVIDIA-L40S": "l40s",
    "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition": "rtx_pro_6000",
}
"""Product name to where its name in the tables begins."""
