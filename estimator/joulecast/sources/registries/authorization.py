"""Answering a registry's challenge: Basic, or a bearer token from its token service (distribution specification, "token
authentication")."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from joulecast.errors import ModelFetchError
from joulecast.sources.images.manifest import misbehaved

if TYPE_CHECKING:
    from joulecast.sources.registries.credentials import Credentials

AskToken = Callable[[str, Mapping[str, str], Mapping[str, str], Mapping[str, str]], bytes]
"""(realm, query, headers, form: empty for GET) -> body."""

_CLIENT_ID = "joulecast"
_PART = re.compile(
    r"(?<![A-Za-z0-9_-])"  # only where a word begins, so that a long one is looked at once
    r'(?:(?P<key>[A-Za-z0-9_-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))'
    r"|(?P<scheme>[A-Za-z][A-Za-z0-9_-]*))"
)  # RFC 9110, 11.2: challenges of several schemes may share one header


def challenges(header: str) -> dict[str, dict[str, str]]:
    """Return the parameters of each scheme in a ``WWW-Authenticate`` header; names in lower case."""
    found: dict[str, dict[str, str]] = {}
    parameters: dict[str, str] = {}
    for part in _PART.finditer(header):
        if part["scheme"]:
            parameters = found.setdefault(part["scheme"].lower(), {})
        else:
            quoted = part["quoted"]
            parameters[part["key"].lower()] = part["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    return found


class Authorizer:
    """The ``Authorization`` header for one repository at one registry host."""

    def __init__(self, host: str, repository: str, credentials: Credentials | None, ask_token: AskToken) -> None:
        self._host = host
        self._repository = repository
        self._credentials = credentials
        self._ask_token = ask_token
        self._value: str | None = None

    def headers(self) -> dict[str, str]:
        return {"Authorization": self._value} if self._value else {}

    def answer(self, header: str) -> bool:
        """Prepare ``headers()`` for a challenge; False if there is nothing to answer it with.

        Raises ModelFetchError.
        """
        offered = challenges(header)
        value: str | None = None
        if "bearer" in offered:
            value = f"Bearer {self._token(offered['bearer'])}"
        elif "basic" in offered and self._credentials:
            value = self._credentials.basic
        self._value = value
        return value is not None

    def refused(self, what: str) -> ModelFetchError:
        """Return the error for a 401 or 403."""
        if self._credentials is None:
            problem = (
                "is not given out without credentials: check the name, and give a pull secret or log in to the registry"
            )
        else:
            problem = "is refused to the credentials given: check the name, and that they may pull from this repository"
        return ModelFetchError(f"{what} in registry {self._host} {problem}", reason="Unauthorized", transient=False)

    def _token(self, challenge: Mapping[str, str]) -> str:
        credentials = self._credentials
        if credentials and credentials.registry_token:
            return credentials.registry_token
        realm = challenge.get("realm", "")
        if not realm:
            raise misbehaved(f"registry {self._host}", "asks for a token but does not name a token service")
        query = {"scope": challenge.get("scope") or f"repository:{self._repository}:pull"}
        if challenge.get("service"):
            query["service"] = challenge["service"]
        if credentials and credentials.identity_token:
            grant = {
                "grant_type": "refresh_token",
                "refresh_token": credentials.identity_token,
                "client_id": _CLIENT_ID,
            }
            return self._parsed(self._ask_token(realm, {}, {}, {**query, **grant}))
        basic = credentials.basic if credentials else None
        return self._parsed(self._ask_token(realm, query, {"Authorization": basic} if basic else {}, {}))

    def _parsed(self, body: bytes) -> str:
        try:
            answer = json.loads(body)
            token = answer.get("token") or answer.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise misbehaved(f"registry {self._host}", "has a token service that returns no token")
        return token
