"""Products of accelerators as specs, node labels and results name them: one spelling for each card."""

from __future__ import annotations

from typing import Final

from joulecast.errors import NotCalibratedError
from joulecast.product_names import normalise_product

PRODUCT_LABEL: Final = "nvidia.com/gpu.product"
"""Label of a node whose GPUs NVIDIA's feature discovery has named."""

_SLICE: Final = "-mig-"


def product_named(label: str) -> str:
    """The card's one name; a MIG slice, which is no whole card and is refused where it is priced, stays as it is."""
    try:
        return normalise_product(label)
    except NotCalibratedError:
        return label


def is_slice(label: str) -> bool:
    """Whether the label is of a slice that MIG makes of a card."""
    return _SLICE in label.casefold()


def whole_name(label: str) -> str:
    """The one name of the card that the label's slice, share or whole is of."""
    return product_named(label[: label.casefold().index(_SLICE)] if is_slice(label) else label)
