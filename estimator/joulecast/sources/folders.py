"""Folders of this machine: the names in them, and their files as those of a model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.errors import ModelFetchError, ModelFormatError, ModelReferenceError
from joulecast.sources.budget import FetchBudget, Meter
from joulecast.sources.facts.choosing import Choice, Kind, choose, of_file
from joulecast.sources.facts.collecting import CONFIG
from joulecast.sources.facts.fetching import Origin, fetch_facts
from joulecast.sources.facts.json_files import MAX_CONFIG_BYTES, parsed_object, whole
from joulecast.sources.files import FileRanges
from joulecast.sources.skeletons.formats import SNIFFED_BYTES, language_model

if TYPE_CHECKING:
    from joulecast.sources.fetched import FetchedModel

_MAX_NAMES = 1000
_MAX_DEPTH = 2
"""Names looked at, and folders below the one given: model repositories keep ``1/model.onnx`` or ``onnx/model.onnx``."""


class LocalFolder:
    """``ModelFolder`` over a folder of this machine; its links are followed, as a hub's own cache needs it."""

    def __init__(self, folder: Path, meter: Meter) -> None:
        self._folder = folder
        self._meter = meter
        self._names: tuple[str, ...] | None = None
        self.name = str(folder)

    def names(self) -> tuple[str, ...]:
        if self._names is None:
            self._names = tuple(sorted(name.replace(os.sep, "/") for name in listed(self._folder)))
        return self._names

    def open(self, name: str) -> FileRanges | None:
        path = self._folder / name
        return FileRanges(path, self._meter) if os.path.exists(path) else None  # noqa: PTH110

    def size_bytes(self) -> int:
        """Return the size of all files listed; what is gone in the meantime has none."""
        paths = [self._folder / name for name in self.names()]
        return sum(path.stat().st_size for path in paths if path.is_file())


def fetch_folder(folder: Path, path: str | None, *, reference: str, meter: Meter) -> FetchedModel:
    """Return the facts of the language model in ``folder``. Raises ModelFetchError, ModelFormatError."""
    files = LocalFolder(folder, meter)
    origin = Origin(reference=reference, total_bytes=files.size_bytes())
    return fetch_facts(files, choose(files.names(), path, str(folder)), origin, meter)


def language_model_file(file: Path, *, reference: str, meter: Meter) -> FetchedModel | None:
    """Return the facts of a configuration, a safetensors or a GGUF file; None for a file of another kind.

    A JSON document is a configuration if it is called config.json or has a ``model_type``.
    """
    kind = _kind(file, meter)
    if kind is None:
        return None
    origin = Origin(reference=reference, total_bytes=file.stat().st_size)
    return fetch_facts(LocalFolder(file.parent, meter), Choice(kind=kind, path=file.name), origin, meter)


def _kind(file: Path, meter: Meter) -> Kind | None:
    with closing(FileRanges(file, meter)) as ranges:
        head = ranges.read(0, SNIFFED_BYTES)
        by_name = of_file(file.name)
        kind = language_model(head) or (by_name.kind if by_name and by_name.kind != "config" else None)
        if kind != "config" or file.name == CONFIG:
            return kind
        content = whole(ranges, MAX_CONFIG_BYTES)
    return "config" if content is not None and "model_type" in parsed_object(content, str(file)) else None


def is_configuration(file: Path) -> bool:
    """Decide whether a file is a model's configuration: called config.json, or a JSON object with a ``model_type``.

    What cannot be read, or is not JSON, is none.
    """
    try:
        return file.name == CONFIG or _kind(file, Meter(FetchBudget(), str(file))) == "config"
    except (ModelFetchError, ModelFormatError, ModelReferenceError):
        return False


def listed(folder: Path) -> Iterator[str]:
    """Yield paths of files relative to the folder, in order, at most ``_MAX_NAMES``."""
    left = _MAX_NAMES
    for place, folders, files in os.walk(folder):
        below = os.path.relpath(place, folder)
        folders[:] = sorted(folders)[:left] if below.count(os.sep) + (below != ".") < _MAX_DEPTH else []
        for name in sorted(files)[:left]:
            yield name if below == "." else os.path.join(below, name)  # noqa: PTH118 - text, not a path to open
        left -= len(files) + len(folders)
        if left <= 0:
            return
