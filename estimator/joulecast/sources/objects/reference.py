"""References to objects: ``s3://bucket/prefix``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from joulecast.errors import ModelReferenceError

SCHEME = "s3://"
_REFERENCE = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<key>.*))?", re.ASCII | re.DOTALL)
_MAX_KEY_BYTES = 1024  # Amazon S3, "Creating object key names"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReference:
    """``key``: of the model's one file, or what the keys of its files begin with, without ``/`` at the ends."""

    bucket: str
    key: str


def is_object(text: str) -> bool:
    """Decide whether ``text`` means a model in an object store."""
    return text.startswith(SCHEME)


def parse(text: str) -> ObjectReference:
    """Parse ``text``. Raises ModelReferenceError if it is malformed."""
    match = _REFERENCE.fullmatch(text)
    key = (match["key"] or "").strip("/") if match else ""
    is_plain = key.isprintable() and not any(part in ("", ".", "..") for part in key.split("/"))
    if match is None or len(key.encode()) > _MAX_KEY_BYTES or not (is_plain or not key) or ".." in match["bucket"]:
        raise ModelReferenceError(f"{text[:200]!r} does not name a model in a bucket: write s3://bucket/folder")
    return ObjectReference(bucket=match["bucket"], key=key)
