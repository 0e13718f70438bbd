"""``joulecast accelerators``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from joulecast.cli.options import NoColor, Output
from joulecast.cli.output import OutputFormat, show, write_document

EXAMPLES = (
    "Examples: `joulecast accelerators` · `joulecast accelerators NVIDIA-H200` ·"
    " `joulecast accelerators NVIDIA-H200 -o json > h200.json`"
)

Name = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="One accelerator, in detail, or a profile's JSON file.", show_default=False),
]


def command(name: Name = None, output: Output = OutputFormat.TABLE, no_color: NoColor = False) -> None:
    """List the accelerators that can be priced, with what stands behind each; or show one in detail.

    The names are the values of the node label nvidia.com/gpu.product.
    """
    if name is None:
        _list(output, color=not no_color)
    else:
        _details(name, output, color=not no_color)


def _list(output: OutputFormat, *, color: bool) -> None:
    from joulecast.api.accelerator_documents import accelerators_document

    document = accelerators_document()
    if output is not OutputFormat.TABLE:
        write_document(document, output, document["accelerators"])
        return
    from joulecast.cli.tables.accelerators import accelerator_tables

    show(accelerator_tables(document), color=color)


def _details(name: str, output: OutputFormat, *, color: bool) -> None:
    from joulecast.accelerators.catalogue import accelerator_named
    from joulecast.api.accelerator_documents import accelerator_fields

    profile = accelerator_named(name)
    if output is not OutputFormat.TABLE:
        write_document(json.loads(profile.to_json()), output, [accelerator_fields(profile)])
        return
    from joulecast.cli.tables.accelerators import detail_tables

    show(detail_tables(profile), color=color)
