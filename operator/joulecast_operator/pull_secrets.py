"""Credentials to pull an image with: the Secrets that an estimate names, and those of the workload it targets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from joulecast_operator.kinds import SECRETS
from joulecast_operator.kube import ApiError, Cluster
from joulecast_operator.reconcile import Wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """``docker_config``: JSON text, or "". ``missing``: sentences on the workload's Secrets that could not be had."""

    docker_config: str = field(default="", repr=False)
    missing: tuple[str, ...] = ()


class PullSecrets:
    """Reads Secrets, where a namespace's admin lets joulecast do so."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def credentials(
        self, namespace: str, named: Iterable[str], of_workload: Iterable[str]
    ) -> Credentials | Wrong:
        """What the Secrets hold: those ``named`` by the estimate must be there, those ``of_workload`` may be missing.

        So it is with the kubelet, and most images need none.
        """
        configs, missing = [], []
        for name in named:
            found = await self._read(namespace, name)
            if isinstance(found, Wrong):
                return found
            configs.append(found)
        for name in of_workload:
            found = await self._read(namespace, name)
            if isinstance(found, Wrong):
                missing.append(found.message)
            else:
                configs.append(found)
        merged = json.dumps(merged_docker_configs(configs), sort_keys=True) if configs else ""
        return Credentials(docker_config=merged, missing=tuple(missing))

    async def _read(self, namespace: str, name: str) -> Mapping[str, Any] | Wrong:
        try:
            secret = await self._cluster.get(SECRETS.path(namespace, name))
            config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
        except ApiError as error:
            return _unreadable(namespace, name, error)
        except (KeyError, ValueError, TypeError, RecursionError):  # the content is a tenant's
            config = None
        return config if isinstance(config, dict) else _malformed(name)


def merged_docker_configs(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Pull secrets as one docker configuration; the first that names a registry wins, as with the kubelet."""
    auths: dict[str, Any] = {}
    for config in configs:
        entries = config.get("auths")
        for host, entry in (entries if isinstance(entries, Mapping) else {}).items():
            auths.setdefault(host, entry)
    return {"auths": auths}


def _malformed(name: str) -> Wrong:
    return Wrong(
        reason="InvalidPullSecret",
        message=f"Secret {name!r} is not of type kubernetes.io/dockerconfigjson:"
        " make one with kubectl create secret docker-registry",
    )


def _unreadable(namespace: str, name: str, error: ApiError) -> Wrong:
    if error.status == 404:
        return Wrong(
            reason="PullSecretNotFound",
            message=f"there is no Secret {name!r} in namespace {namespace!r}: create it, or correct what names it",
        )
    if error.status == 403:
        return Wrong(
            reason="PullSecretForbidden",
            message=f"joulecast may not read Secret {name!r}: an admin of namespace {namespace!r} binds the ClusterRole"
            " that ends in pull-secrets to joulecast's controller",
        )
    raise error
