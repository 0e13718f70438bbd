"""Tables and lines whose text comes from models and images: characters that a terminal interprets are escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from joulecast.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType


class Cells(Table):
    """A table that escapes the text of its rows; titles and headers are the program's own."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(printable(cell) if isinstance(cell, str) else cell for cell in cells), **options)


def line(text: str, *, style: str) -> Text:
    """Return one line to print below a table."""
    return Text(printable(text), style=style)
