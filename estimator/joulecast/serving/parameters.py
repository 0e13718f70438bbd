"""How many parameters a model has, and how many of them a token meets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.blocks import Experts
from joulecast.serving.passes import BOTH_KINDS
from joulecast.serving.rows import rows

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel


def parameters(model: LanguageModel) -> int:
    """Return the number of parameters of all stacks, tied ones once."""
    return sum(row.params for row in rows(model, BOTH_KINDS))


def active_parameters(model: LanguageModel) -> int:
    """Return how many parameters multiply each token, as publishers count them ("37B active").

    Of experts, those that a token chooses. The table of tokens is left out, since a token reads one row of it; a head
    that reads the same table counts.
    """
    unused = sum(times * _unused(layer.feed_forward) for layer, times in model.decoder.layers)
    table, head = model.decoder.embedding, model.decoder.head
    looked_up = table.rows * table.width if table is not None and not (head is not None and head.tied) else 0
    return parameters(model) - unused - looked_up


def _unused(block: object) -> int:
    """Return the parameters of the experts of a layer that a token does not choose."""
    if not isinstance(block, Experts):
        return 0
    expert = block.expert
    merged = expert.intermediate * (2 if expert.gated else 1)
    own = expert.width * (merged + expert.intermediate) + expert.bias * (merged + expert.width)
    return (block.count - block.chosen) * own
