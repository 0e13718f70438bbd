"""The dtype in which engines keep keys and values, where the quantisation of a file says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joulecast.printable import bounded

FP8 = "float8"


def cache_dtype(config: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """Return the dtype of cached keys and values, None for that of activations, and notes of what was not taken.

    vLLM keeps the cache in 8-bit floats where ``kv_cache_scheme`` (compressed-tensors, modelopt) or
    ``kv_cache_quant_algo`` (modelopt) asks for them, and takes the dtype of activations for every other value.
    """
    asked = config.get("quantization_config") or config.get("compression_config")
    if not isinstance(asked, Mapping):
        return None, ()
    inner = asked.get("quantization")
    whole = {**asked, **inner} if isinstance(inner, Mapping) else asked
    scheme, algorithm = whole.get("kv_cache_scheme"), whole.get("kv_cache_quant_algo")
    if not scheme and not algorithm:
        return None, ()
    if _is_fp8(scheme) or (isinstance(algorithm, str) and algorithm.upper() == "FP8"):
        return FP8, ()
    shown = bounded(str(scheme or algorithm), 60)
    return None, (f"the quantisation of the cache ({shown}) is not one that vLLM runs: it is kept as activations are",)


def _is_fp8(scheme: object) -> bool:
    return isinstance(scheme, Mapping) and scheme.get("type") == "float" and scheme.get("num_bits") == 8
