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
    """The one name of a card, whoever spelt it: ``nvidia l40s`` and ``NVIDIA-L40S-SHARED`` are ``NVIDIA-L40S``.

    A card with a data sheet is named by the sheet's first label, in whatever case and by whichever driver; any other as
    ``whole_label`` has it. Raises NotCalibratedError for a MIG slice, which is not a whole card.
    """
    whole = whole_label(label)
    return _names().get(whole.casefold(), whole)


def whole_label(label: str) -> str:
    """The value of the node label ``nvidia.com/gpu.product`` that names the whole card.

    As NVIDIA's device plugin makes it (k8s-device-plugin internal/lm/resource.go): characters outside [A-Za-z0-9-_. ]
    go, spaces become ``-``. ``-SHARED`` (time slicing, MPS) is taken off. Raises NotCalibratedError for a MIG slice.
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


@cache
def _names() -> Mapping[str, str]:
    """The first label of each data sheet by its key and all its labels in lower case, but for labels of two sheets."""
    owned = [(sheet, name) for sheet in datasheets() for name in {sheet.key, *sheet.labels}]
    owners = Counter(name.casefold() for _, name in owned)
    return {name.casefold(): sheet.labels[0] for sheet, name in owned if owners[name.casefold()] == 1}
