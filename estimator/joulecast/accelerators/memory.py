"""How many bytes an accelerator's memory holds, by its product name."""

from __future__ import annotations

import re

from joulecast.accelerators.product_names import normalise_product
from joulecast.energy.datasheets import datasheets

_STATED = re.compile(r"-([0-9]{1,4})GB(?:-|$)", re.ASCII)
_GIGABYTE = 10**9


def memory_bytes(product: str) -> int | None:
    """Return the memory of ``product``: what its name states, else its data sheet; None where neither does.

    Cards of one data sheet are sold with several sizes, which their labels tell (Tesla-V100-SXM2-16GB).
    """
    name = normalise_product(product)
    stated = _STATED.search(name)
    if stated:
        return int(stated[1]) * _GIGABYTE
    sheet = next((sheet for sheet in datasheets() if name in sheet.labels), None)
    return int(sheet.memory_bytes.value) if sheet and sheet.memory_bytes else None
