"""The rows of one pass: embedding, layers, final normalisation, head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.blocks import Attention, FeedForward, LatentAttention, inside
from joulecast.serving.attention import attention
from joulecast.serving.embedding import embed
from joulecast.serving.experts import experts
from joulecast.serving.feed_forward import feed_forward
from joulecast.serving.head import head
from joulecast.serving.kernels import Kernels
from joulecast.serving.latent import latent_attention
from joulecast.serving.norms import normalise
from joulecast.serving.state_space import state_space

if TYPE_CHECKING:
    from joulecast.blocks import Experts, LanguageModel, Layer, Mixer, Stack
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
    tokens = kernels.run.tokens
    if stack.embedding is not None:
        embed(kernels, stack.embedding, tokens)
    for number, layer in enumerate(stack.each_layer()):
        _layer(kernels, layer, layer.path.format(number), tokens)
    if stack.norm is not None:
        normalise(kernels, "norm", stack.norm, tokens)
    if stack.head is not None:
        head(kernels, stack.head, stack.width)


def _layer(kernels: Kernels, layer: Layer, path: str, tokens: int) -> None:
    for position, norm in enumerate(layer.norms):
        normalise(kernels, f"{path}.norm{position}", norm, tokens)
    for mixer in layer.mixers:
        _mixer(kernels, mixer, inside(path, mixer.path))
    if layer.feed_forward is not None:
        _forward(kernels, layer.feed_forward, inside(path, layer.feed_forward.path))


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
