"""Every link inside the documentation leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.contract.test_repository import ROOT, tracked_files

ELSEWHERE = ("http://", "https://", "mailto:")
PAGES = [path for path in tracked_files() if path.suffix == ".md"]


def prose(page: Path) -> str:
    """A page without its fenced blocks and code, where brackets are no links."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """The links of ``page`` into this repository that lead nowhere."""
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [link for link in links if not link.startswith(ELSEWHERE) and not leads_somewhere(page, link)]


def leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in anchors(target))


def test_there_are_pages_with_links() -> None:
    assert len(PAGES) > 20
    assert sum("](" in prose(page) for page in PAGES) > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_every_page_of_docs_is_reached_from_the_readme() -> None:
    """Directly or by way of another page."""
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop().resolve()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = (link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)))
        ahead += [page.parent / link for link in links if link and not link.startswith(ELSEWHERE)]
    pages = {path for path in PAGES if path.parent == ROOT / "docs"}
    assert sorted(page.name for page in pages - reached) == []


@pytest.mark.parametrize("text", ["[a](none.md)", "[a](page.md#no-such)", "[a](#nothing)"])
def test_a_link_that_leads_nowhere_is_found(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Some heading\n\n[b](#some-heading) `[c](none.md)` {text}\n")
    assert len(broken(page)) == 1
