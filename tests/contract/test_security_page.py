"""Every promise of docs/security.md names tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.harness.environment import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()


def named() -> list[tuple[str, str]]:
    """(file, test) of each mention; one without a file is of the file before it."""
    found, file = [], ""
    for path, names in re.findall(r"`((?:\w+/)*\w+\.py)?((?:::\w+)+)`", PAGE):
        file = path or file
        found.append((file, names.rpartition("::")[2]))
    return found


@pytest.mark.parametrize(("file", "test"), named())
def test_a_promise_is_held_by_a_test_that_exists(file: str, test: str) -> None:
    assert re.search(rf"^\s*(?:async )?def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)


def test_every_promise_names_one() -> None:
    rows = [
        line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| promise |", "| who |"))
    ]
    assert len(rows) > 20
    assert all("::test_" in row for row in rows)
