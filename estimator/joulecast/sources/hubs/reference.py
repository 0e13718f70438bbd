"""References to models of a hub: ``hf://organisation/name[@revision][/path]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from joulecast.errors import ModelReferenceError

SCHEME = "hf://"
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?"  # huggingface_hub: validate_repo_id
_REVISION = r"refs/(?:convert|pr)/[A-Za-z0-9_-]+|[A-Za-z0-9][A-Za-z0-9._+%-]*"
_REFERENCE = re.compile(
    rf"hf://(?P<repository>{_PART}/{_PART})(?:[@:](?P<revision>{_REVISION}))?(?:/(?P<path>[^@?#]*))?", re.ASCII
)
_MAX_CHARACTERS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HubReference:
    """``repository``: ``organisation/name``; ``revision``: a branch, tag or commit; ``path``: of a file or folder."""

    repository: str
    revision: str
    path: str | None


def is_hub(text: str) -> bool:
    """Decide whether ``text`` means a model of a hub."""
    return text.startswith(SCHEME)


def parse(text: str) -> HubReference:
    """Parse ``text``. A revision may also stand after a colon, as in KServe.

    Raises ModelReferenceError if it is malformed.
    """
    match = _REFERENCE.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if match is None or ".." in text:
        raise ModelReferenceError(
            f"{text[:200]!r} does not name a model of a hub: write hf://organisation/name, optionally with @revision"
        )
    path = (match["path"] or "").strip("/") or None
    return HubReference(repository=match["repository"], revision=match["revision"] or "main", path=path)
