"""Whether a model and the sequences that it serves fit into the memory of the cards that share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from joulecast.errors import WorkloadError
from joulecast.graph import ITEMSIZE_BYTES
from joulecast.serving.memory import cache_bytes, weight_bytes
from joulecast.serving.outline import Outline
from joulecast.serving.passes import prefill
from joulecast.serving.requests import DEGREES, MOST_REQUESTS

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel
    from joulecast.serving.requests import GenerationRequest

DOES_NOT_FIT = "DoesNotFit"
MEMORY_SHARE = 0.9
"""Of a card that engines use: vLLM's default of ``gpu_memory_utilization`` (vllm/config)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on each of the cards that share a model.

    - ``weight_bytes``, ``activation_bytes``: of the model, and of the largest kernel's inputs and outputs.
    - ``sequence_bytes``: that one sequence of full length keeps.
    """

    weight_bytes: int
    activation_bytes: int
    sequence_bytes: int

    def needed(self, sequences: int) -> int:
        """Return the bytes for ``sequences`` sequences at once."""
        return self.weight_bytes + self.activation_bytes + sequences * self.sequence_bytes

    def most_sequences(self, card_bytes: int) -> int:
        """Return how many sequences fit on cards of ``card_bytes``."""
        free = int(MEMORY_SHARE * card_bytes) - self.weight_bytes - self.activation_bytes
        if free < 0:
            return 0
        return min(free // self.sequence_bytes, MOST_REQUESTS) if self.sequence_bytes else MOST_REQUESTS


def memory_of(model: LanguageModel, asked: GenerationRequest, cards: int) -> Memory:
    """Return what ``asked`` takes on each of ``cards`` cards.

    Raises WorkloadError where they cannot share the model.
    """
    read = prefill(1, min(asked.new_tokens, asked.batched_tokens))
    largest = max(row.input_numel + row.output_numel for row in Outline.of(model).rows(read, cards=cards).rows)
    return Memory(
        weight_bytes=weight_bytes(model, cards),
        activation_bytes=int(largest * ITEMSIZE_BYTES[model.dtype]),
        sequence_bytes=cache_bytes(model, asked.longest, cards),
    )


def require_fit(
    model: LanguageModel, asked: GenerationRequest, concurrency: int, card_bytes: int, product: str
) -> Memory:
    """Return what ``asked`` takes if ``concurrency`` sequences fit on its cards of ``card_bytes``.

    Raises WorkloadError (DoesNotFit) with what does: fewer sequences, and the fewest cards.
    """
    own = memory_of(model, asked, asked.tensor_parallel)
    most = own.most_sequences(card_bytes)
    if concurrency <= most:
        return own
    raise WorkloadError(
        f"{_requests(concurrency)} of {asked.longest} tokens take {_gigabytes(own.needed(concurrency))} on each of"
        f" {asked.tensor_parallel} × {product}, whose {_gigabytes(card_bytes)} are used to {MEMORY_SHARE:.0%}:"
        f" {_ways_out(model, asked, concurrency, card_bytes, most)}",
        reason=DOES_NOT_FIT,
    )


def smallest_degree(model: LanguageModel, asked: GenerationRequest, concurrency: int, card_bytes: int) -> int | None:
    """Return the fewest cards on which ``concurrency`` sequences fit; None where eight do not do."""
    for cards in DEGREES:
        try:
            if memory_of(model, asked, cards).most_sequences(card_bytes) >= concurrency:
                return cards
        except WorkloadError:  # heads or widths that so many cards cannot share
            continue
    return None


def _ways_out(model: LanguageModel, asked: GenerationRequest, concurrency: int, card_bytes: int, most: int) -> str:
    cards = smallest_degree(model, asked, concurrency, card_bytes)
    fewer = f"at most {most} fit" if most else "not even one fits"
    if cards is None:
        return (
            f"{fewer}, and {DEGREES[-1]} cards do not do either; ask for less, or for an accelerator with more memory"
        )
    return f"{fewer}; ask for a tensor-parallel degree of {cards}" + (", or for fewer requests" if most else "")


def _requests(count: int) -> str:
    return "one request" if count == 1 else f"{count} requests"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.4g} GB"
