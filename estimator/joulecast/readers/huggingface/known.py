"""What the classes of transformers know: their keys, defaults and second names, as a table that is generated.

``python -m joulecast.readers.huggingface.classes`` writes ``known.json`` again from the installed transformers; a test
compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from joulecast.readers.huggingface.configuration import Known

TABLE = Path(__file__).with_name("known.json")

GENERAL = ""
"""Entry of the table for what every class has; none of these keys changes what is computed."""


def known(model_type: str, more_names: Mapping[str, str] | None = None) -> Known:
    """Return what the class for ``model_type`` knows, and ``more_names``; nothing where the table has no such type."""
    entry = _table().get(model_type, {})
    return Known(defaults=entry.get("defaults", {}), names={**entry.get("names", {}), **(more_names or {})})


def general_keys() -> frozenset[str]:
    """Return the keys of every configuration that change nothing of what is computed."""
    return frozenset(_table()[GENERAL]["defaults"])


@cache
def _table() -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(TABLE.read_bytes())
    return found
