"""Named sources such as ``torchvision:resnet50``: a library and a name in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast, get_args

Library = Literal["torchvision", "timm", "transformers"]
LIBRARIES: tuple[Library, ...] = get_args(Library)
"""The prefixes, each also the name of the Python package behind it."""
FORMER: Mapping[str, Library] = {"hf": "transformers"}
"""Prefixes of earlier versions. ``hf://`` means a model of a hub, so ``hf:`` was given up for its like."""


def is_named(source: object) -> bool:
    """Decide whether ``source`` is text that begins with one of the prefixes, or a former one, and a colon."""
    if not isinstance(source, str) or "://" in source:
        return False
    prefix, colon, _ = source.partition(":")
    return bool(colon) and (prefix in LIBRARIES or prefix in FORMER)


def current(source: str) -> str:
    """Return a named source with the prefix that it is written with now."""
    prefix, colon, name = source.partition(":")
    return f"{FORMER.get(prefix, prefix)}{colon}{name}"


def renamed(source: str) -> str | None:
    """Return a notice for a source with a former prefix, else None."""
    return None if current(source) == source else f"{source} is now written {current(source)}"


def split(source: str) -> tuple[Library, str]:
    """Split a named source into library and name."""
    library, _, name = current(source).partition(":")
    return cast("Library", library), name
