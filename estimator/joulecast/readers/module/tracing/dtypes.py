"""Torch's dtypes in the words of ``joulecast.graph``."""

from __future__ import annotations

import torch

from joulecast.graph import ITEMSIZE_BYTES


def dtype_name(dtype: torch.dtype) -> str:
    """Return ``float32`` for ``torch.float32``; every 8-bit float is ``float8``, quantised integers are integers."""
    name = str(dtype).removeprefix("torch.")
    if name in ITEMSIZE_BYTES:
        return name
    if name.startswith("float8"):
        return "float8"
    if name.startswith("float4"):
        return "float4"
    if name == "complex32":
        return "float32"  # the same four bytes an element
    return {"quint8": "uint8", "qint8": "int8", "qint32": "int32", "bits8": "uint8"}.get(name, "uint8")
