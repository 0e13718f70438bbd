"""What is asked of a language model that generates: tokens in, tokens out, how many requests at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from joulecast.errors import WorkloadError

Phase = Literal["prefill", "decode", "request"]
"""prefill: one pass that reads the input. decode: one step that writes a token a sequence. request: both, as an engine
schedules them for ``concurrency`` requests at once."""

DEGREES = (1, 2, 4, 8)
"""Cards that may share a model (tensor parallel): what a server with NVLink holds."""

BATCHED_TOKENS = 8192
"""Tokens that a pass takes at most: the default of ``max_num_batched_tokens`` when vLLM serves on cards of 70 GiB and
more (vllm/engine/arg_utils.py); longer inputs are read in chunks."""

LONGEST_TOKENS = 16_777_216
"""Beyond the longest context of any published model, ten million tokens (Llama 4 Scout)."""

MOST_REQUESTS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """A generation workload.

    - ``input_tokens``: of a request, those in the prefix cache included; ``cached_tokens``: how many of them these are.
    - ``output_tokens``: of a request; the first comes from prefill.
    - ``concurrency``: requests in flight; None where ``requests_per_second`` decides it.
    - ``requests_per_second``: of all clients together; None where ``concurrency`` is given.
    - ``tensor_parallel``: cards that share the model.
    - ``batched_tokens``: a pass takes at most.
    """

    phase: Phase = "request"
    input_tokens: int = 512
    output_tokens: int = 128
    concurrency: int | None = 1
    requests_per_second: float | None = None
    cached_tokens: int = 0
    tensor_parallel: int = 1
    batched_tokens: int = BATCHED_TOKENS

    def __post_init__(self) -> None:
        """Raise WorkloadError, naming the field, for what cannot be asked."""
        if self.phase not in get_args(Phase):
            raise WorkloadError(f"phase {self.phase!r} is not known: choose one of {', '.join(get_args(Phase))}")
        for name in ("input_tokens", "output_tokens", "batched_tokens"):
            _whole(name, getattr(self, name), 1, LONGEST_TOKENS)
        _whole("cached_tokens", self.cached_tokens, 0, self.input_tokens - 1)
        require_degree(self.tensor_parallel)
        if (self.concurrency is None) == (self.requests_per_second is None):
            raise WorkloadError("give one of concurrency and requests_per_second")
        if self.concurrency is not None:
            _whole("concurrency", self.concurrency, 1, MOST_REQUESTS)
        elif not 0 < float(self.requests_per_second or 0) <= MOST_REQUESTS:
            raise WorkloadError(
                f"requests_per_second is {self.requests_per_second}: give a number above 0, at most {MOST_REQUESTS}"
            )

    @property
    def new_tokens(self) -> int:
        """Input tokens that prefill computes."""
        return self.input_tokens - self.cached_tokens

    @property
    def longest(self) -> int:
        """Tokens of a sequence when it ends."""
        return self.input_tokens + self.output_tokens

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(each.name for each in fields(cls))


def require_degree(cards: int) -> None:
    """Raise WorkloadError for a number of cards that a model is not divided among."""
    if cards not in DEGREES:
        raise WorkloadError(f"tensor_parallel is {cards}: give one of {', '.join(map(str, DEGREES))}")


def _whole(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise WorkloadError(f"{name} is {value!r}: give a whole number from {least} to {most}")
