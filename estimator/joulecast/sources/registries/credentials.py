"""Credentials of a user or a pull secret: of registries out of a docker configuration (``config.json``,
``.dockerconfigjson``), of a hub as the Hugging Face libraries keep them.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from joulecast.errors import ModelReferenceError
from joulecast.sources.images.reference import DOCKER_HUB

PUBLIC_HUB = "https://huggingface.co"
_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A username and password, an identity token (OAuth2 refresh token), or a registry token sent as it is."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str | None:
        """Value of an ``Authorization`` header (RFC 7617), None without a password."""
        if not self.password:
            return None
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def user_docker_config() -> Mapping[str, Any]:
    """Return the user's docker configuration, empty if there is none.

    Raises ModelReferenceError if it is not a JSON object.
    """
    path = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        content = json.loads(path.read_bytes())
    except OSError:
        return {}
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ModelReferenceError(
            f"{path} is not a JSON object: repair it, or log in again", reason="InvalidCredentials"
        )
    return content


def user_hub(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the user's hub and token as fields of a ``RegistryAccess``, as the Hugging Face libraries find them.

    With ``HF_HUB_OFFLINE`` there is none.
    """
    if environment.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return {}
    endpoint = (environment.get("HF_ENDPOINT") or PUBLIC_HUB).rstrip("/")
    token = environment.get("HF_TOKEN") or environment.get("HUGGING_FACE_HUB_TOKEN") or _saved_token(environment)
    return {"hub_endpoint": endpoint, "hub_token": token.strip()}


def _saved_token(environment: Mapping[str, str]) -> str:
    """Return the token that ``hf auth login`` has saved, empty if there is none."""
    cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or f"{cache}/huggingface"
    path = Path(environment.get("HF_TOKEN_PATH") or f"{home}/token")
    try:
        return path.expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError, RuntimeError):
        return ""


def lookup(docker_config: Mapping[str, Any], registry: str, repository: str) -> Credentials | None:
    """Return the entry for ``registry/repository`` with the longest matching key, as kubelet matches them.

    A key is ``host[:port][/path]``, with or without a scheme; its host may have ``*`` for a label. Raises
    ModelReferenceError (InvalidCredentials) if the entry cannot be decoded; its content is never part of the message.
    """
    auths = docker_config.get("auths", {})
    if not isinstance(auths, Mapping):
        raise _invalid("auths")
    matching = [key for key in auths if _matches(str(key), registry, repository)]
    if not matching:
        return None
    key = max(matching, key=lambda key: (len(_split(key)[1]), "*" not in key, len(key)))
    return _decoded(key, auths[key])


def _split(key: str) -> tuple[str, str]:
    host, _, path = key.partition("://")[2].partition("/") if "://" in key else key.partition("/")
    path = path.strip("/")
    return host, "" if path in {"v1", "v2"} else path  # https://index.docker.io/v1/ is a historic way to write the host


def _matches(key: str, registry: str, repository: str) -> bool:
    host, path = _split(key)
    if path and repository != path and not repository.startswith(path + "/"):
        return False
    if host in _HUB_NAMES:
        return registry in _HUB_NAMES
    return _labels_match(host.lower(), registry.lower())


def _labels_match(pattern: str, host: str) -> bool:
    wanted, labels = pattern.split("."), host.split(".")
    return len(wanted) == len(labels) and all(map(fnmatchcase, labels, (part.replace("[", "[[]") for part in wanted)))


def _decoded(key: str, entry: Any) -> Credentials:
    if not isinstance(entry, Mapping):
        raise _invalid(key)
    values = {
        name: entry.get(name) or "" for name in ("username", "password", "auth", "identitytoken", "registrytoken")
    }
    if not all(isinstance(value, str) for value in values.values()):
        raise _invalid(key)
    username, password = values["username"], values["password"]
    if values["auth"] and not password:
        username, password = _basic_pair(key, values["auth"])
    return Credentials(
        username=username,
        password=password,
        identity_token=values["identitytoken"],
        registry_token=values["registrytoken"],
    )


def _basic_pair(key: str, auth: str) -> tuple[str, str]:
    try:
        username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise _invalid(key) from None
    if not colon:
        raise _invalid(key)
    return username, password.rstrip("\0")


def _invalid(key: str) -> ModelReferenceError:
    return ModelReferenceError(
        f"the docker credentials' entry {key!r} cannot be decoded: create the pull secret again (kubectl create "
        "secret docker-registry)",
        reason="InvalidCredentials",
    )
