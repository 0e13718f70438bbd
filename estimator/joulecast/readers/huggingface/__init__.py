"""Language models from a ``config.json``, without torch and without weights.

>>> model = read(parse(Path("config.json").read_bytes()))
"""

from __future__ import annotations

from joulecast.readers.huggingface.configuration import parse
from joulecast.readers.huggingface.reader import products, read

__all__ = ["parse", "products", "read"]
