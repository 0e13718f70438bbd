"""``joulecast schema``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from joulecast.api import documents
from joulecast.cli.output import OutputFormat, write_document

EXAMPLES = "Example: `joulecast schema estimate > estimate.schema.json`"


class DocumentKind(StrEnum):
    """Kinds of document."""

    PROFILE = "profile"
    ESTIMATE = "estimate"
    PLAN = "plan"
    SPLIT = "split"
    ACCELERATORS = "accelerators"
    EVALUATION = "evaluation"
    SUITE = "suite"


def command(kind: Annotated[DocumentKind, typer.Argument(help="Kind of document.", show_default=False)]) -> None:
    """Print the JSON Schema of what `-o json` prints."""
    write_document(documents.schema(kind.value), OutputFormat.JSON, [])
