"""The examples of docs/extending.md run, and the files and tests that it names exist."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.environment import ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
DATASHEETS = Path("joulecast", "energy", "datasheets.json")
SLOW = ("A torch function", "An accelerator")
"""Their examples import torch in a process of their own."""


def blocks(section: str, language: str) -> list[str]:
    """The fenced blocks of ``language`` in a section of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", SECTIONS[section], re.DOTALL | re.MULTILINE)


def run(program: str, *paths: Path) -> None:
    """Run a program of the page in a fresh Python, because an example changes tables of the package."""
    places = (*paths, ROOT / "estimator", ROOT / "operator")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def with_entries(target: Path, entries: list[str]) -> Path:
    """A copy of the library in whose table of data sheets the entries stand, as the page's reader would add them."""
    shutil.copytree(ROOT / "estimator" / "joulecast", target / "joulecast")
    table = json.loads((target / DATASHEETS).read_text())
    table["accelerators"] += map(json.loads, entries)
    (target / DATASHEETS).write_text(json.dumps(table))
    return target


def test_there_is_a_section_for_each_thing_that_is_added() -> None:
    assert list(SECTIONS) == [
        "A counting rule",
        "A canonical pattern",
        "A torch function",
        "A language model",
        "An accelerator",
        "A metric",
        "A field of the resource",
    ]


@pytest.mark.parametrize(
    "section", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SECTIONS]
)
def test_the_example_of_a_section_runs(section: str, tmp_path: Path) -> None:
    (program,) = blocks(section, "python")
    assert "assert " in program
    entries = blocks(section, "json")
    run(program, *([with_entries(tmp_path, entries)] if entries else []))


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_names_a_file_to_change_and_a_test_to_copy(section: str) -> None:
    changed = re.search(r"^- \*\*Change\*\*.*?`((?:estimator|operator)/[\w/.]+)`", SECTIONS[section], re.MULTILINE)
    assert changed
    assert re.search(r"^- \*\*Copy the test\*\*.*?`tests/[\w/.]+\.py", SECTIONS[section], re.MULTILINE)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:estimator|operator|tests|charts)/[\w/.-]+)", PAGE))))
def test_a_path_on_the_page_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("path", "test"), re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE))
def test_a_test_to_copy_exists(path: str, test: str) -> None:
    assert f"\ndef {test}(" in (ROOT / path).read_text()
