"""Trace a new index from the installed libraries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from joulecast.errors import MeasurementError
from joulecast.readers.named.entry import Entry
from joulecast_calibration.suite.architecture import Architecture
from joulecast_calibration.suite.contents import write_contents
from joulecast_calibration.suite.index import SuiteIndex, write_index
from joulecast_calibration.suite.survey.assembly import Assembly
from joulecast_calibration.suite.survey.workers import surveyed

LIBRARIES = ("torch", "torchvision", "timm", "transformers")
WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """The result of a rebuild.

    - ``unsupported``: executions of operators without a counting rule.
    """

    index: SuiteIndex
    unsupported: Counter[str]


def rebuild(
    folder: Path,
    entries: Sequence[Entry],
    *,
    workers: int = WORKERS,
    advanced: Callable[[str], None] = lambda _: None,
) -> Rebuilt:
    """Trace ``entries`` and write the index into ``folder``, completely or not at all.

    ``advanced`` is called with each architecture that is done. Raises MeasurementError if none could be traced.
    """
    assembly = Assembly()
    with closing(surveyed(_heaviest_first(entries), workers=workers)) as answers:
        for found in answers:
            assembly.add(found)
            advanced(found["name"])
    if not assembly.records:
        raise MeasurementError(f"no architecture could be traced: {assembly.skipped[0]['reason']}")
    write_index(folder, assembly.parts({library: version(library) for library in LIBRARIES}))
    write_contents(folder, assembly.records)
    return Rebuilt(index=SuiteIndex(folder), unsupported=assembly.unsupported())


def _heaviest_first(entries: Sequence[Entry]) -> list[Entry]:
    """Put the entries with most inputs to trace first, so that no worker is still tracing them at the end."""
    return sorted(entries, key=lambda entry: -len(entry.sequence_lengths or "_") * len(entry.seconds or "_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a new index differs from the committed one, by names of architectures.

    - ``changed``: those whose graphs have other digests now.
    - ``versions``: of libraries, before and now, where they differ.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    versions: tuple[tuple[str, str, str], ...]


def difference(before: SuiteIndex, now: SuiteIndex) -> Difference:
    """Return what only one of ``now`` and ``before`` has, and what changed between them."""
    old, new = _graphs(before.architectures), _graphs(now.architectures)
    libraries, installed = before.head["versions"], now.head["versions"]
    return Difference(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(name for name in new.keys() & old.keys() if new[name] != old[name])),
        versions=tuple(
            (library, libraries.get(library, "none"), installed[library])
            for library in installed
            if libraries.get(library) != installed[library]
        ),
    )


def _graphs(architectures: Sequence[Architecture]) -> dict[str, tuple[str, ...]]:
    return {each.name: tuple(batch.digest for batch in each.batches) for each in architectures}
