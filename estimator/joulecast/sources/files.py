"""Local files, read by position."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.errors import ModelFetchError, ModelReferenceError
from joulecast.sources.fetched import FetchedModel
from joulecast.sources.skeletons import external
from joulecast.sources.skeletons.skeleton import skeleton
from joulecast.sources.streams.ranges import LOCAL, RangedStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from joulecast.sources.budget import Meter


class FileRanges:
    """``Ranges`` over an open file. Counts what it reads on ``meter``."""

    def __init__(self, path: Path, meter: Meter) -> None:
        """Open the file. Raises ModelFetchError if ``path`` cannot be opened or is not a regular file."""
        self._meter = meter
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        status = os.fstat(self._descriptor)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise ModelReferenceError(
                f"{path} is not a regular file: give a model's file or folder, an OCI image layout or an image"
            )

    def read(self, offset: int, length: int) -> bytes:
        try:
            piece = os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise _unreadable(self._path, error) from error
        self._meter.receive(len(piece))
        return piece

    def close(self) -> None:
        os.close(self._descriptor)


def fetch_file(path: Path, *, reference: str, meter: Meter) -> FetchedModel:
    """Read the model in a local ONNX file, with the shape constants that lie in files beside it.

    Its digest is its skeleton's: different weights do not change a forecast and are never read.

    Raises ModelFetchError if it cannot be read, ModelFormatError if it is not an ONNX model.
    """
    ranges = FileRanges(path, meter)
    try:
        stream = RangedStream(ranges, name=str(path), size=ranges.size, meter=meter, windows=LOCAL)
        content = skeleton(stream, name=str(path), size=ranges.size, limit_bytes=meter.budget.skeleton_bytes)
    finally:
        ranges.close()
    content = external.inlined(content, _beside(path, external.pieces(content), meter))
    return FetchedModel(
        reference=reference,
        format="onnx",
        path=str(path),
        digest="sha256:" + hashlib.sha256(content).hexdigest(),
        layer_digest=None,
        skeleton=content,
        bytes_fetched=meter.fetched_bytes,
        image_bytes=ranges.size,
        verification=None,
    )


def _beside(path: Path, wanted: Sequence[external.Piece], meter: Meter) -> dict[external.Piece, bytes]:
    """Return the pieces from files in the model's folder; a file that cannot be read gives none."""
    found: dict[external.Piece, bytes] = {}
    for location in dict.fromkeys(piece.location for piece in wanted):
        try:
            ranges = FileRanges(path.parent / location, meter)
        except (ModelFetchError, ModelReferenceError):
            continue  # its shapes stay unknown, and the reader says which file they wait for
        with closing(ranges):
            stream = RangedStream(ranges, name=location, size=ranges.size, meter=meter, windows=LOCAL)
            found |= external.read(stream, [piece for piece in wanted if piece.location == location])
    return found


def _unreadable(path: Path, error: OSError | ValueError) -> ModelFetchError:
    if isinstance(error, FileNotFoundError):
        return ModelFetchError(f"{path} does not exist: check the path", reason="ModelNotFound", transient=False)
    return ModelFetchError(
        f"{path} cannot be read ({getattr(error, 'strerror', 'no file can have that name')}): check its permissions",
        reason="Unreadable",
        transient=False,
    )
