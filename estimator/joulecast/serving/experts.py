"""Mixtures of experts as engines run them: a router, products grouped by expert, and shared experts beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.layers import Contraction
from joulecast.serving.feed_forward import feed_forward

if TYPE_CHECKING:
    from joulecast.blocks import Experts, FeedForward
    from joulecast.serving.kernels import Kernels


def experts(kernels: Kernels, block: Experts, path: str) -> None:
    """Add the kernels of a mixture of experts at ``path``: one sum over the cards for routed and shared experts."""
    tokens = kernels.run.tokens
    _routed(kernels, block, path)
    _grouped(kernels, block, path)
    if block.shared is not None:
        _shared(kernels, block.shared, path, gated=block.shared_gate)
    kernels.all_reduce(f"{path}.all_reduce", tokens * block.expert.width)


def touched_experts(count: int, chosen: int, tokens: int) -> float:
    """Return how many of ``count`` experts ``tokens`` tokens use that choose ``chosen`` each, in expectation.

    Each token leaves an expert out with the probability 1 − chosen ÷ count where routing is even. Real routing is
    skewed and touches fewer.
    """
    return count * (1.0 - (1.0 - chosen / count) ** tokens)


def spread(pairs: int, groups: int, *, outputs: int, inputs: int) -> tuple[Contraction, ...]:
    """Return products of ``pairs`` rows that are divided among ``groups`` matrices as evenly as whole rows can be."""
    least, more = divmod(pairs, groups)
    sizes = ((groups - more, least), (more, least + 1))
    return tuple(Contraction(batch=batch, m=rows, n=outputs, k=inputs) for batch, rows in sizes if batch and rows)


def _routed(kernels: Kernels, block: Experts, path: str) -> None:
    """Add the router's product, which every card repeats, the choice, and the order of tokens by expert."""
    tokens = kernels.run.tokens
    kernels.product(
        f"{path}.{block.router}",
        (f"{path}.{block.router}",),
        tokens=tokens,
        inputs=block.expert.width,
        outputs=block.count,
        bias=block.router_bias * block.count,
    )
    pairs = tokens * block.chosen
    kernels.add(
        f"{path}.topk",
        "TopKSoftmax",
        reads=tokens * block.count,
        writes=2 * pairs,
        weights=block.correction * block.count,
    )
    kernels.add(f"{path}.align", "AlignExperts", reads=pairs, writes=pairs)


def _grouped(kernels: Kernels, block: Experts, path: str) -> None:
    """Add the two products of the chosen experts, the activation between, and the sum of each token's experts."""
    expert, tokens = block.expert, kernels.run.tokens
    pairs, own = tokens * block.chosen, f"{path}.{expert.path}"
    inner = kernels.share(expert.intermediate, "the intermediate size of an expert")
    merged = inner * (2 if expert.gated else 1)
    *sources, last = (f"{own}.{name}" for name in expert.projections)
    _product(kernels, block, f"{own}.gate_up_proj", sources, reads=tokens, inputs=expert.width, outputs=merged)
    kernels.add(
        f"{own}.act_fn",
        f"{expert.activation.capitalize()}{'AndMul' if expert.gated else ''}",
        reads=pairs * merged,
        writes=pairs * inner,
    )
    _product(kernels, block, f"{own}.down_proj", [last], reads=pairs, inputs=inner, outputs=expert.width)
    kernels.add(f"{own}.sum", "SumExperts", reads=pairs * expert.width, writes=tokens * expert.width)


def _product(
    kernels: Kernels, block: Experts, name: str, paths: list[str], *, reads: int, inputs: int, outputs: int
) -> None:
    """Add a product grouped by expert: rows are (experts touched, tokens of each), weights those of touched experts."""
    pairs = kernels.run.tokens * block.chosen
    touched = touched_experts(block.count, block.chosen, kernels.run.tokens)
    bias = block.expert.bias * outputs
    kernels.stored_product(
        name,
        paths,
        op_type="GroupedGemm",
        contractions=spread(pairs, max(1, round(touched)), outputs=outputs, inputs=inputs),
        weights=inputs * outputs,
        bias=bias,
        copies=block.count,
        copies_read=touched,
        reads=reads * inputs,
        writes=pairs * outputs,
    )


def _shared(kernels: Kernels, shared: FeedForward, path: str, *, gated: bool) -> None:
    """Add the block that all tokens take, its gate where it has one, and the addition to the routed experts."""
    tokens, written = kernels.run.tokens, kernels.run.tokens * shared.width
    feed_forward(kernels, shared, f"{path}.{shared.path}", reduces=False)
    if gated:
        gate = f"{path}.{shared.path}_gate"
        kernels.product(gate, (gate,), tokens=tokens, inputs=shared.width, outputs=1)
        kernels.add(f"{gate}.act_fn", "SigmoidAndMul", reads=tokens + written, writes=written)
    kernels.add(f"{path}.add", "Add", reads=2 * written, writes=written)
