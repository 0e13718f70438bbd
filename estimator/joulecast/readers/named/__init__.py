"""Named networks of installed libraries, at pinned configurations: ``torchvision:NAME``, ``timm:NAME``,
``transformers:NAME``.

Nothing is ever downloaded. Importing this package loads no framework; ``build`` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joulecast.readers.named.catalogue import entries, known
from joulecast.readers.named.entry import Entry
from joulecast.readers.named.misspelt import refuse_misspelt
from joulecast.readers.named.reference import LIBRARIES, current, is_named, renamed

if TYPE_CHECKING:
    from joulecast.readers.named.building import build as build
    from joulecast.readers.named.built import Built as Built
    from joulecast.readers.named.built import InputSpec as InputSpec

__all__ = [
    "LIBRARIES",
    "Built",
    "Entry",
    "InputSpec",
    "build",
    "current",
    "entries",
    "is_named",
    "known",
    "refuse_misspelt",
    "renamed",
]


def __getattr__(name: str) -> Any:
    if name == "build":
        from joulecast.readers.named.building import build

        return build
    if name in ("Built", "InputSpec"):
        from joulecast.readers.named import built

        return getattr(built, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
