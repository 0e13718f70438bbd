"""Names of accelerators as people, drivers and node labels spell them, and the one name of each card."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache

from joulecast.energy.datasheets import datasheets
from joulecast.errors import NotCalibratedError

_SHARED = re.compile("-SHARED$", re.IGNORECASE)
_SLICE = re.compile("-MIG-", re.IGNORECASE)


def normalise_product(label: str) -> str:
    """Return a card's one name, however it is spelt: ``nvidia l40s`` and ``NVIDIA-L40S-SHARED`` are ``NVIDIA-L40S``.

    A card with a data sheet gets the sheet's first label, whatever the case and the driver's version; any other card
    gets what ``whole_label`` returns. Raises NotCalibratedError for a MIG slice, because a slice is not a whole card.
    """
    whole = whole_label(label)
    return _names().get(whole.casefold(), whole)


def whole_label(label: str) -> str:
    """Return the value of the node label ``nvidia.com/gpu.product`` that names the whole card.

    The characters are those that NVIDIA's device plugin keeps (k8s-device-plugin internal/lm/resource.go): characters
    outside [A-Za-z0-9-_. ] are removed and spaces become ``-``. ``-SHARED`` (time slicing, MPS) is removed. Raises
    NotCalibratedError for a MIG slice, because a slice is not a whole card.
    """
    product = re.sub(r"[^A-Za-z0-9\-_. ]", "", label).strip().replace(" ", "-")
    whole, *slices = _SLICE.split(_SHARED.sub("", product), maxsplit=1)
    if slices:
        raise NotCalibratedError(
            f"{label!r} is a MIG slice ({slices[0]}), and a slice's share of the card's power is not calibrated:"
            f" price {_names().get(whole.casefold(), whole)} instead",
            reason="MigSlice",
        )
    return whole


def is_slice(label: str) -> bool:
    """Tell whether a label names a slice that MIG makes of a card."""
    return _SLICE.search(label) is not None


def without_slice(label: str) -> str:
    """Return the part of a label that names the card: all of it, or what stands before the name of a MIG slice."""
    return _SLICE.split(label, maxsplit=1)[0]


@cache
def _names() -> Mapping[str, str]:
    """Map the key and labels of each data sheet, in lower case, to its first label; leave out labels of two sheets."""
    owned = [(sheet, name) for sheet in datasheets() for name in {sheet.key, *sheet.labels}]
    owners = Counter(name.casefold() for _, name in owned)
    return {name.casefold(): sheet.labels[0] for sheet, name in owned if owners[name.casefold()] == 1}
