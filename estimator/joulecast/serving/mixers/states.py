"""What one card holds of a state space: its part of heads and channels, and the bytes of a sequence's states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from joulecast.graph import ITEMSIZE_BYTES

if TYPE_CHECKING:
    from joulecast.blocks import StateSpace
    from joulecast.serving.kernels import Kernels


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One card's part of a state space.

    - ``groups``: key groups or key heads; at least one, since every card with heads needs the keys of these.
    - ``channels``: of the convolution.
    - ``steps``: elements of a token that the scan reads beside these channels.
    - ``state``: elements of a sequence's state.
    - ``scan_parameters``: of the scan itself: decay, skip and step bias.
    """

    inner: int
    heads: int
    groups: int
    channels: int
    steps: int
    state: int
    scan_parameters: int


def share(kernels: Kernels, block: StateSpace) -> Share:
    """Return the part of ``block`` that each card holds. Raises WorkloadError where it cannot be divided evenly."""
    inner = kernels.share(block.inner, "the inner width of a state space")
    if block.kind == "mamba":
        return Share(
            inner=inner,
            heads=0,
            groups=1,
            channels=inner,
            steps=2 * inner + 2 * block.state,
            state=inner * block.state,
            scan_parameters=inner * (block.state + 1),
        )
    heads = kernels.share(block.heads, "the number of heads of a state space")
    groups = block.groups // kernels.cards or 1 if block.kind == "mamba2" else kernels.share(block.groups, "key heads")
    own = {"mamba2": 3, "gated-delta": 2}[block.kind]
    return Share(
        inner=inner,
        heads=heads,
        groups=groups,
        channels=inner + 2 * groups * block.state,
        steps={"mamba2": 1, "gated-delta": 2}[block.kind] * heads,
        state=heads * block.head_size * block.state,
        scan_parameters=own * heads,
    )


def state_bytes(block: StateSpace, part: Share, dtype: str) -> float:
    """Return the bytes of one sequence's states: of the scan, and the last inputs of the convolution."""
    kept = part.channels * (block.convolution - 1)
    return part.state * ITEMSIZE_BYTES[block.state_dtype or dtype] + kept * ITEMSIZE_BYTES[dtype]
