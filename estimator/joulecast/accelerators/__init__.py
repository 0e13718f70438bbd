"""Accelerators that can be priced, by name, and when a new profile replaces an old one.

Importing this package loads no numpy: the controller compares profiles with ``superiority`` alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from joulecast.accelerators.catalogue import accelerator_named as accelerator_named
    from joulecast.accelerators.catalogue import find as find
    from joulecast.accelerators.catalogue import installed as installed
    from joulecast.accelerators.product_names import normalise_product as normalise_product

__all__ = ["accelerator_named", "find", "installed", "normalise_product"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "product_names" if name == "normalise_product" else "catalogue"
    return getattr(import_module(f"joulecast.accelerators.{module}"), name)
