"""The table of what transformers' classes know is that of the installed transformers."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast.readers.huggingface.chosen import chosen
from joulecast.readers.huggingface.classes import lines, of_transformers
from joulecast.readers.huggingface.known import TABLE
from joulecast.readers.huggingface.stacks import stacks
from joulecast.readers.huggingface.tasks import task
from tests.models.served import CASES, MIXTURES, oracle
from tests.models.served.case import Case


def test_the_table_is_that_of_the_installed_transformers() -> None:
    """Else run ``python -m joulecast.readers.huggingface.classes``."""
    assert TABLE.read_text(encoding="utf-8") == lines(of_transformers())


def unread(case: Case) -> dict[str, Any]:
    """Keys that the class knows and the reader does not read, each with another value."""
    found = chosen({**case.small, "architectures": [case.architecture]}, None)
    stacks(found.text, found.entry, task(found))
    names = found.text.known.names
    used = {name for key in (*found.text.used, *found.text.taken) for name in (key, names.get(key, key))}
    changed: dict[str, Any] = {}
    for key, value in found.text.known.defaults.items():
        if key not in used and not key.endswith(("token_id", "token_index")):
            if isinstance(value, bool):
                changed[key] = not value
            elif isinstance(value, int):
                changed[key] = value + 1
    return changed


@pytest.mark.slow
@pytest.mark.parametrize("case", [*CASES, *MIXTURES], ids=lambda case: case.name)
def test_no_key_that_is_left_unread_changes_the_parameters(case: Case) -> None:
    def size(keys: dict[str, Any]) -> int:
        module = oracle.built(case.architecture, {**case.small, **keys}).module
        return sum(parameter.numel() for parameter in module.parameters())

    own = size({})
    assert [key for key, value in unread(case).items() if size({key: value}) != own] == []
