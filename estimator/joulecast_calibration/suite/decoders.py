"""Passes of decoder language models that are measured as they generate: prompts read, and tokens added to a cache.

The classes are those of transformers, with random weights, in the shapes of published models. ``decoders.json.gz``
beside the index holds the counts of every pass as traced; the index's digest does not cover it. Reading it needs the
standard library alone.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from joulecast.errors import MeasurementError

FILE_NAME = "decoders.json.gz"

Phase = Literal["prefill", "decode"]
PHASES: tuple[Phase, ...] = ("prefill", "decode")
"""``prefill`` reads all tokens of the context; ``decode`` adds the last one to a cache that holds the others."""
BATCH_SIZES = (1, 8, 32, 128)
CONTEXTS = (128, 1024, 4096)
PRECISION = "bf16"
"""Arithmetic of weights, activations and cache: what such models are published and served in."""
LONGEST_SECONDS = 3.0
"""Longest forecast of a measured pass: a longer one would be a window of a single execution (docs/measuring.md)."""

_LLAMA = {"model_type": "llama", "max_position_embeddings": 8192, "rope_theta": 500000.0}
_QWEN2 = {"model_type": "qwen2", "max_position_embeddings": 8192, "rope_theta": 1000000.0}

CONFIGURATIONS: dict[str, Mapping[str, Any]] = {
    "decoder:llama-3.2-1b": {
        **_LLAMA, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128256, "tie_word_embeddings": True,
    },
    "decoder:llama-3-8b": {
        **_LLAMA, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 128256, "tie_word_embeddings": False,
    },
    "decoder:olmoe-1b-7b": {
        "model_type": "olmoe", "hidden_size": 2048, "intermediate_size": 1024, "num_hidden_layers": 16,
        "num_attention_heads": 16, "num_key_value_heads": 16, "num_experts": 64, "num_experts_per_tok": 8,
        "norm_topk_prob": False, "max_position_embeddings": 4096, "rope_theta": 10000.0, "vocab_size": 50304,
        "tie_word_embeddings": False,
    },
    "decoder:smollm2-135m": {
        **_LLAMA, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "head_dim": 64, "vocab_size": 49152, "tie_word_embeddings": True,
    },
    "decoder:qwen2-7b": {
        **_QWEN2, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
    },
    "decoder:qwen2-0.5b": {
        **_QWEN2, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "decoder:llama-3.2-3b": {
        **_LLAMA, "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28, "num_attention_heads": 24,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 128256, "tie_word_embeddings": True,
    },
    "decoder:granite-3.0-1b-a400m": {
        "model_type": "granitemoe", "hidden_size": 1024, "intermediate_size": 512, "num_hidden_layers": 24,
        "num_attention_heads": 16, "num_key_value_heads": 8, "num_local_experts": 32, "num_experts_per_tok": 8,
        "attention_multiplier": 0.015625, "embedding_multiplier": 12.0, "logits_scaling": 6.0,
        "residual_multiplier": 0.22, "max_position_embeddings": 4096, "rope_theta": 10000.0, "vocab_size": 49155,
        "tie_word_embeddings": True,
    },
    "decoder:qwen2-1.5b": {
        **_QWEN2, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
    },
}  # fmt: skip
"""Fields of the configuration of each decoder (``config.json`` of the model it is named for), in the order in which
they are measured: any prefix has small and large ones. Two are mixtures of experts: 64 and 32 of them, 8 a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderPass:
    """One pass of a decoder, and what it costs by count and by forecast.

    - ``context_tokens``: that each sequence attends to, its new ones included.
    - ``digest``: of the graph as traced.
    - ``counts``: columns of its row by name, in eager mode.
    - ``peak_bytes``: weights, cache and the largest set of activations alive at once, estimated from the trace.
    - ``predicted_seconds``, ``predicted_joules``: a forecast without launches, for order and budget alone.
    - ``contents``: distinct rows with a kernel as lists of JSON values, and how often each runs.
    """

    name: str
    phase: Phase
    batch_size: int
    context_tokens: int
    digest: str
    counts: Mapping[str, int]
    peak_bytes: int
    predicted_seconds: float
    predicted_joules: float
    contents: tuple[tuple[list[Any], int], ...]

    @property
    def key(self) -> tuple[str, str, int, int]:
        return self.name, self.phase, self.batch_size, self.context_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class OmittedPass:
    """A pass that is not measured, with the ``reason``."""

    name: str
    phase: Phase
    batch_size: int
    context_tokens: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoders:
    """All passes of the decoders: those that are measured, and those that are not."""

    passes: tuple[DecoderPass, ...]
    omitted: tuple[OmittedPass, ...]

    def find(self, key: tuple[str, str, int, int]) -> DecoderPass | None:
        """Return the pass with this ``key``, or None."""
        return next((each for each in self.passes if each.key == key), None)


@cache
def read_decoders(folder: Path) -> Decoders:
    """Read the passes in ``folder``. Raises MeasurementError where they cannot be read."""
    path = folder / FILE_NAME
    try:
        document = json.loads(gzip.decompress(path.read_bytes()))
        return Decoders(
            passes=tuple(_pass(document["rows"], entry) for entry in document["passes"]),
            omitted=tuple(OmittedPass(**entry) for entry in document["omitted"]),
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise MeasurementError(f"{path} cannot be read ({error}): rebuild it") from None


def _pass(rows: list[list[Any]], entry: Mapping[str, Any]) -> DecoderPass:
    contents = tuple((rows[place], times) for place, times in entry["contents"])
    return DecoderPass(**{**entry, "contents": contents})
