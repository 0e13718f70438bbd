"""What the scripts of a published benchmark set beside what its rows say, from the scripts alone.

Rows of some models are SemiAnalysis InferenceX (InferenceMAX before; Apache-2.0, github.com/SemiAnalysisAI/InferenceX).
Its client asks for random lengths from 0.8 of the stated one up to it (``--random-range-ratio 0.8``), and its servers
cache keys and values in fp8 where the scripts ``benchmarks/…/{70b,gptoss,minimaxm2.5,kimik2.5}_*.sh`` say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_SHORTEST = 0.8
"""``RANDOM_RANGE_RATIO``: of the stated length."""
_HOPPER = frozenset({"h100_sxm", "h200_sxm"})
_BLACKWELL = frozenset({"b200_sxm", "gb200", "b300_sxm"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """``narrow_cache``: by how weights are stored, the cards whose servers cache in fp8."""

    narrow_cache: Mapping[str, frozenset[str]]


SCRIPTS: Mapping[str, Script] = MappingProxyType(
    {
        "meta-llama/Llama-3.1-70B": Script(narrow_cache={"fp8": _HOPPER | _BLACKWELL, "nvfp4": _BLACKWELL}),
        "openai/gpt-oss-120b": Script(narrow_cache={"nvfp4": _BLACKWELL}),
        "MiniMaxAI/MiniMax-M2.5": Script(narrow_cache={"fp8": _BLACKWELL, "nvfp4": _BLACKWELL}),
        "moonshotai/Kimi-K2.5": Script(narrow_cache={"nvfp4": _BLACKWELL}),
        "deepseek-ai/DeepSeek-R1": Script(narrow_cache={}),
    }
)
"""Models of InferenceX by their name in the rows. DeepSeek R1 is served by sglang there."""


def mean_tokens(model: str, stated: int) -> int:
    """Return the mean length of the requests of a row that states ``stated`` tokens."""
    return round((1 + _SHORTEST) / 2 * stated) if model in SCRIPTS else stated


def cache_precision(model: str, mode: str, card: str) -> str:
    """Return the precision of keys and values, as ``--cache-precision`` names it."""
    narrow = SCRIPTS[model].narrow_cache if model in SCRIPTS else {}
    return "fp8" if card in narrow.get(mode, ()) else "default"
