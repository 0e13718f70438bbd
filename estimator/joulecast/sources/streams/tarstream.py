"""The members of a tar archive, read forward; contents that are not requested are skipped."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from joulecast.errors import ModelFormatError

if TYPE_CHECKING:
    from joulecast.sources.streams.stream import Bytes

EntryKind = Literal["file", "folder", "symlink", "hardlink", "other"]

BLOCK = tarfile.BLOCKSIZE
_MAX_EXTENSION_BYTES = 1 << 20  # Go's archive/tar, which container runtimes use: maxSpecialFileSize
_MAX_PATH_CHARACTERS = 4096  # Linux PATH_MAX
_MAX_LENGTH_DIGITS = 7  # of a record within _MAX_EXTENSION_BYTES
_SPARSE_FLAG_IN_HEADER, _SPARSE_FLAG_IN_MAP = 482, 504  # GNU tar manual, "Basic Tar Format": isextended
_WITHOUT_CONTENT = frozenset({tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE})
_GNU_SPARSE_KEYS = ("GNU.sparse.major", "GNU.sparse.map", "GNU.sparse.size")
_PAX_KEYS = frozenset({"path", "linkpath", "size", "GNU.sparse.name", *_GNU_SPARSE_KEYS})
"""What is kept of pax records: the others could grow without end before the member that they belong to."""
_KINDS: Mapping[bytes, EntryKind] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of an archive.

    - ``path``: without a leading slash and ``..``; ``""`` is the root.
    - ``target``: of a link, as it stands.
    - ``size``: bytes of content, None if unknown (a compressed file that is not an archive).
    - ``readable``: False for a sparse file, whose content is not stored as it reads.
    """

    path: str
    kind: EntryKind
    size: int | None = 0
    target: str = ""
    readable: bool = True


def is_tar(head: bytes) -> bool:
    """Decide whether ``head``, 1,024 bytes if there are so many, begins a tar archive.

    It does with a block whose checksum is right, or with two blocks of zeros.
    """
    if len(head) == 2 * BLOCK and not head.strip(b"\0"):
        return True
    try:
        tarfile.TarInfo.frombuf(head[:BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def inside(path: str, name: str) -> str:
    """Return ``path`` relative to the root, without ``.`` and empty components.

    Raises ModelFormatError if it leaves the root.
    """
    normal = posixpath.normpath(path.lstrip("/") or ".")
    if normal == ".." or normal.startswith("../") or "\0" in path or len(path) > _MAX_PATH_CHARACTERS:
        raise ModelFormatError(
            f"{name} holds a path that leaves the image's root or is malformed ({path[:80]!r}): build the image "
            "with an ordinary tool"
        )
    return "" if normal == "." else normal


def members(stream: Bytes, name: str) -> Iterator[Member]:
    """Yield the members in order.

    While one is current, ``stream`` stands at its content, of which any part may be read.

    Raises ModelFormatError, beginning with ``name``, if the archive is truncated or malformed.
    """
    archive = _Archive(stream, name)
    while (header := archive.header()) is not None:
        member = archive.member(header)
        if member is None:
            continue
        end = stream.position + archive.padded(member.size or 0)
        yield member
        archive.advance(end)


class _Archive:
    """Headers and the extensions (pax, GNU long names) that belong to the member after them."""

    def __init__(self, stream: Bytes, name: str) -> None:
        self._stream = stream
        self._name = name
        self._extended: dict[str, str] = {}
        self._block = b""

    @staticmethod
    def padded(size: int) -> int:
        """Round ``size`` up to whole blocks."""
        return -(-size // BLOCK) * BLOCK

    def header(self) -> tarfile.TarInfo | None:
        """Read the next header; None at the end of the archive."""
        self._block = self._stream.read(BLOCK)
        if not self._block.strip(b"\0"):
            return None
        try:
            header = tarfile.TarInfo.frombuf(self._block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise self._malformed() from None
        if header.size < 0:
            raise self._malformed()
        return header

    def member(self, header: tarfile.TarInfo) -> Member | None:
        """Return the member that ``header`` begins; None if it only extends the next one."""
        if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            self._extended |= self._pax_records(self._extension(header.size))
        elif header.type == tarfile.XGLTYPE:
            self._extension(header.size)  # global records carry comments such as a commit; paths there are not in use
        elif header.type == tarfile.GNUTYPE_LONGNAME:
            self._extended["path"] = _text(self._extension(header.size))
        elif header.type == tarfile.GNUTYPE_LONGLINK:
            self._extended["linkpath"] = _text(self._extension(header.size))
        else:
            return self._member(header)
        return None

    def advance(self, end: int) -> None:
        """Pass over what was not read of a member that ends at ``end``."""
        distance = end - self._stream.position
        if self._stream.skip(distance) < distance:
            raise self._truncated()

    def _member(self, header: tarfile.TarInfo) -> Member:
        extended, self._extended = self._extended, {}
        kind = _KINDS.get(header.type, "other")
        sparse = header.type == tarfile.GNUTYPE_SPARSE or any(key in extended for key in _GNU_SPARSE_KEYS)
        if header.type == tarfile.GNUTYPE_SPARSE:
            self._skip_sparse_map()
        size = self._size(header, extended)
        return Member(
            path=inside(extended.get("GNU.sparse.name") or extended.get("path") or header.name, self._name),
            kind="file" if sparse else kind,
            size=size if kind == "file" or (kind == "other" and header.type not in _WITHOUT_CONTENT) else 0,
            target=extended.get("linkpath") or header.linkname,
            readable=not sparse,
        )

    def _size(self, header: tarfile.TarInfo, extended: Mapping[str, str]) -> int:
        if "size" not in extended:
            return int(header.size)
        if not extended["size"].isascii() or not extended["size"].isdigit():
            raise self._malformed()
        return int(extended["size"][:20])

    def _skip_sparse_map(self) -> None:
        """Skip GNU's old sparse map, which continues in blocks after the header.

        A flag in each says whether another follows.
        """
        more = self._block[_SPARSE_FLAG_IN_HEADER]
        while more:
            block = self._stream.read(BLOCK)
            if len(block) < BLOCK:
                raise self._truncated()
            more = block[_SPARSE_FLAG_IN_MAP]

    def _extension(self, size: int) -> bytes:
        if size > _MAX_EXTENSION_BYTES:
            raise self._malformed()
        content = self._stream.read(size)
        if len(content) < size:
            raise self._truncated()
        self.advance(self._stream.position + self.padded(size) - size)
        return content

    def _pax_records(self, content: bytes) -> dict[str, str]:
        """Parse ``LENGTH KEY=VALUE\\n`` records (POSIX pax)."""
        records: dict[str, str] = {}
        start = 0
        while start < len(content):
            space = content.find(b" ", start, start + _MAX_LENGTH_DIGITS + 1)
            digits = content[start : max(space, start)]
            end = start + (int(digits) if digits.isdigit() else 0)
            raw_key, equals, value = content[space + 1 : end].partition(b"=")
            if not space < end <= len(content) or not equals or content[end - 1 : end] != b"\n":
                raise self._malformed()
            key = _decoded(raw_key)
            if key in _PAX_KEYS:
                records[key] = _decoded(value[:-1])
            start = end
        return records

    def _malformed(self) -> ModelFormatError:
        return ModelFormatError(f"{self._name} is not a well-formed tar archive: build and push the image again")

    def _truncated(self) -> ModelFormatError:
        return ModelFormatError(f"{self._name} ends in the middle of a tar member: build and push the image again")


def _text(content: bytes) -> str:
    return _decoded(content.partition(b"\0")[0])


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
