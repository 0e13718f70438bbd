"""Read the objects that an estimate names beside its model: the Secret of its address, and a ConfigMap.

As with pull secrets, joulecast may read them only where an admin of the namespace allows it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from joulecast.sources.objects.reference import is_object
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.kinds import CONFIG_MAPS, SECRETS, Kind
from joulecast_operator.api.models import ModelSource
from joulecast_operator.cluster.access import PullCredentials
from joulecast_operator.cluster.client import ApiError, Cluster

_TOKEN: Final = "token"  # noqa: S105  # the key, not its value
_OBJECT_KEYS: Final = {
    "access_key_id": ("accessKeyId", "AWS_ACCESS_KEY_ID"),
    "secret_access_key": ("secretAccessKey", "AWS_SECRET_ACCESS_KEY"),
    "session_token": ("sessionToken", "AWS_SESSION_TOKEN"),
}
"""Fields of ``ObjectAccess``, each with the keys of a Secret that may hold it; the second ones are those of KServe."""
_ROLES: Final = {SECRETS.kind: "pull-secrets", CONFIG_MAPS.kind: "model-configurations"}
"""The end of the name of the chart's ClusterRole that allows joulecast to read objects of a kind."""

UNWATCHED: Final = frozenset(
    {
        "PullSecretForbidden", "PullSecretNotFound", "ModelSecretForbidden", "ModelSecretNotFound",
        "InvalidModelSecret", "ConfigMapForbidden", "ConfigMapNotFound", "ConfigMapKeyNotFound", "TargetForbidden",
    }
)  # fmt: skip
"""Reasons that end with a change of an object that is not watched, so that it is looked at again after a pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadObjects:
    """What was read of the objects that an estimate names.

    - ``pull``: the credentials that images are pulled with.
    - ``token``: the token for the hub; "" for none.
    - ``object_keys``: the keys for the object store, fields of ``ObjectAccess`` as JSON; "" for none.
    - ``configuration``: the text of the model's config.json; None if no ConfigMap holds it.
    """

    pull: PullCredentials = field(default_factory=PullCredentials)
    token: str = field(default="", repr=False)
    object_keys: str = field(default="", repr=False)
    configuration: str | None = field(default=None, repr=False)


class ModelObjects:
    """Reads Secrets and ConfigMaps in the namespaces whose admin allows it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def read(self, namespace: str, model: ModelSource | None, pull: PullCredentials) -> ReadObjects | Wrong:
        """Return the credentials and the configuration that ``model`` refers to."""
        if model is not None and model.config_map_ref is not None:
            text = await self._configuration(namespace, model.config_map_ref.name, model.config_map_ref.key)
            return text if isinstance(text, Wrong) else ReadObjects(pull=pull, configuration=text)
        if model is not None and model.secret_ref is not None:
            name = model.secret_ref.name
            secret = await self._object(SECRETS, namespace, name, "ModelSecret")
            if isinstance(secret, Wrong):
                return secret
            return _with_keys(secret, name, pull) if is_object(model.uri or "") else _with_token(secret, name, pull)
        return ReadObjects(pull=pull)

    async def _configuration(self, namespace: str, name: str, key: str) -> str | Wrong:
        found = await self._object(CONFIG_MAPS, namespace, name, "ConfigMap")
        if isinstance(found, Wrong):
            return found
        data = found.get("data")
        text = data.get(key) if isinstance(data, Mapping) else None
        if isinstance(text, str):
            return text
        return Wrong(
            reason="ConfigMapKeyNotFound",
            message=f"ConfigMap {name!r} has no text under the key {key!r}: add the model's config.json under it, or"
            " correct spec.model.configMapRef",
        )

    async def _object(self, kind: Kind, namespace: str, name: str, subject: str) -> Mapping[str, Any] | Wrong:
        """Read an object. ``subject``: the beginning of the reason where it cannot be read."""
        try:
            return await self._cluster.get(kind.path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return Wrong(
                    reason=f"{subject}NotFound",
                    message=f"there is no {kind.kind} {name!r} in namespace {namespace!r}: create it, or correct"
                    " spec.model",
                )
            if error.status != 403:
                raise
        return Wrong(
            reason=f"{subject}Forbidden",
            message=f"joulecast may not read {kind.kind} {name!r}: let an admin of namespace {namespace!r} bind the"
            f" ClusterRole whose name ends in {_ROLES[kind.kind]} to joulecast's controller",
        )


def _with_token(secret: Mapping[str, Any], name: str, pull: PullCredentials) -> ReadObjects | Wrong:
    """Return the token for the hub that a Secret holds."""
    token = _text(secret, (_TOKEN,))
    return ReadObjects(pull=pull, token=token) if token else _without(name, "token", (_TOKEN,))


def _with_keys(secret: Mapping[str, Any], name: str, pull: PullCredentials) -> ReadObjects | Wrong:
    """Return the keys for the object store that a Secret holds: an identifier and a secret, and a session's token."""
    found = {field: text for field, keys in _OBJECT_KEYS.items() if (text := _text(secret, keys))}
    if {"access_key_id", "secret_access_key"} <= found.keys():
        return ReadObjects(pull=pull, object_keys=json.dumps(found, sort_keys=True))
    return _without(name, "access key", ("accessKeyId", "secretAccessKey"))


def _text(secret: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Return the text under the first of ``keys`` that has one; "" if none has, because a tenant wrote the content."""
    data = secret.get("data")
    for key in keys:
        try:
            text = base64.b64decode(data[key], validate=True).decode("ascii").strip()  # type: ignore[index]
        except (KeyError, ValueError, TypeError):
            continue
        if text:
            return text
    return ""


def _without(name: str, what: str, keys: Sequence[str]) -> Wrong:
    literals = " ".join(f"--from-literal={key}=…" for key in keys)
    return Wrong(
        reason="InvalidModelSecret",
        message=f"Secret {name!r} has no {what} under {' and '.join(keys)}: create it with kubectl create secret"
        f" generic {name} {literals}",
    )
