"""The example of a language model on the front page prints what the page shows, but for figures: fits move them."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.contract.command_line import CommandLine
from tests.harness.environment import ROOT

PROMPT = "$ .venv/bin/joulecast "


def shape(text: str) -> list[str]:
    """Lines with blanks joined and every figure as one sign, with its prefix and unit."""
    lines = (re.sub(r"[\d,.]*\d", "#", line) for line in text.splitlines())
    return [" ".join(re.sub(r"[─]+|[mkKMG]?(?=J\b)", "", line).split()) for line in lines if line.strip(" ─")]


def test_the_example_of_a_language_model_prints_what_the_page_shows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"^```console\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    (example,) = [block for block in blocks if "Llama-3-70B" in block]
    command, _, shown = example.partition("\n")
    monkeypatch.chdir(ROOT)
    done = CommandLine(capsys, monkeypatch)(*shlex.split(command.removeprefix(PROMPT)))
    assert (done.code, done.err) == (0, "")
    printed = shape(done.out)
    assert [line for line in shape(shown) if line not in printed] == []
