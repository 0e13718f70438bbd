"""Recognise references that are nearly a named source, before any registry is asked for them."""

from __future__ import annotations

import os
from difflib import get_close_matches

from joulecast.errors import ModelReferenceError
from joulecast.readers.named.catalogue import known
from joulecast.readers.named.reference import LIBRARIES, Library

OTHER_WORDS: dict[str, list[Library]] = {"huggingface": ["transformers"], "hf": ["transformers"]}
"""Other names of the libraries."""


def refuse_misspelt(source: str) -> None:
    """Raise ModelReferenceError for what is nearly a named source and not a local path."""
    prefix, colon, name = source.partition(":")
    if not colon:
        _refuse_bare(source)
    if not colon or prefix in LIBRARIES or "://" in source:
        return
    close = get_close_matches(prefix.lower(), LIBRARIES, 1, cutoff=0.8) or OTHER_WORDS.get(prefix.lower(), [])
    if close and not any(os.access(path, os.F_OK) for path in (source, prefix)):
        raise ModelReferenceError(
            f"unknown named network {source!r}: did you mean {close[0]}:{name}? An image of that name is written"
            f" docker.io/library/{source}"
        )


def _refuse_bare(source: str) -> None:
    """Raise ModelReferenceError for the bare name of a listed network that is not a local path."""
    if "/" in source or os.access(source, os.F_OK):
        return
    offered = [named for named in known() if named.partition(":")[2] == source]
    if offered == [f"torchvision:{source}"]:
        offered.append(f"timm:{source}")  # most are in both, and the project lists each once
    if offered:
        raise ModelReferenceError(
            f"{source!r} is not a file, a folder or an image with a registry: did you mean {' or '.join(offered)}?"
            f" An image of that name is written docker.io/library/{source}"
        )
