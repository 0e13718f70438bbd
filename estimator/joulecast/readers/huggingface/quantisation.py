"""How the weights of a model's products are stored, by ``quantization_config``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from joulecast.blocks import Storage
from joulecast.errors import UnsupportedOperatorError
from joulecast.graph import ITEMSIZE_BYTES
from joulecast.printable import bounded

ARITHMETIC = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
"""What products run in, by the dtype of unquantised weights."""


def storage(config: Mapping[str, Any], dtype: str, paths: Iterable[str]) -> tuple[Storage, dict[str, Storage]]:
    """Return how weights of products are stored, and by module path what is stored in another way.

    ``dtype``: of what is not quantised; ``paths``: of all modules of products in published files.
    Raises UnsupportedOperatorError for a quantisation that is not understood.
    """
    quantised = config.get("quantization_config") or config.get("compression_config")
    if quantised:
        method = quantised.get("quant_method") if isinstance(quantised, dict) else quantised
        raise UnsupportedOperatorError(
            f"config.json asks for quantisation by {bounded(str(method), 40)!r}, which is not known: take out"
            " quantization_config to price the unquantised model",
            reason="UnsupportedQuantisation",
        )
    return Storage(dtype=dtype, bits=8 * ITEMSIZE_BYTES[dtype], arithmetic=ARITHMETIC[dtype]), {}
