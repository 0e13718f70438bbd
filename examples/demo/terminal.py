"""What the demo prints: headings, the commands as a person would type them, and what those answer."""

from __future__ import annotations

import subprocess

from rich.console import Console
from rich.text import Text

console = Console(highlight=False)


def heading(text: str) -> None:
    console.print()
    console.rule(Text(text, style="bold"), align="left")


def say(text: str, style: str = "italic") -> None:
    console.print(text, style=style, markup=False)


def command(line: str) -> None:
    console.print(Text.assemble(("$ ", "green"), (line, "bold")), soft_wrap=True)


def answer(done: subprocess.CompletedProcess[str]) -> None:
    """What a command wrote; its warnings and errors in yellow."""
    if done.stderr.strip():
        console.print(done.stderr.rstrip(), style="yellow", markup=False, soft_wrap=True)
    if done.stdout.strip():
        console.print(done.stdout.rstrip(), markup=False, soft_wrap=True)
