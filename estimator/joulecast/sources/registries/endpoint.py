"""The address of a server that an administrator or a user names once: a hub, an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from joulecast.errors import ModelReferenceError
from joulecast.sources.registries.address import listed

if TYPE_CHECKING:
    from joulecast.sources.registries.access import RegistryAccess


def endpoint(address: str, kind: str, access: RegistryAccess) -> SplitResult:
    """Return the parts of the address of a ``kind`` of server; without user, query and fragment.

    Raises ModelReferenceError: SourceDisabled if there is none, InvalidEndpoint if it is malformed, or of plain HTTP at
    a host that is not listed as insecure.
    """
    if not address:
        raise ModelReferenceError(
            f"no {kind} may be used here: give an image or a folder that holds the model, or have the address of the"
            f" {kind} set",
            reason="SourceDisabled",
        )
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    is_plain = parts.scheme == "http" and listed(parts.hostname or "", port or 80, access.insecure_registries)
    is_bare = parts.username is None and not parts.query and not parts.fragment
    if not parts.hostname or not is_bare or not (parts.scheme == "https" or is_plain):
        raise ModelReferenceError(
            f"the address of the {kind} cannot be used: give it as https://host[:port][/path], or as http:// for a host"
            " that is listed as insecure",
            reason="InvalidEndpoint",
        )
    return parts
