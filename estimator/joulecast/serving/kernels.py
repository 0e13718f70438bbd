"""Rows of an engine's kernels: one call here is one kernel there, on one card of those that share the model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from joulecast.errors import WorkloadError
from joulecast.graph import ITEMSIZE_BYTES
from joulecast.layers import ENGINE_DOMAIN, Contraction, LayerProfile
from joulecast.workloads import DEFAULT_RUNTIME

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel, Norm, Storage
    from joulecast.serving.passes import Pass

ENGINES = ("vllm", "sglang")
"""Runtimes that execute these rows."""


def graph_runtime(runtime: str | None) -> str:
    """Return the runtime that an accelerator's profile has to have, which holds launch times and none of engines."""
    return runtime if runtime and runtime not in ENGINES else DEFAULT_RUNTIME


_OF_ONNX = ("Add", "Conv", "Gather", "Gemm", "Gelu")
"""Operators of these rows that ONNX has under the same name."""

COMPUTED_AS = {
    "bf16": "bfloat16",
    "fp16": "float16",
    "fp32": "float32",
    "fp8": "float8",
    "int8": "int8",
    "fp4": "float4",
}
"""The dtype of a row whose product runs in an arithmetic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldProduct:
    """``weights`` elements of the modules at ``paths``, of all experts, that the kernel ``name`` multiplies by."""

    name: str
    paths: tuple[str, ...]
    weights: int


@dataclass(slots=True, kw_only=True)
class Kernels:
    """Collects the rows of one pass of ``model`` on one of ``cards`` cards that split it (tensor parallel).

    Every figure of a row is this card's share. Work that every card repeats is not divided.
    ``held``: bytes of the weights that each row's kernel keeps on this card; ``products``: those that are multiplied.
    """

    model: LanguageModel
    run: Pass
    cards: int = 1
    rows: list[LayerProfile] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    products: list[HeldProduct] = field(default_factory=list)

    activation_bytes: float = field(init=False)
    """Bytes of an element of a hidden state."""

    def __post_init__(self) -> None:
        self.activation_bytes = ITEMSIZE_BYTES[self.model.dtype]

    @property
    def held_bytes(self) -> float:
        """Bytes of the weights that the rows' kernels keep on this card."""
        return sum(self.held)

    @property
    def cache_element_bytes(self) -> float:
        """Bytes of an element of a cached key, value or latent."""
        return ITEMSIZE_BYTES[self.model.cache_dtype or self.model.dtype]

    def cached(self, name: str, elements: int) -> None:
        """Add the write of ``elements`` of new keys and values into the cache."""
        self.add(name, "ReshapeAndCache", reads=elements, cache_bytes=elements * self.cache_element_bytes)

    def share(self, size: int, what: str) -> int:
        """Return this card's part of ``size``. Raises WorkloadError where it cannot be divided evenly."""
        if size % self.cards:
            raise WorkloadError(
                f"{what} of {self.model.model_type} is {size}, which {self.cards} cards cannot share evenly: give a"
                f" tensor-parallel degree that divides {size}"
            )
        return size // self.cards

    def product(
        self,
        name: str,
        paths: Iterable[str],
        *,
        tokens: int,
        inputs: int,
        outputs: int,
        bias: int = 0,
        tied: bool = False,
        op_type: str = "Gemm",
    ) -> None:
        """Add (tokens, inputs) × (inputs, outputs), merged of the modules at ``paths``; sizes are this card's.

        ``bias``: how many outputs have one. ``tied``: the weights are an embedding's, and no parameters of their own.
        """
        self.stored_product(
            name,
            paths,
            op_type=op_type,
            contractions=(Contraction(batch=1, m=tokens, n=outputs, k=inputs),) if tokens else (),
            weights=inputs * outputs,
            bias=bias,
            reads=tokens * inputs,
            writes=tokens * outputs,
            tied=tied,
        )

    def stored_product(
        self,
        name: str,
        paths: Iterable[str],
        *,
        op_type: str,
        contractions: tuple[Contraction, ...],
        weights: int,
        reads: int,
        writes: int,
        bias: int = 0,
        tied: bool = False,
        copies: int = 1,
        copies_read: float = 1.0,
    ) -> None:
        """Add a product with ``weights`` elements and ``bias`` outputs of the modules at ``paths``.

        ``copies``: how many such products the card holds (experts); ``copies_read``: how many of them this pass reads.
        """
        paths = tuple(paths)
        storage = self._storage(name, paths)
        if not tied:
            self.products.append(HeldProduct(name=name, paths=paths, weights=copies * weights))
        own = 0 if tied else weights
        bias_bytes = bias * self.activation_bytes
        self.add(
            name,
            op_type,
            contractions=contractions,
            params=copies * (own + bias),
            reads=reads,
            writes=writes,
            weights=round(copies_read * (weights + bias)),
            weight_bytes=copies_read * (weights * storage.bits / 8 + bias_bytes),
            held_bytes=copies * (own * storage.bits / 8 + bias_bytes),
            dtype=COMPUTED_AS[storage.arithmetic],
        )

    def _storage(self, name: str, paths: Iterable[str]) -> Storage:
        found = {self.model.storage_of(path) for path in paths}
        if len(found) != 1:
            methods = ", ".join(sorted(f"{each.dtype} ({each.method or 'unquantised'})" for each in found))
            raise WorkloadError(
                f"the parts of {name} are stored in {methods}, and engines merge them into one product: quantise them"
                " alike"
            )
        return found.pop()

    def add(
        self,
        name: str,
        op_type: str,
        *,
        reads: int = 0,
        writes: int = 0,
        weights: int = 0,
        weight_bytes: float | None = None,
        cache_bytes: float = 0.0,
        held_bytes: float | None = None,
        params: int = 0,
        contractions: tuple[Contraction, ...] = (),
        macs: int | None = None,
        dtype: str | None = None,
        launches: int = 1,
    ) -> None:
        """Add one kernel.

        - ``reads``, ``writes``: elements of activations; ``weights``: stored elements read.
        - ``weight_bytes``: of these, where they are not stored as activations are.
        - ``cache_bytes``: of keys, values or states that are read and written beside.
        - ``held_bytes``: of the parameters in the card's memory, where they are not stored as activations are.
        - ``contractions``: what is executed; ``macs``: by the convention of dense attention, where it differs.
        """
        stored = weights * self.activation_bytes if weight_bytes is None else weight_bytes
        moved = (reads + writes) * self.activation_bytes + stored + cache_bytes
        self.held.append(params * self.activation_bytes if held_bytes is None else held_bytes)
        own = sum(each.macs for each in contractions) if macs is None else macs
        stated = (name, op_type, dtype or self.model.dtype, own, params, reads, writes, weights, math.ceil(moved))
        self.rows.append(_row(*stated, contractions, launches))

    def all_reduce(self, name: str, elements: int) -> None:
        """Add the sum of ``elements`` over all cards; one card needs none."""
        if self.cards > 1 and elements:
            self.add(name, "AllReduce", reads=elements, writes=elements)


