"""One layer of an image as a list of files: an archive, compressed or not, or a single file stored as it is."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from joulecast.errors import ModelFormatError
from joulecast.sources.budget import KIB
from joulecast.sources.streams.compressed import decompressed
from joulecast.sources.streams.ranges import COMPRESSED, PLAIN, VERIFIED, RangedStream
from joulecast.sources.streams.stream import LimitedStream
from joulecast.sources.streams.tarstream import BLOCK, Member, inside, is_tar, members

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter
    from joulecast.sources.images.manifest import Descriptor, Store
    from joulecast.sources.streams.stream import Bytes

FILE_PATH = "org.cncf.model.filepath"  # ModelPack specification
TITLE = "org.opencontainers.image.title"  # OCI image specification, annotations; what ORAS names a file by
_COMPLETION_BYTES = 512 * KIB
"""A compressed layer that was walked through is read to its end for its digest's sake if no more than this is left."""


class Layer:
    """``descriptor``'s blob in ``store``. ``verify``: read all of it, so that its digest is checked."""

    def __init__(self, descriptor: Descriptor, store: Store, meter: Meter, *, verify: bool) -> None:
        self.descriptor = descriptor
        self.name = f"{meter.subject}, layer {descriptor.digest[:19]}"
        self.verified = False
        self._store = store
        self._meter = meter
        self._verify = verify
        self._blob: RangedStream | None = None
        self.compressed = False

    @property
    def position(self) -> int:
        """How far the layer was read: where the content of the current member begins, unless it is compressed."""
        return 0 if self._blob is None else self._blob.position

    @property
    def title(self) -> str | None:
        """The file name that its annotations give it, if any."""
        annotations = self.descriptor.annotations
        return annotations.get(FILE_PATH) or annotations.get(TITLE)

    def members(self) -> Generator[tuple[Member, Bytes], None, None]:
        """Yield each file with its content, which can be read until the next file is requested.

        Every call starts again.

        Raises ModelFormatError if the layer is damaged, ModelFetchError if it cannot be had.
        """
        self._blob = self._opened()
        try:
            yield from self._read(self._blob)
        finally:
            self._blob.close()

    def finish(self) -> None:
        """Read what the digest still needs, if that was requested or costs little.

        Call it before ``members`` ends or is left.
        """
        blob = self._blob
        if blob is None:
            return
        left = blob.size - blob.position
        if self._verify or (self.compressed and left <= _COMPLETION_BYTES):
            blob.drain()
        self.verified |= blob.verified

    def _opened(self) -> RangedStream:
        return RangedStream(
            self._store.ranges(self.descriptor),
            name=self.name,
            size=self.descriptor.size,
            meter=self._meter,
            windows=VERIFIED if self._verify else PLAIN,
            digest=self.descriptor.digest,
        )

    def _read(self, blob: RangedStream) -> Generator[tuple[Member, Bytes], None, None]:
        content = decompressed(blob, name=self.name, meter=self._meter)
        self.compressed = content is not blob
        if self.compressed:
            blob.use(COMPRESSED)
        head = content.peek(2 * BLOCK)
        if is_tar(head):
            for member in members(content, self.name):
                yield member, LimitedStream(content, member.size or 0)
        elif head:
            yield self._single(None if self.compressed else blob.size), content

    def _single(self, size: int | None) -> Member:
        """Return the layer as one file."""
        title = self.title
        if not title and "tar" in self.descriptor.media_type:
            raise ModelFormatError(f"{self.name} is not a well-formed tar archive: build and push the image again")
        return Member(path=inside(title or f"{self.descriptor.digest}.onnx", self.name), kind="file", size=size)
