"""State spaces as engines run them: products around a causal convolution and a scan over a state of fixed size.

A prompt takes kernels that read it whole or in chunks; each later token takes one update of the state. The products of
scans are listed in ``scans``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from joulecast.graph import ITEMSIZE_BYTES
from joulecast.layers import Contraction
from joulecast.serving.mixers.scans import chunks, scanned, updated
from joulecast.serving.mixers.states import Share, share

if TYPE_CHECKING:
    from joulecast.blocks import StateSpace
    from joulecast.serving.kernels import Kernels
    from joulecast.serving.passes import Sequences

SCAN_KERNELS = {"mamba": 1, "mamba2": 5, "gated-delta": 6}
"""Kernels of a scan in vLLM: selective_scan_fwd; cumulative sums, chunk states, their passing, products in a chunk and
chunk scan of mamba2; cumulative sums, key products, triangular inverse, its two products, states and outputs of
gated-delta."""


def state_space(kernels: Kernels, block: StateSpace, path: str) -> None:
    """Add the kernels of a state space at ``path``."""
    part = share(kernels, block)
    tokens = kernels.run.tokens
    _entered(kernels, block, path, part)
    for number, group in enumerate(kernels.run.groups):
        _convolved(kernels, block, path, part, group, owns=number == 0)
    if block.kind == "mamba":
        _stepped(kernels, block, path, part)
    for number, group in enumerate(kernels.run.groups):
        _scanned(kernels, block, path, part, group, owns=number == 0)
    if block.norm is not None:
        stored = part.inner if block.norm.width == block.inner else block.norm.width
        own = tokens * part.inner
        kernels.add(f"{path}.norm", "GatedRMSNorm", reads=2 * own, writes=own, weights=stored, params=stored)
    last = f"{path}.out_proj"
    kernels.product(last, (last,), tokens=tokens, inputs=part.inner, outputs=block.width, bias=block.bias * block.width)
    kernels.all_reduce(f"{path}.all_reduce", tokens * block.width)


def _entered(kernels: Kernels, block: StateSpace, path: str, part: Share) -> None:
    """Add the merged product at the input, and that of decay and step where they have one of their own."""
    names = [f"{path}.{name}" for name in block.projections]
    outputs = part.inner + (part.channels if block.kind != "mamba" else part.inner)
    outputs += part.heads if block.kind == "mamba2" else 0
    product = partial(kernels.product, tokens=kernels.run.tokens, inputs=block.width)
    product(f"{path}.in_proj", names, outputs=outputs, bias=block.bias * outputs)
    if block.gates:
        product(f"{path}.in_proj_ba", [f"{path}.{name}" for name in block.gates], outputs=2 * part.heads)


def _convolved(kernels: Kernels, block: StateSpace, path: str, part: Share, group: Sequences, *, owns: bool) -> None:
    """Add the depthwise convolution of one group; ``owns``: the parameters are counted here."""
    own, stored = group.tokens * part.channels, part.channels * (block.convolution + block.convolution_bias)
    kernels.add(
        f"{path}.conv1d",
        "CausalConvUpdate" if group.decodes else "CausalConv",
        reads=own,
        writes=own,
        weights=stored,
        params=stored if owns else 0,
        contractions=(Contraction(batch=part.channels, m=group.tokens, n=1, k=block.convolution),),
        cache_bytes=_moved(group) * part.channels * (block.convolution - 1) * kernels.activation_bytes,
    )


def _moved(group: Sequences) -> int:
    """Return how often states are moved: they are written, and read where tokens came before."""
    return group.count * (2 if group.cached_tokens else 1)


def _chunks(block: StateSpace, group: Sequences) -> int:
    """Return how many chunks of a sequence pass a state through memory; mamba's scan passes none."""
    return sum(times for times, _ in chunks(group.new_tokens, block.chunk)) if block.chunk else 0


def _stepped(kernels: Kernels, block: StateSpace, path: str, part: Share) -> None:
    """Add mamba's products of step, inputs and outputs of the state; the first is a sum over the cards."""
    tokens, own = kernels.run.tokens, block.step_rank + 2 * block.state
    first, second = f"{path}.x_proj", f"{path}.dt_proj"
    kernels.product(first, (first,), tokens=tokens, inputs=part.inner, outputs=own)
    kernels.all_reduce(f"{first}.all_reduce", tokens * own)
    for number, norm in enumerate(block.step_norms):
        moved, stored = tokens * norm.width, norm.width * norm.scale
        kernels.add(f"{path}.norm{number}", "RMSNorm", reads=moved, writes=moved, weights=stored, params=stored)
    kernels.product(second, (second,), tokens=tokens, inputs=block.step_rank, outputs=part.inner, bias=part.inner)


def _scanned(kernels: Kernels, block: StateSpace, path: str, part: Share, group: Sequences, *, owns: bool) -> None:
    """Add the scan of a prompt or the update of the state by one token of each sequence."""
    contractions = (updated if group.decodes else scanned)(block, part, group)
    item = ITEMSIZE_BYTES[block.state_dtype or kernels.model.dtype]
    between = 0 if group.decodes else 2 * group.count * _chunks(block, group)
    kernels.add(
        f"{path}.scan",
        {"mamba": "Selective", "mamba2": "Chunk", "gated-delta": "GatedDelta"}[block.kind]
        + ("Update" if group.decodes else "Scan"),
        reads=group.tokens * (part.channels + part.steps),
        writes=group.tokens * part.inner,
        weights=part.scan_parameters,
        params=part.scan_parameters if owns else 0,
        contractions=contractions,
        cache_bytes=(_moved(group) + between) * part.state * item,
        launches=1 if group.decodes else SCAN_KERNELS[block.kind],
    )
