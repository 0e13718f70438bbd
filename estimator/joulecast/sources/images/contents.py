"""The files of a language model in the layers of an image, or as the layers of an artifact, as one folder.

A file of a plain archive is opened again by its place in the layer. A compressed layer can be read forward alone, so
what is needed of its files is kept when the walk comes by: configurations, and the beginnings of files of weights.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from joulecast.errors import ModelFormatError
from joulecast.sources.facts import safetensors
from joulecast.sources.facts.choosing import candidates
from joulecast.sources.facts.collecting import CONFIG, TENSOR_BYTES
from joulecast.sources.facts.json_files import MAX_CONFIG_BYTES
from joulecast.sources.streams.ranges import PLAIN, RangedStream

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter
    from joulecast.sources.facts.folder import ModelFile
    from joulecast.sources.images.layer import Layer
    from joulecast.sources.images.manifest import Descriptor, Store
    from joulecast.sources.streams.ranges import Ranges
    from joulecast.sources.streams.stream import Bytes
    from joulecast.sources.streams.tarstream import Member

_MAX_FILES = 20_000  # names kept; of 4 KiB at most, so 80 MiB
_MAX_LINKS = 40  # Linux MAXSYMLINKS
_GGUF_BYTES = 24 << 20
"""Kept of a GGUF file in a compressed layer: twice the longest header of published models."""
_MAX_KEPT_BYTES = 64 << 20
_LARGE_BYTES = 64 << 20
"""A compressed file of weights from this size on is not read through once the configuration is known."""


class EnoughError(Exception):
    """Ends a walk through a compressed layer: what follows costs more than it tells."""


@dataclass(slots=True)
class PlacedFile:
    """``ModelFile`` at a place in a blob."""

    ranges: Ranges
    offset: int
    size: int

    def read(self, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        return self.ranges.read(self.offset + offset, length) if length > 0 else b""

    def close(self) -> None:
        self.ranges.close()


@dataclass(slots=True)
class KeptFile:
    """``ModelFile`` of which the first bytes are here. ``size``: of the whole file, None if unknown."""

    content: bytes
    size: int | None

    def read(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]

    def close(self) -> None:
        """Do nothing, because nothing is open."""


@dataclass(frozen=True, slots=True)
class _Entry:
    open: Callable[[], ModelFile]
    layer: Descriptor


@dataclass(slots=True)
class ImageContents:
    """``ModelFolder`` of what was found of an image.

    - ``folder``: files of archives are noted below it; ``""``: anywhere.
    - ``takes_root``: files at the root are noted, too.
    """

    name: str
    store: Store
    meter: Meter
    folder: str
    takes_root: bool = True
    _entries: dict[str, _Entry] = field(default_factory=dict)
    _links: dict[str, str] = field(default_factory=dict)
    _kept_bytes: int = 0

    def names(self) -> tuple[str, ...]:
        return tuple(sorted([*self._entries, *self._links]))

    def open(self, name: str) -> ModelFile | None:
        entry = self._entry(name)
        return None if entry is None else entry.open()

    def layer_of(self, name: str) -> str | None:
        """Return the digest of the layer that holds a file."""
        entry = self._entry(name)
        return None if entry is None else entry.layer.digest

    def is_found(self) -> bool:
        """Decide whether a model is among the files."""
        return bool(candidates(self.names()))

    def wants(self, path: str) -> bool:
        """Decide whether a file of an archive is to be noted."""
        return not self.folder or path.startswith(f"{self.folder}/") or (self.takes_root and "/" not in path)

    def add_layer(self, name: str, layer: Descriptor) -> None:
        """Take in a layer that is one file, stored as it is. A small one is checked by its digest."""

        def opened() -> ModelFile:
            if layer.size > MAX_CONFIG_BYTES:
                return PlacedFile(self.store.ranges(layer), 0, layer.size)
            return KeptFile(self._checked(layer), layer.size)

        self._entries.setdefault(name, _Entry(opened, layer))

    def add_member(self, layer: Layer, member: Member, content: Bytes) -> None:
        """Take in a member of an archive while a walk stands at it; an upper layer's file of that name stays.

        Raises EnoughError before a large file of a compressed layer once the configuration is known.
        """
        path = member.path
        if path in self._entries or path in self._links:
            return
        if len(self._entries) + len(self._links) > _MAX_FILES:
            raise ModelFormatError(f"{self.name} holds more than {_MAX_FILES:,} files of models: name the model's path")
        if member.kind in ("symlink", "hardlink"):
            start = posixpath.dirname(path) if member.kind == "symlink" else ""
            self._links[path] = posixpath.normpath(posixpath.join("/", start, member.target)).lstrip("/")
        elif member.kind == "file" and member.readable:
            self._add_file(layer, member, content)

    def _add_file(self, layer: Layer, member: Member, content: Bytes) -> None:
        descriptor, size = layer.descriptor, member.size
        if not layer.compressed and size is not None:
            offset = layer.position
            self._entries[member.path] = _Entry(
                lambda: PlacedFile(self.store.ranges(descriptor), offset, size), descriptor
            )
            return
        kept = KeptFile(_beginning(content, member.path), size)
        self._kept_bytes += len(kept.content)
        if kept.content and self._kept_bytes <= _MAX_KEPT_BYTES:
            self._entries[member.path] = _Entry(lambda: kept, descriptor)
        is_known = any(posixpath.basename(name) == CONFIG for name in self._entries)
        if is_known and (size is None or size > _LARGE_BYTES):
            raise EnoughError

    def _entry(self, name: str) -> _Entry | None:
        for _ in range(_MAX_LINKS):
            if name not in self._links:
                break
            name = self._links[name]
        return self._entries.get(name)

    def _checked(self, layer: Descriptor) -> bytes:
        label = f"{self.name}, layer {layer.digest[:19]}"
        ranges = self.store.ranges(layer)
        stream = RangedStream(ranges, name=label, size=layer.size, meter=self.meter, windows=PLAIN, digest=layer.digest)
        try:
            content = stream.read(layer.size)
            stream.drain()
        finally:
            stream.close()
        return content


def _beginning(content: Bytes, path: str) -> bytes:
    """Read what may be needed of a file that cannot be opened again."""
    lower = path.lower()
    if lower.endswith(".json"):
        return content.read(TENSOR_BYTES + 1)
    if lower.endswith(".gguf"):
        return content.read(_GGUF_BYTES)
    if not lower.endswith(".safetensors"):
        return b""
    length = int.from_bytes(content.peek(8)[:8], "little")
    return content.read(8 + length if length <= TENSOR_BYTES else safetensors.FIRST_BYTES)


def file_names(layers: Sequence[Descriptor], titles: Sequence[str | None]) -> list[str | None]:
    """Return what each layer of an artifact is called, by its annotation or its media type; None for an archive.

    Docker Model Runner has pushed GGUF and safetensors files without a name.
    """
    unnamed = [layer.media_type for layer, title in zip(layers, titles, strict=True) if not title]
    seen: dict[str, int] = {}
    names: list[str | None] = []
    for layer, title in zip(layers, titles, strict=True):
        if _is_archive(layer.media_type):
            names.append(None)
            continue
        suffix = _SUFFIXES.get(layer.media_type)
        if title or suffix is None:
            names.append(title)
            continue
        seen[layer.media_type] = number = seen.get(layer.media_type, 0) + 1
        count = unnamed.count(layer.media_type)
        names.append(f"model{suffix}" if count == 1 else f"model-{number:05d}-of-{count:05d}{suffix}")
    return names


_SUFFIXES = {
    "application/vnd.docker.ai.gguf.v3": ".gguf",
    "application/vnd.docker.ai.safetensors": ".safetensors",
}  # docker/model-runner, pkg/distribution/types


def _is_archive(media_type: str) -> bool:
    return media_type.endswith((".tar", ".tar+gzip", ".tar+zstd", ".tar.gzip", "+gzip", "+zstd"))
