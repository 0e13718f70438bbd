"""Products of accelerators as specs, node labels and results name them: one spelling for each card."""

from __future__ import annotations

from typing import Final

from joulecast.accelerators.product_names import normalise_product
from joulecast.errors import NotCalibratedError

PRODUCT_LABEL: Final = "nvidia.com/gpu.product"
"""Label of a node whose GPUs NVIDIA's feature discovery has named."""

_SLICE: Final = "-mig-"


def product_named(label: str) -> str:
    """Return the normal spelling of a card's name; a MIG slice, which cannot be priced, keeps its spelling."""
    try:
        return normalise_product(label)
    except NotCalibratedError:
        return label


def is_slice(label: str) -> bool:
    """Tell whether the label is of a slice that MIG makes of a card."""
    return _SLICE in label.casefold()


def whole_name(label: str) -> str:
    """Return the name of the whole card, also for a label that names a slice of it."""
    return product_named(label[: label.casefold().index(_SLICE)] if is_slice(label) else label)
