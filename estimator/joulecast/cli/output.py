"""Where results go: documents and rows to standard output, tables to a console, progress to standard error."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_PIPED_COLUMNS = 160  # wide enough for every figure where there is no terminal to measure
_SIGPIPE_EXIT = 141  # 128 + SIGPIPE: what a shell reports of a program whose reader went away


class OutputFormat(StrEnum):
    """What a command prints."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


def write(text: str) -> None:
    """Write ``text`` to standard output at once. A closed pipe ends the command without an error."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit finds no broken pipe
        raise typer.Exit(_SIGPIPE_EXIT) from None


def write_document(document: Mapping[str, Any], output: OutputFormat, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``document`` as JSON or YAML, or ``rows``, its flat form, as CSV."""
    if output is OutputFormat.CSV:
        write(csv_text(rows))
    elif output is OutputFormat.YAML:
        write(yaml_text(document))
    else:
        write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def yaml_text(document: Mapping[str, Any]) -> str:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a header and one line for each row; lists and mappings become JSON in one cell. Empty without rows."""
    if not rows:
        return ""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def show(renderables: Sequence[RenderableType], *, color: bool = True) -> None:
    """Print tables and lines to standard output."""
    console = _console(color=color)
    with console.capture() as captured:
        for renderable in renderables:
            console.print(renderable)
    write(captured.get())


def _console(*, color: bool) -> Console:
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED_COLUMNS
    return Console(no_color=not color, highlight=False, width=width, emoji=False, markup=False)


@contextlib.contextmanager
def progress(message: str) -> Iterator[None]:
    """Show ``message`` with a spinner on standard error while the block runs, if that is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(message):
        yield
