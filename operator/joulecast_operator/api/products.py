"""Give each accelerator one spelling, in whatever way a spec, a node label or a result names it."""

from __future__ import annotations

from typing import Final

from joulecast.accelerators.product_names import normalise_product, without_slice
from joulecast.errors import NotCalibratedError

PRODUCT_LABEL: Final = "nvidia.com/gpu.product"
"""Label of a node that holds the product name of its GPUs; NVIDIA's GPU feature discovery writes it."""

GPU: Final = "nvidia.com/gpu"
"""The extended resource of NVIDIA's device plugin that stands for GPUs, whole ones unless the node shares them."""
SHARED_GPU: Final = "nvidia.com/gpu.shared"
"""The extended resource that stands for a GPU which several pods share."""
SLICE_PREFIX: Final = "nvidia.com/mig-"
"""How the names of the extended resources begin that stand for slices, which MIG makes of a GPU."""
_SHARED: Final = "-shared"


def is_shared(label: str) -> bool:
    """Tell whether a value of ``PRODUCT_LABEL`` is of a card that is shared between pods."""
    return label.casefold().endswith(_SHARED)


def product_named(label: str) -> str:
    """Return the normal spelling of a product name. The name of a MIG slice, which cannot be priced, is unchanged."""
    try:
        return normalise_product(label)
    except NotCalibratedError:
        return label


def whole_name(label: str) -> str:
    """Return the normal spelling of the whole card's name, also for a label that names a MIG slice of it."""
    return product_named(without_slice(label))
