"""The rows of one pass: embedding, layers, final normalisation, head."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.blocks import Attention, FeedForward, LatentAttention, inside
from joulecast.errors import WorkloadError
from joulecast.serving.embedding import embed
from joulecast.serving.experts import experts
from joulecast.serving.feed_forward import feed_forward
from joulecast.serving.head import head
from joulecast.serving.kernels import Kernels
from joulecast.serving.mixers.attention import attention
from joulecast.serving.mixers.cross_attention import cross_attention
from joulecast.serving.mixers.latent import latent_attention
from joulecast.serving.mixers.state_space import state_space
from joulecast.serving.norms import normalise
from joulecast.serving.passes import prefill

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
    if model.encoder is not None:
        run = encoded(model, run)
        if run.starting:
            kernels.run = prefill(run.starting, run.encoder_tokens)
            _stack(kernels, model.encoder, "encoder.norm")
    kernels.run = run
    _stack(kernels, model.decoder)
    return kernels


def encoded(model: LanguageModel, run: Pass) -> Pass:
    """Return ``run`` with the number of tokens that the encoder makes. Raises WorkloadError where nothing says it."""
    tokens = model.encoder_tokens or run.encoder_tokens
    if not tokens:
        raise WorkloadError(f"{model.model_type} has an encoder: say how many tokens of input it reads a request")
    return replace(run, encoder_tokens=tokens)


def _stack(kernels: Kernels, stack: Stack, norm: str = "norm") -> None:
    tokens = kernels.run.tokens
    if stack.embedding is not None:
        embed(kernels, stack.embedding, tokens)
    for number, layer in enumerate(stack.each_layer()):
        _layer(kernels, layer, layer.path.format(number), tokens)
    if stack.norm is not None:
        normalise(kernels, norm, stack.norm, tokens)
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
    if isinstance(mixer, Attention) and mixer.cross:
        cross_attention(kernels, mixer, path)
    elif isinstance(mixer, Attention):
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
