"""Read the objects that an estimate names beside its model: the Secret of a hub's token, and a ConfigMap.

As with pull secrets, joulecast may read them only where an admin of the namespace allows it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.kinds import CONFIG_MAPS, SECRETS, Kind
from joulecast_operator.api.models import ModelSource
from joulecast_operator.cluster.access import PullCredentials
from joulecast_operator.cluster.client import ApiError, Cluster

_TOKEN: Final = "token"  # noqa: S105  # the key, not its value
_ROLES: Final = {SECRETS.kind: "pull-secrets", CONFIG_MAPS.kind: "model-configurations"}
"""The end of the name of the chart's ClusterRole that allows joulecast to read objects of a kind."""

UNWATCHED: Final = frozenset(
    {
        "PullSecretForbidden", "PullSecretNotFound", "ModelSecretForbidden", "ModelSecretNotFound",
        "InvalidModelSecret", "ConfigMapForbidden", "ConfigMapNotFound", "ConfigMapKeyNotFound",
    }
)  # fmt: skip
"""Reasons that end with a change of an object that is not watched, so that it is looked at again after a pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadObjects:
    """What was read of the objects that an estimate names.

    - ``pull``: the credentials that images are pulled with.
    - ``token``: the token for the hub; "" for none.
    - ``configuration``: the text of the model's config.json; None if no ConfigMap holds it.
    """

    pull: PullCredentials = field(default_factory=PullCredentials)
    token: str = field(default="", repr=False)
    configuration: str | None = field(default=None, repr=False)


class ModelObjects:
    """Reads Secrets and ConfigMaps in the namespaces whose admin allows it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def read(self, namespace: str, model: ModelSource | None, pull: PullCredentials) -> ReadObjects | Wrong:
        """Return the token and the configuration that ``model`` refers to."""
        if model is not None and model.config_map_ref is not None:
            text = await self._configuration(namespace, model.config_map_ref.name, model.config_map_ref.key)
            return text if isinstance(text, Wrong) else ReadObjects(pull=pull, configuration=text)
        if model is not None and model.secret_ref is not None:
            token = await self._token(namespace, model.secret_ref.name)
            return token if isinstance(token, Wrong) else ReadObjects(pull=pull, token=token)
        return ReadObjects(pull=pull)

    async def _token(self, namespace: str, name: str) -> str | Wrong:
        secret = await self._object(SECRETS, namespace, name, "ModelSecret")
        if isinstance(secret, Wrong):
            return secret
        try:
            token = base64.b64decode(secret["data"][_TOKEN], validate=True).decode("ascii").strip()
        except (KeyError, ValueError, TypeError):  # a tenant wrote the content
            token = ""
        if token:
            return token
        return Wrong(
            reason="InvalidModelSecret",
            message=f"Secret {name!r} has no token under the key {_TOKEN}: create it with kubectl create secret generic"
            f" {name} --from-literal={_TOKEN}=…",
        )

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
