"""Cut and escape the texts of statuses, events and warnings, because they may come from models, images and annotations.

etcd refuses an object of more than 1.5 MB, and every webhook keeps every estimate in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from joulecast.printable import bounded

MESSAGE_CHARACTERS: Final = 1024  # of a condition, an event or a warning; more does not help a reader
TEXT_CHARACTERS: Final = 512  # of any other text, as long as the longest image reference that a spec may hold
NAME_CHARACTERS: Final = 128  # of a layer or an operator: a status holds up to 112 of them
CLAUSE_CHARACTERS: Final = 160  # of a reason of an interval: a status holds up to 200 of them
LISTED: Final = 32  # entries of any list

_MESSAGE: Final = "message"


def bounded_status(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``status`` with every text escaped and cut, and every list cut."""
    return {name: _bounded(value, _characters(name)) for name, value in status.items()}


def text(value: str) -> str:
    """Cut and escape a text for a status. A text must pass through this before it is compared with one in a status."""
    return bounded(value, TEXT_CHARACTERS)


def message(value: str) -> str:
    """Cut and escape a message for a condition, an event or a warning."""
    return bounded(value, MESSAGE_CHARACTERS)


def name(value: str) -> str:
    """Cut and escape the name of a layer or an operator."""
    return bounded(value, NAME_CHARACTERS)


def clause(value: str) -> str:
    """Cut and escape a clause, such as a reason of an interval."""
    return bounded(value, CLAUSE_CHARACTERS)


def _characters(field: str) -> int:
    return MESSAGE_CHARACTERS if field == _MESSAGE else TEXT_CHARACTERS


def _bounded(value: Any, characters: int) -> Any:
    if isinstance(value, str):
        return bounded(value, characters)
    if isinstance(value, Mapping):
        return bounded_status(value)
    if isinstance(value, (list, tuple)):
        return [_bounded(entry, characters) for entry in value[:LISTED]]
    return value
