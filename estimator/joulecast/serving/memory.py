"""Bytes of a card's memory that a model takes: its weights, and what a sequence keeps between passes."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from joulecast.blocks import Attention, LatentAttention
from joulecast.serving.kernels import Kernels
from joulecast.serving.mixers.indexer import cached_bytes
from joulecast.serving.mixers.states import share, state_bytes
from joulecast.serving.outline import Outline, SameModel
from joulecast.serving.passes import BOTH_KINDS

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel, Mixer


def weight_bytes(model: LanguageModel, cards: int = 1) -> int:
    """Return the bytes of the weights on each of ``cards`` cards that share the model (tensor parallel).

    Weights are counted as they are stored. What every card holds whole (normalisations, routers, the products of a
    latent) counts in full, and so do the copies that engines unpack.

    Raises WorkloadError where the model cannot be divided among the cards.
    """
    return _weight_bytes(SameModel(model), cards)


@lru_cache(maxsize=32)
def _weight_bytes(same: SameModel, cards: int) -> int:
    return math.ceil(Outline.of(same.model).held_bytes(BOTH_KINDS, cards=cards))


def cache_bytes(model: LanguageModel, tokens: int, cards: int = 1, *, encoder_tokens: int = 0) -> int:
    """Return the bytes that a sequence of ``tokens`` tokens keeps on each of ``cards`` cards.

    Keys and values of all tokens or of the last ``window``, the latent of latent attention, which every card keeps
    whole, and the states of state spaces, which do not grow. ``encoder_tokens``: what cross attention reads.

    Raises WorkloadError where the model cannot be divided among the cards.
    """
    kernels = Kernels(model=model, run=BOTH_KINDS, cards=cards)
    each = (
        times * _mixer_bytes(kernels, mixer, encoder_tokens if _crosses(mixer) else tokens)
        for layer, times in model.decoder.layers
        for mixer in layer.mixers
    )
    return math.ceil(sum(each))


def _crosses(mixer: Mixer) -> bool:
    return isinstance(mixer, Attention) and mixer.cross


def _mixer_bytes(kernels: Kernels, mixer: Mixer, tokens: int) -> float:
    if isinstance(mixer, Attention):
        kept = tokens if mixer.window is None else min(tokens, mixer.window)
        return kept * _token_elements(kernels, mixer) * kernels.cache_element_bytes
    if isinstance(mixer, LatentAttention):
        scored = 0 if mixer.indexer is None or mixer.indexer.reused else cached_bytes(mixer.indexer)
        return tokens * ((mixer.latent + mixer.rotary_size) * kernels.cache_element_bytes + scored)
    return state_bytes(mixer, share(kernels, mixer), kernels.model.dtype)


def _token_elements(kernels: Kernels, block: Attention) -> int:
    """Return the elements of keys and values of a token on one card; an encoder keeps none."""
    if not block.causal and not block.cross:
        return 0
    kernels.share(block.heads, "the number of attention heads")
    kv_heads = max(1, block.kv_heads // kernels.cards)
    return kv_heads * (block.head_size + (block.value_size or block.head_size))
