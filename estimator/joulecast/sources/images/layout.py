"""OCI image-layout folders (OCI image specification, image-layout.md)."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulecast.errors import ModelFetchError
from joulecast.sources.files import FileRanges
from joulecast.sources.images.folders import refused
from joulecast.sources.images.manifest import (
    INDEX_TYPES,
    MAX_DOCUMENT_BYTES,
    Descriptor,
    Document,
    misbehaved,
    verified,
)
from joulecast.sources.images.reference import is_digest

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter

_TAG = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"


def split(text: str) -> tuple[Path, str | None] | None:
    """Split ``FOLDER``, ``FOLDER:tag`` or ``FOLDER@sha256:…`` into (folder, tag or digest).

    None if the folder is missing.
    """
    whole = os.path.expanduser(text)  # noqa: PTH111 - pathlib raises for names that cannot be a file's; such a name is not a folder
    if os.path.isdir(whole):  # noqa: PTH112
        return Path(whole), None
    match = re.fullmatch(r"(?P<folder>.+?)(?:@(?P<digest>[a-z0-9]+:[0-9a-f]+)|:(?P<tag>[^/:@]+))", text)
    folder = os.path.expanduser(match["folder"]) if match else ""  # noqa: PTH111
    if match is None or not os.path.isdir(folder):  # noqa: PTH112
        return None
    return Path(folder), match["digest"] or match["tag"]


def is_layout(folder: Path) -> bool:
    """Decide whether ``folder`` is an image layout."""
    return os.path.isfile(folder / "oci-layout")  # noqa: PTH113 - pathlib raises for names that cannot be a file's


class LayoutStore:
    """``Store`` over a layout folder."""

    def __init__(self, folder: Path, meter: Meter) -> None:
        """Open the layout. Raises ModelReferenceError if ``folder`` is not an image layout."""
        self._folder = folder
        self._meter = meter
        if not is_layout(folder):
            raise refused(folder)

    def document(self, target: str | None) -> Document:
        if target is not None and is_digest(target):
            return self._blob(target, "")
        index = self._read(self._folder / "index.json")
        entries = self._entries(index)
        if target is not None:
            entries = [entry for entry in entries if target in _names(entry)]
        if len(entries) == 1:
            entry = entries[0]
            if not is_digest(entry.get("digest")):
                raise misbehaved(str(self._folder), "has an index.json whose entry has no valid digest")
            return self._blob(str(entry["digest"]), str(entry.get("mediaType", "")))
        if entries and not any(_names(entry) for entry in entries):  # one image for several platforms, without a tag
            return Document(content=index, digest="", media_type=INDEX_TYPES[0])
        raise self._unclear(target, entries, self._entries(index))

    def digest(self, target: str | None) -> tuple[str, str] | None:
        document = self.document(target)
        return document.digest, document.media_type

    def ranges(self, descriptor: Descriptor) -> FileRanges:
        return FileRanges(self._path(descriptor.digest), self._meter)

    def close(self) -> None:
        """Do nothing, because no file stays open."""

    def _blob(self, digest: str, media_type: str) -> Document:
        path = self._path(digest)
        return Document(content=verified(self._read(path), digest, str(path)), digest=digest, media_type=media_type)

    def _path(self, digest: str) -> Path:
        algorithm, _, value = digest.partition(":")
        return self._folder / "blobs" / algorithm / value

    def _read(self, path: Path) -> bytes:
        ranges = FileRanges(path, self._meter)
        try:
            if ranges.size > MAX_DOCUMENT_BYTES:
                raise misbehaved(
                    str(path), f"is larger than {MAX_DOCUMENT_BYTES:,} bytes, more than any valid manifest"
                )
            return ranges.read(0, ranges.size)
        finally:
            ranges.close()

    def _entries(self, index: bytes) -> list[dict[str, Any]]:
        try:
            manifests = json.loads(index)["manifests"]
        except (ValueError, KeyError, TypeError, RecursionError):
            manifests = None
        if not isinstance(manifests, list):
            raise misbehaved(str(self._folder), "has an index.json that lists no manifests")
        return [entry for entry in manifests if isinstance(entry, dict)]

    def _unclear(
        self, target: str | None, entries: list[dict[str, Any]], every: list[dict[str, Any]]
    ) -> ModelFetchError:
        names = ", ".join(sorted({name for entry in every for name in _names(entry)})[:20]) or "no tags"
        if not entries:
            problem = f"holds no image {target!r}" if target else "holds no image"
            return ModelFetchError(f"{self._folder} {problem}: it has {names}", reason="NotFound", transient=False)
        return ModelFetchError(
            f"{self._folder} holds several images: name one as {self._folder}:TAG, it has {names}",
            reason="AmbiguousModel",
            transient=False,
        )


def _names(entry: dict[str, Any]) -> list[str]:
    annotations = entry.get("annotations")
    if not isinstance(annotations, dict):
        return []
    return [name for key in (_TAG, _CONTAINERD_NAME) if isinstance(name := annotations.get(key), str)]