@lru_cache(maxsize=4096)
def _row(
    name: str,
    op_type: str,
    dtype: str,
    macs: int,
    params: int,
    reads: int,
    writes: int,
    weights: int,
    bytes_moved: int,
    contractions: tuple[Contraction, ...],
    launches: int,
) -> LayerProfile:
    """Return the row of a kernel. The last ones are kept: decode steps differ in their attention alone."""
    return LayerProfile(
        name=name,
        op_type=op_type,
        kind="counted" if macs else "zero",
        domain="" if op_type in _OF_ONNX else ENGINE_DOMAIN,
        scope=name.rpartition(".")[0],
        dtype=dtype,
        macs=macs,
        params=params,
        activations=writes if macs else 0,
        input_numel=reads,
        output_numel=writes,
        weight_numel=weights,
        float_numel=reads + writes + weights,
        bytes_moved=bytes_moved,
        kernels=dict.fromkeys(ENGINES, launches),
        contractions=contractions,
    )


_NORMALISATIONS = {("rms", True): "FusedAddRMSNorm", ("rms", False): "RMSNorm"}
"""Kernel by kind and whether it adds the residual too. Engines run LayerNorm by torch, which fuses no addition."""


def normalise(kernels: Kernels, name: str, norm: Norm, tokens: int, *, residual: bool = True) -> None:
    """Add a normalisation of ``tokens`` vectors; ``residual``: with the addition of the residual before it."""
    own = tokens * norm.width
    stored = norm.width * (norm.scale + norm.bias)
    streams = 2 if residual else 1
    kernels.add(
        name,
        _NORMALISATIONS.get((norm.kind, residual), "LayerNorm"),
        reads=streams * own,
        writes=streams * own,
        weights=stored,
        params=stored,
    )
