"""Tell which cards Ray means by an accelerator type; pure.

Sources: ray/_private/accelerators/nvidia_gpu.py, by whose pattern Ray names the type of a node after the name that the
driver gives its card; ray/util/accelerators/accelerators.py, with the types that Ray knows; and Ray's LLMConfig.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from joulecast.energy.datasheets import DataSheet, datasheets
from joulecast_operator.api.products import product_named

_NAMED: Final = re.compile(r"(?:NVIDIA|Tesla)-([A-Z0-9]+)(?![a-z])")
"""The type in a product name, which is the name of the driver with hyphens for spaces."""

_SIZED: Final[Mapping[str, tuple[str, float]]] = {"A100-40G": ("A100", 40e9), "A100-80G": ("A100", 80e9)}
"""Types that administrators give to nodes themselves: the type that Ray gives, and the bytes of memory of the card."""

_MEANT: Final[Mapping[str, str]] = {"A10": "A10G"}
"""Types that LLMConfig replaces."""


def called(accelerator_type: str, products: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``products`` that Ray calls by ``accelerator_type``."""
    meant = _MEANT.get(accelerator_type, accelerator_type)
    name, memory = _SIZED.get(meant, (meant, None))
    return tuple(each for each in products if _type_of(each) == name and memory in (None, _memory_of(each)))


def known(accelerator_type: str) -> tuple[str, ...]:
    """Return every product with a data sheet that Ray calls by ``accelerator_type``."""
    return called(accelerator_type, (sheet.labels[0] for sheet in datasheets()))


def _type_of(product: str) -> str | None:
    found = _NAMED.match(product)
    return found[1] if found else None


def _memory_of(product: str) -> float | None:
    sheets: Mapping[str, DataSheet] = {each.labels[0]: each for each in datasheets()}
    sheet = sheets.get(product_named(product))
    return sheet.memory_bytes.value if sheet and sheet.memory_bytes else None
