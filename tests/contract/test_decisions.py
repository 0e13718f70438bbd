"""docs/adr/README.md lists every decision under a topic, by its title and with its status."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness.environment import ROOT

FOLDER = ROOT / "docs" / "adr"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
ROW = re.compile(r"^\| \[(\d{4})\]\((\S+\.md)\) (.+) \| (accepted|superseded by (\d{4})) \|$", re.MULTILINE)
ROWS = {
    file: (number, title, superseder)
    for number, file, title, _, superseder in ROW.findall((FOLDER / "README.md").read_text())
}


def test_the_index_lists_every_decision_and_no_other() -> None:
    assert sorted(ROWS) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name[:4])
def test_the_index_gives_number_title_and_status_of_the_page(page: Path) -> None:
    number, title, superseder = ROWS[page.name]
    text = page.read_text()
    assert text.splitlines()[0] == f"# {number}. {title}"
    assert page.name.startswith(f"{number}-")
    named = re.search(r"^Status: superseded by \[?(?:ADR )?(\d{4})", text, re.MULTILINE)
    assert superseder == (named.group(1) if named else "")
