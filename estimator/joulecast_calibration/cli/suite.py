"""The command ``joulecast suite``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from joulecast.cli.options import NoColor, Output
from joulecast.cli.output import OutputFormat, show, write_document

if TYPE_CHECKING:
    from joulecast_calibration.suite.index import SuiteIndex

EXAMPLES = (
    "Examples: `joulecast suite` · `joulecast suite --task audio -o json` · `joulecast suite --plot coverage.svg` ·"
    " `joulecast suite --rebuild --out suite`"
)

Task = Annotated[str | None, typer.Option("--task", metavar="TASK", help="Only vision, nlp or audio.")]
Family = Annotated[str | None, typer.Option("--family", metavar="FAMILY", help="Only this lineage.")]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Trace every architecture anew. Takes half an hour, needs joulecast[torch].")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Write the new index there, in place of the checkout's.", file_okay=False
    ),
]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes that trace.")]
Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="Draw the sample's coverage: .svg, .png.", dir_okay=False)
]


def command(
    task: Task = None,
    family: Family = None,
    rebuild: Rebuild = False,
    out: Out = None,
    workers: Workers = 2,
    plot: Plot = None,
    output: Output = OutputFormat.TABLE,
    no_color: NoColor = False,
) -> None:
    """List the architectures that are measured, and how many layers they run.

    The index is part of the package; nothing is traced unless `--rebuild` asks for it.
    """
    from joulecast_calibration.suite.document import suite_document
    from joulecast_calibration.suite.index import committed

    if out and not rebuild:
        raise typer.BadParameter("--out is where --rebuild writes: give both, or neither")
    index = _rebuilt(out, workers) if rebuild else committed()
    if plot:
        from joulecast_calibration.suite.survey.drawing import draw_coverage

        draw_coverage(index, plot)
    _print(_chosen(suite_document(index), task, family), output, color=not no_color)


def _chosen(document: dict[str, Any], task: str | None, family: str | None) -> dict[str, Any]:
    """Return ``document`` with the requested architectures and skips. The totals stay those of the whole suite."""
    from joulecast.errors import JoulecastError

    kept = document
    for column, wanted in (("task", task), ("family", family)):
        known = {entry[column] for entry in document["architectures"]}
        if wanted is not None and wanted.lower() not in {name.lower() for name in known}:
            raise JoulecastError(f"unknown {column} {wanted!r} of the suite: choose one of {', '.join(sorted(known))}")
        kept = kept | {
            part: [entry for entry in kept[part] if wanted is None or entry[column].lower() == wanted.lower()]
            for part in ("architectures", "skipped")
        }
    return kept


def _print(document: dict[str, Any], output: OutputFormat, *, color: bool) -> None:
    if output is not OutputFormat.TABLE:
        write_document(document, output, document["architectures"])
        return
    from joulecast_calibration.cli.suite_tables import suite_tables

    show(suite_tables(document), color=color)


def _rebuilt(out: Path | None, workers: int) -> SuiteIndex:
    from joulecast.readers.named import entries
    from joulecast_calibration.cli.suite_tables import difference_lines
    from joulecast_calibration.suite.index import FOLDER, existing
    from joulecast_calibration.suite.survey.rebuild import difference, rebuild

    folder = _writable(out) if out else _in_checkout(FOLDER)
    before = existing(FOLDER)
    with _advancing(len(entries())) as advanced:
        found = rebuild(folder, entries(), workers=workers, advanced=advanced)
    lines = difference_lines(difference(before, found.index)) if before else []
    uncounted = [f"without a counting rule: {name} ({count:,})" for name, count in found.unsupported.most_common()]
    for line in [*lines, *uncounted, f"written to {folder}"]:
        sys.stderr.write(line + "\n")
    return found.index


def _writable(folder: Path) -> Path:
    """Create ``folder`` if it is missing and check that it is writable, before minutes of work depend on it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{folder} cannot be made ({error.strerror}): choose another folder") from None
    if not os.access(folder, os.W_OK):
        raise typer.BadParameter(f"{folder} cannot be written to: choose another folder")
    return folder


def _in_checkout(folder: Path) -> Path:
    """Return ``folder`` if it is part of a checkout, because files of an installed package are never overwritten."""
    root = folder.parents[3]  # estimator/joulecast_calibration/suite/index
    if (root / "pyproject.toml").is_file():
        return folder
    raise typer.BadParameter("this joulecast is installed, not a checkout: say where to write with --out DIR")


@contextmanager
def _advancing(total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar with the time left on a terminal; print a line at every tenth of the work elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines(total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    shown = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(TextColumn("tracing"), *shown, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda name: progress.update(task, advance=1, description=name)


class _Lines:
    """Prints progress as lines for a log."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0

    def __call__(self, name: str) -> None:
        before, self.done = self.done, self.done + 1
        if 10 * before // self.total != 10 * self.done // self.total:
            sys.stderr.write(f"traced {self.done} of {self.total}, last {name}\n")
            sys.stderr.flush()
