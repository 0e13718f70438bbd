"""Read the credentials to pull an image with: the Secrets that an estimate names, and those of its target workload."""

from __future__ import annotations

import base64
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.kinds import ACCESS_REVIEWS, SECRETS, SERVICE_ACCOUNTS
from joulecast_operator.cluster.client import ApiError, Cluster
from joulecast_operator.workloads import discovery

_ALLOWED_SECONDS: Final = 10.0  # how long an answer about joulecast's rights is used; a new right counts after that
_REMEMBERED: Final = 4096  # answers that are kept; forgotten ones are asked for again


@dataclass(frozen=True, slots=True, kw_only=True)
class PullCredentials:
    """The credentials that an image is pulled with.

    - ``docker_config``: a docker configuration as JSON; "" if there are no credentials.
    - ``missing``: a message for each Secret of the workload that could not be read.
    """

    docker_config: str = field(default="", repr=False)
    missing: tuple[str, ...] = ()


class PullSecrets:
    """Reads Secrets and ServiceAccounts in the namespaces whose admin allows it. ``now`` counts seconds."""

    def __init__(self, cluster: Cluster, now: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._now = now
        self._allowed: OrderedDict[tuple[str, str], tuple[float, bool]] = OrderedDict()

    async def credentials(
        self, namespace: str, named: Iterable[str], workload: Mapping[str, Any] | None
    ) -> PullCredentials | Wrong:
        """Read the Secrets. Those ``named`` by the estimate must exist; those of ``workload`` may be missing.

        The kubelet too goes on without a missing Secret, because most images need none.
        """
        configs = []
        for name in named:
            found = await self._read(namespace, name)
            if isinstance(found, Wrong):
                return found
            configs.append(found)
        of_workload, missing = await self._of_workload(namespace, workload) if workload else ((), [])
        for name in of_workload:
            found = await self._read(namespace, name)
            if isinstance(found, Wrong):
                missing.append(found.message)
            else:
                configs.append(found)
        merged = json.dumps(merged_docker_configs(configs), sort_keys=True) if configs else ""
        return PullCredentials(docker_config=merged, missing=tuple(missing))

    async def _of_workload(self, namespace: str, workload: Mapping[str, Any]) -> tuple[tuple[str, ...], list[str]]:
        """Return the names of the workload's Secrets, and messages about what could not be read.

        They are the Secrets of the pod template, else those of the ServiceAccount, which admission adds to a pod.
        """
        named = discovery.pull_secrets(workload)
        if named:
            return named, []
        account = discovery.service_account(workload)
        if not await self._may_read(namespace, account):
            return (), [_unreadable_account(namespace, account)]
        try:
            return discovery.secret_names(await self._cluster.get(SERVICE_ACCOUNTS.path(namespace, account))), []
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            return (), [_unreadable_account(namespace, account, absent=error.status == 404)]

    async def _may_read(self, namespace: str, account: str) -> bool:
        """Tell whether joulecast may read a ServiceAccount. An access review is used, so that no read is refused."""
        key, now = (namespace, account), self._now()
        asked, allowed = self._allowed.get(key, (None, False))
        if asked is not None and now - asked < _ALLOWED_SECONDS:
            return allowed
        allowed = await self._review(namespace, account)
        self._allowed[key] = now, allowed
        self._allowed.move_to_end(key)
        while len(self._allowed) > _REMEMBERED:
            self._allowed.popitem(last=False)
        return allowed

    async def _review(self, namespace: str, account: str) -> bool:
        resource = {"verb": "get", "resource": SERVICE_ACCOUNTS.plural, "namespace": namespace, "name": account}
        body = {"apiVersion": ACCESS_REVIEWS.api_version, "kind": ACCESS_REVIEWS.kind}
        try:
            answer = await self._cluster.create(
                ACCESS_REVIEWS.path(), body | {"spec": {"resourceAttributes": resource}}
            )
        except ApiError as error:
            if error.status != 403:  # by default every account may ask about itself; an admin may have removed that
                raise
            return False
        return bool((answer.get("status") or {}).get("allowed"))

    async def _read(self, namespace: str, name: str) -> Mapping[str, Any] | Wrong:
        try:
            secret = await self._cluster.get(SECRETS.path(namespace, name))
            config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
        except ApiError as error:
            return _unreadable(namespace, name, error)
        except (KeyError, ValueError, TypeError, RecursionError):  # a tenant wrote the content
            config = None
        return config if isinstance(config, dict) else _malformed(name)


def merged_docker_configs(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge pull secrets into one docker configuration. As in the kubelet, the first that names a registry is used."""
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
        " create it with kubectl create secret docker-registry",
    )


def _unreadable_account(namespace: str, account: str, *, absent: bool = False) -> str:
    if absent:
        return f"there is no ServiceAccount {account!r} in namespace {namespace!r}: create it, or correct what names it"
    return (
        f"joulecast may not read the pull secrets of ServiceAccount {account!r}: {_bind(namespace)}, or name the Secret"
        " in spec.imagePullSecrets"
    )


def _bind(namespace: str) -> str:
    return (
        f"let an admin of namespace {namespace!r} bind the ClusterRole whose name ends in pull-secrets to joulecast's"
        " controller"
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
            message=f"joulecast may not read Secret {name!r}: {_bind(namespace)}",
        )
    raise error
