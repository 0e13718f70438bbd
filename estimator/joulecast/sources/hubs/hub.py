"""A model's repository on a hub (Hub API: ``/api/models`` and ``/resolve``), pinned to one commit."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2

from joulecast.errors import ModelFetchError, ModelReferenceError
from joulecast.sources.registries.endpoint import endpoint
from joulecast.sources.registries.exchange import Exchange
from joulecast.sources.registries.remote import RemoteFile, RemoteRanges
from joulecast.sources.registries.service import Service

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter
    from joulecast.sources.hubs.reference import HubReference
    from joulecast.sources.registries.access import RegistryAccess

FIRST_BYTES = 8 << 10
"""Of a file, with the request that finds out whether it is there: all of most configurations and headers."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_COMMIT_HEADER = "x-repo-commit"
_MAX_NAMES = 20_000  # in one repository; the hub advises fewer than 100,000 files


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What a revision is now. ``names``: all files, sorted; ``size_bytes``: of those whose size is told."""

    commit: str
    names: tuple[str, ...]
    size_bytes: int

    @property
    def digest(self) -> str:
        return f"git:{self.commit}"


class HubToken:
    """``Authority`` of a hub: a token that goes to its endpoint alone, or none."""

    def __init__(self, token: str, label: str) -> None:
        self._token = token
        self._label = label

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def answer(self, header: str) -> bool:  # noqa: ARG002 - whatever the challenge, there is nothing else to send
        return False

    def refused(self, what: str) -> ModelFetchError:
        """Return the error for a 401 or 403; a hub answers so for a name that does not exist, too."""
        problem = "to the token given" if self._token else "without a token"
        account = "the token's account" if self._token else "an account, and give its token"
        return ModelFetchError(
            f"{what} in {self._label} is not given out {problem}: check its name; if it is gated or private, accept its"
            f" licence on its page with {account}",
            reason="Unauthorized",
            transient=False,
        )


class Hub:
    """``ModelFolder`` over one repository at one commit."""

    def __init__(self, reference: HubReference, access: RegistryAccess, meter: Meter) -> None:
        """Prepare; nothing is asked yet. Raises ModelReferenceError if no hub may be used."""
        base = endpoint(access.hub_endpoint, "hub", access)
        self._reference = reference
        self._prefix = base.path.rstrip("/")
        service = Service(kind="hub", host=base.netloc)
        token = access.hub_token if _may_send_token(base.scheme, base.hostname) else ""
        _check_token(token)
        self._exchange = Exchange(
            service,
            access=access,
            meter=meter,
            authority=HubToken(token, service.label),
            origin=f"{base.scheme}://{base.netloc}",
        )
        self._revision: Revision | None = None
        self.name = f"{reference.repository}@{reference.revision}"

    def revision(self) -> Revision:
        """Return what the reference's revision is now; the hub is asked once."""
        if self._revision is None:
            self._revision = self._exchange.attempt(self._asked)
        return self._revision

    def names(self) -> tuple[str, ...]:
        return self.revision().names

    def open(self, name: str) -> RemoteFile | None:
        if name not in self.names():
            return None
        place = f"{self._prefix}/{self._reference.repository}/resolve/{self.revision().commit}/{quote(name)}"
        label = f"{self.name}, {name}"
        ranges = RemoteRanges(self._exchange, self._exchange.url(place), label, inspect=self._check_commit)
        try:
            return RemoteFile(ranges, FIRST_BYTES)
        except ModelFetchError as error:
            if error.reason != "NotFound":
                raise
            return None

    def close(self) -> None:
        self._exchange.close()

    def _asked(self) -> Revision:
        revision = quote(self._reference.revision, safe="%")
        place = f"{self._prefix}/api/models/{self._reference.repository}/revision/{revision}?blobs=true"
        response, _ = self._exchange.send("GET", self._exchange.url(place), {"Accept": "application/json"})
        if response.status_code != 200:
            raise self._exchange.refused(response, self.name)
        return self._parsed(self._exchange.body(response))

    def _parsed(self, content: bytes) -> Revision:
        try:
            document: Any = json.loads(content)
            commit, siblings = document["sha"], document["siblings"]
            names = tuple(sorted(str(file["rfilename"]) for file in siblings))
            sizes = [file.get("size") for file in siblings]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise self._exchange.service.misbehaved("describes a model without commit and files") from None
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise self._exchange.service.misbehaved("names no commit for a revision")
        if len(names) > _MAX_NAMES:
            raise self._exchange.service.misbehaved(f"lists more than {_MAX_NAMES:,} files of a model")
        if _COMMIT.fullmatch(self._reference.revision) and commit != self._reference.revision:
            raise self._exchange.service.misbehaved("answers with another commit than was requested")
        known = [size for size in sizes if isinstance(size, int) and 0 <= size < 1 << 63]
        return Revision(commit=commit, names=names, size_bytes=sum(known))

    def _check_commit(self, response: httpx2.Response) -> None:
        """Raise ModelFetchError for a file of another commit than the pinned one."""
        told = response.headers.get(_COMMIT_HEADER)
        if told is not None and told != self.revision().commit:
            response.close()
            raise self._exchange.service.misbehaved("answers with a file of another commit than was requested")


def _may_send_token(scheme: str, host: str | None) -> bool:
    """Decide whether a token is safe on the way: by https, or to this machine."""
    try:
        is_here = ip_address(host or "").is_loopback
    except ValueError:
        is_here = host == "localhost"
    return scheme == "https" or is_here


def _check_token(token: str) -> None:
    if not re.fullmatch(r"[\x21-\x7e]*", token):
        raise ModelReferenceError(
            "the hub's token has blanks or other signs that no token has: give it again", reason="InvalidCredentials"
        )
