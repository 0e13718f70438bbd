"""Small tables in the columns of the published ones."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write ``rows``, which have the same keys, as a compressed table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def decoding(*, step: int = 1023, kv: str = "bfloat16", head_dim: int = 128, window: int = 0) -> dict[str, object]:
    """Attention of four sequences of Llama-3-8B after ``step`` tokens."""
    return {
        "attn_dtype": "bfloat16", "kv_cache_dtype": kv, "batch_size": 4, "isl": 1, "step": step, "num_heads": 32,
        "num_key_value_heads": 8, "head_dim": head_dim, "window_size": window, "h100_sxm_ms": 0.05, "a100_sxm_ms": "",
    }  # fmt: skip


def mixed(*, distribution: str = "balanced", ep: int = 1, tp: int = 1, dtype: str = "bfloat16") -> dict[str, object]:
    """128 experts of which 16 tokens choose 8 each."""
    return {
        "dtype": dtype, "num_tokens": 16, "hidden_size": 2048, "inter_size": 768, "topk": 8, "num_experts": 128,
        "moe_tp_size": tp, "moe_ep_size": ep, "distribution": distribution, "h100_sxm_ms": 0.4,
    }  # fmt: skip
