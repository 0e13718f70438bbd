"""Pack and unpack frames between the controller and its workers: a JSON header and a body, after their lengths."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Any, Final

PREFIX: Final = struct.Struct(">II")
MAXIMUM_BYTES: Final = 256 * 2**20  # a skeleton holds no weights; the largest seen (6,000 nodes) is 4 MB

Header = dict[str, Any]
"""The header of a frame, a JSON object."""


class FrameError(Exception):
    """The other side sent an incomplete or malformed frame."""


def pack(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Return the frame of a header and a body."""
    text = json.dumps(header).encode()
    return PREFIX.pack(len(text), len(body)) + text + body


def lengths(prefix: bytes) -> tuple[int, int]:
    """Return the lengths of header and body, in bytes. Raises FrameError if they are larger than any frame."""
    if len(prefix) != PREFIX.size:
        raise FrameError("the frame ends early")
    header_bytes, body_bytes = PREFIX.unpack(prefix)
    if header_bytes + body_bytes > MAXIMUM_BYTES:
        raise FrameError(f"a frame of {header_bytes + body_bytes} bytes is larger than {MAXIMUM_BYTES} bytes")
    return header_bytes, body_bytes


def unpack(data: bytes) -> tuple[Header, bytes]:
    """Return header and body of one complete frame. Raises FrameError."""
    header_bytes, body_bytes = lengths(data[: PREFIX.size])
    if len(data) != PREFIX.size + header_bytes + body_bytes:
        raise FrameError("the frame ends early")
    return _header(data[PREFIX.size : PREFIX.size + header_bytes]), data[PREFIX.size + header_bytes :]


def read(descriptor: int) -> tuple[Header, bytes]:
    """Read the next frame from a file descriptor, and nothing after it. Raises FrameError."""
    header_bytes, body_bytes = lengths(_exactly(descriptor, PREFIX.size))
    return _header(_exactly(descriptor, header_bytes)), _exactly(descriptor, body_bytes)


def write(descriptor: int, data: bytes) -> None:
    """Write all of ``data`` to a file descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _header(text: bytes) -> Header:
    try:
        header = json.loads(text)
    except ValueError as error:
        raise FrameError("the frame's header is not JSON") from error
    if not isinstance(header, dict):
        raise FrameError("the frame's header is not a JSON object")
    return header


def _exactly(descriptor: int, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = os.read(descriptor, min(count, 2**20))
        if not part:
            raise FrameError("the frame ends early")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
