"""The files of one model by name, wherever they are kept."""

from __future__ import annotations

from typing import Protocol

from joulecast.sources.streams.ranges import Ranges


class ModelFile(Ranges, Protocol):
    """A file that is read by position."""

    @property
    def size(self) -> int | None:
        """Bytes in all; None until something was read, where only an answer tells it."""


class ModelFolder(Protocol):
    """A folder of files; names are relative, with ``/`` between their parts."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def names(self) -> tuple[str, ...] | None:
        """Return the names of all files, sorted; None where they cannot be listed."""

    def open(self, name: str) -> ModelFile | None:
        """Open a file; None if there is none of that name. The caller closes it."""
