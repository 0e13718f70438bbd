"""JSON files of a model, which others wrote: bounded in bytes and nesting, and objects."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from joulecast.errors import ModelFormatError

if TYPE_CHECKING:
    from joulecast.sources.facts.folder import ModelFile

MAX_CONFIG_BYTES = 1 << 20
"""The largest configurations list a word or a module a line and stay below 200 kB."""
_MAX_DEPTH = 64
"""Configurations of published models nest at most 6 deep."""
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, also one without an end, which would else be tried from each of its quotes."""
_BRACKET = re.compile(rb"[\[\]{}]")
_FIRST_BYTES = 16 << 10  # larger than nearly every configuration


def whole(file: ModelFile, limit_bytes: int) -> bytes | None:
    """Read a file to its end; None if it is longer than ``limit_bytes``, as soon as that is known."""
    content = b""
    while len(content) <= limit_bytes:
        if file.size is not None and (file.size > limit_bytes or file.size == len(content)):
            break
        wanted = max(_FIRST_BYTES, len(content))
        piece = file.read(len(content), min(wanted, limit_bytes + 1 - len(content)))
        if not piece:
            return content
        content += piece
    return content if len(content) <= limit_bytes and len(content) == (file.size or len(content)) else None


def parsed_object(content: bytes, name: str) -> dict[str, Any]:
    """Parse ``content`` as one JSON object. Raises ModelFormatError, beginning with ``name``."""
    if not content.strip(b"\0 \r\n\t"):
        raise ModelFormatError(f"{name} is empty: copy or download the file again")
    if _nests_too_deep(content):
        raise ModelFormatError(f"{name} nests deeper than {_MAX_DEPTH}: no configuration of a model does")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise ModelFormatError(f"{name} is not a JSON document: copy or download the file again") from None
    if not isinstance(document, dict):
        raise ModelFormatError(f"{name} is not a JSON object: give the model's config.json")
    return document


def too_large(name: str, limit_bytes: int) -> ModelFormatError:
    """Return the error for a file that is longer than any of its kind."""
    return ModelFormatError(
        f"{name} is larger than {limit_bytes:,} bytes, more than any file of its kind: check what the source serves"
    )


def _nests_too_deep(content: bytes) -> bool:
    """Decide whether brackets outside of strings nest deeper than ``_MAX_DEPTH``."""
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", content)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > _MAX_DEPTH:
            return True
    return False
