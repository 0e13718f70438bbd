"""The rows of one pass: embedding, layers, final normalisation, head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.blocks import Attention, FeedForward, inside
from joulecast.errors import UnsupportedOperatorError
from joulecast.serving.attention import attention
from joulecast.serving.embedding import embed
from joulecast.serving.feed_forward import feed_forward
from joulecast.serving.head import head
from joulecast.serving.kernels import Kernels
from joulecast.serving.norms import normalise

if TYPE_CHECKING:
    from joulecast.blocks import Experts, LanguageModel, Layer, Mixer, Stack
    from joulecast.layers import LayerProfile
    from joulecast.serving.passes import Pass


def rows(model: LanguageModel, run: Pass, *, cards: int = 1) -> tuple[LayerProfile, ...]:
    """Return the kernels of ``run`` on one of ``cards`` cards, in order.

    Raises WorkloadError where the model cannot be divided among the cards.
    """
    kernels = Kernels(model=model, run=run, cards=cards)
    _stack(kernels, model.decoder)
    return tuple(kernels.rows)


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
    else:
        raise UnsupportedOperatorError(
            f"{kernels.model.model_type} has {type(mixer).__name__} at {path}, which has no rows"
        )


def _forward(kernels: Kernels, block: FeedForward | Experts, path: str) -> None:
    if isinstance(block, FeedForward):
        feed_forward(kernels, block, path)
    else:
        raise UnsupportedOperatorError(f"{kernels.model.model_type} has experts at {path}, which have no rows")
