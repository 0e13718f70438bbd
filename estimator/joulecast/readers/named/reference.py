"""Named sources such as ``torchvision:resnet50``: a library and a name in it."""

from __future__ import annotations

from typing import Literal, cast, get_args

Library = Literal["torchvision", "timm", "hf"]
LIBRARIES: tuple[Library, ...] = get_args(Library)
"""The prefixes. ``hf``: Hugging Face transformers."""

PACKAGES = {"torchvision": "torchvision", "timm": "timm", "hf": "transformers"}
"""The Python package behind each prefix."""


def is_named(source: object) -> bool:
    """Decide whether ``source`` is text that begins with one of the prefixes and a colon; ``hf://`` means a hub."""
    if not isinstance(source, str) or "://" in source:
        return False
    return source.partition(":")[0] in LIBRARIES and ":" in source


def split(source: str) -> tuple[Library, str]:
    """Split a named source into library and name."""
    library, _, name = source.partition(":")
    return cast("Library", library), name
