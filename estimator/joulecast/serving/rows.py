"""The rows of one pass: embedding, layers, final normalisation, head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.blocks import Attention, FeedForward, LatentAttention
from joulecast.serving.attention import attention
from joulecast.serving.experts import experts
from joulecast.serving.feed_forward import feed_forward
from joulecast.serving.kernels import Kernels
from joulecast.serving.latent import latent_attention
from joulecast.serving.state_space import state_space

if TYPE_CHECKING:
    from joulecast.blocks import Experts, Head, LanguageModel, Layer, Mixer, Norm, Stack
    from joulecast.layers import LayerProfile
    from joulecast.serving.passes import Pass


def rows(model: LanguageModel, run: Pass, *, cards: int = 1) -> tuple[LayerProfile, ...]:
    """Return the kernels of ``run`` on one of ``cards`` cards, in order.

    Raises WorkloadError where the model cannot be divided among the cards.
    """
    return tuple(collected(model, run, cards=cards).rows)


def collected(model: LanguageModel, run: Pass, *, cards: int = 1) -> Kernels:
    """Return the kernels of ``run`` with what they hold in memory. Raises as ``rows`` does."""
    kernels = Kernels(model=model, run=run, cards=cards)
    _stack(kernels, model.decoder)
    return kernels


def _stack(kernels: Kernels, stack: Stack) -> None:
    if stack.embedding is not None:
        table = stack.embedding
        own = kernels.share(table.rows, "the vocabulary") if table.rows % kernels.cards == 0 else table.rows
        written = kernels.run.tokens * table.width
        kernels.add(
            table.path, "Gather", reads=kernels.run.tokens, writes=written, weights=written, params=own * table.width
        )
        kernels.all_reduce(f"{table.path}.all_reduce", written)
    for number, layer in enumerate(stack.each_layer()):
        _layer(kernels, layer, layer.path.format(number))
    if stack.norm is not None:
        _norm(kernels, "norm", stack.norm, kernels.run.tokens)
    if stack.head is not None:
        _head(kernels, stack.head)


def _layer(kernels: Kernels, layer: Layer, path: str) -> None:
    for position, norm in enumerate(layer.norms):
        _norm(kernels, f"{path}.norm{position}", norm, kernels.run.tokens)
    for mixer in layer.mixers:
        _mixer(kernels, mixer, f"{path}.{mixer.path}")
    if layer.feed_forward is not None:
        _forward(kernels, layer.feed_forward, f"{path}.{layer.feed_forward.path}")


def _mixer(kernels: Kernels, mixer: Mixer, path: str) -> None:
    if isinstance(mixer, Attention):
        attention(kernels, mixer, path)
    elif isinstance(mixer, LatentAttention):
        latent_attention(kernels, mixer, path)
    else:
        state_space(kernels, mixer, path)


def _forward(kernels: Kernels, block: FeedForward | Experts, path: str) -> None:
    if isinstance(block, FeedForward):
        feed_forward(kernels, block, path)
    else:
        experts(kernels, block, path)


def _norm(kernels: Kernels, name: str, norm: Norm, tokens: int) -> None:
    """Add a normalisation, which engines fuse with the addition of the residual."""
    own = tokens * norm.width
    stored = norm.width * (norm.scale + norm.bias)
    kernels.add(
        name,
        "FusedAddRMSNorm" if norm.kind == "rms" else "LayerNorm",
        reads=2 * own,
        writes=2 * own,
        weights=stored,
        params=stored,
    )


def _head(kernels: Kernels, head: Head) -> None:
    own = kernels.share(head.outputs, "the vocabulary") if head.outputs % kernels.cards == 0 else head.outputs
    kernels.product(
        head.path,
        (head.path,),
        tokens=kernels.run.judged_tokens,
        inputs=head.inputs,
        outputs=own,
        bias=head.bias * own,
        tied=head.tied,
    )
