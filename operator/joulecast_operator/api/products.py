"""Give each accelerator one spelling, in whatever way a spec, a node label or a result names it."""

from __future__ import annotations

from typing import Final

from joulecast.accelerators.product_names import normalise_product, without_slice
from joulecast.errors import NotCalibratedError

PRODUCT_LABEL: Final = "nvidia.com/gpu.product"
"""Label of a node that holds the product name of its GPUs; NVIDIA's GPU feature discovery writes it."""


def product_named(label: str) -> str:
    """Return the normal spelling of a product name. The name of a MIG slice, which cannot be priced, is unchanged."""
    try:
        return normalise_product(label)
    except NotCalibratedError:
        return label


def whole_name(label: str) -> str:
    """Return the normal spelling of the whole card's name, also for a label that names a MIG slice of it."""
    return product_named(without_slice(label))
