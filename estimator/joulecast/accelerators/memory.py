"""How many bytes an accelerator's memory holds, by its product name."""

from __future__ import annotations

import re
from functools import lru_cache

from joulecast.accelerators.product_names import normalise_product
from joulecast.energy.datasheets import datasheets

_STATED = re.compile(r"-([0-9]{1,4})GB(?:-|$)", re.ASCII)
_GIGABYTE = 10**9


@lru_cache(maxsize=256)
def memory_bytes(product: str) -> int | None:
    """Return the memory of ``product``: its data sheet's, else what its name states; None where neither does.

    A card that is sold with several sizes has the largest one (a V100 of 16 GB counts as one of 32).
    """
    name = normalise_product(product)
    sheet = next((sheet for sheet in datasheets() if name in sheet.labels), None)
    if sheet and sheet.memory_bytes:
        return int(sheet.memory_bytes.value)
    stated = _STATED.search(name)
    return int(stated[1]) * _GIGABYTE if stated else None
