"""One pass of an engine: which sequences it runs and how many tokens each adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequences:
    """``count`` sequences of the same size: each adds ``new_tokens`` to ``cached_tokens`` that the cache holds."""

    count: int
    new_tokens: int
    cached_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.count * self.new_tokens

    @property
    def decodes(self) -> bool:
        """Whether each sequence adds one token to a cache: engines run another attention kernel for it."""
        return self.new_tokens == 1 and self.cached_tokens > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What runs at once. A pass with prefill and decode in it has a group of sequences for each.

    - ``logits``: of the last token of every sequence, as engines compute them, or of all tokens.
    - ``encoder_tokens``: of the input that cross attention reads, a sequence; 0 without an encoder.
    """

    groups: tuple[Sequences, ...]
    logits: Literal["last", "all"] = "last"
    encoder_tokens: int = 0

    @property
    def tokens(self) -> int:
        return sum(group.tokens for group in self.groups)

    @property
    def sequences(self) -> int:
        return sum(group.count for group in self.groups)

    @property
    def starting(self) -> int:
        """Sequences of which nothing is cached yet: what they attend to across stacks is made in this pass."""
        return sum(group.count for group in self.groups if not group.cached_tokens)

    @property
    def judged_tokens(self) -> int:
        """Tokens whose logits are computed."""
        return self.tokens if self.logits == "all" else self.sequences


def prefill(sequences: int, tokens: int, cached_tokens: int = 0) -> Pass:
    """Return the pass that reads ``tokens`` new tokens of each sequence."""
    return Pass(groups=(Sequences(count=sequences, new_tokens=tokens, cached_tokens=cached_tokens),))


def decode(sequences: int, cached_tokens: int) -> Pass:
    """Return the pass that generates one token of each sequence after ``cached_tokens``."""
    return Pass(groups=(Sequences(count=sequences, new_tokens=1, cached_tokens=cached_tokens),))


BOTH_KINDS = Pass(
    groups=(Sequences(count=1, new_tokens=2), Sequences(count=1, new_tokens=1, cached_tokens=2)), encoder_tokens=1
)
"""A pass that runs every kernel of a model: those that read prompts, and those that add one token to a cache."""
