"""Ask the installed controller for a forecast of a small model, and show it, as `helm test` does in a pod."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from joulecast_operator.api.conditions import READY, condition
from joulecast_operator.api.kinds import API_VERSION, CONFIG_MAPS, ESTIMATES
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.cluster.client import ApiError, Cluster
from joulecast_operator.settings import Settings

ACCELERATOR: Final = "NVIDIA-H100-80GB-HBM3"
"""A card of which joulecast ships a measured profile, so that no node has to have one."""

_WORKLOAD: Final = {"inputTokens": 512, "outputTokens": 128}  # the defaults of a request, said aloud
_POLL_SECONDS: Final = 0.5
_SHOWN: Final = ("accelerator", "load", "joules", "interval", "coverage", "origin")


class TrialError(Exception):
    """There is no forecast; the message says why and where to look."""


def run(chosen: Settings) -> None:
    """Print a forecast that the controller makes now. Ends the program with a message if there is none."""
    try:
        status = asyncio.run(_forecast(chosen))
    except TrialError as error:
        sys.exit(str(error))
    print(text_of(status), end="", file=sys.__stdout__)  # for people; what goes to sys.stdout becomes lines of the log


def text_of(status: Resource) -> str:
    """Return the forecast that a status holds, one thing a line."""
    summary = mapping(status.get("summary"))
    return "".join(f"{name + ':':13}{summary.get(name, '')}\n" for name in _SHOWN)


async def _forecast(chosen: Settings) -> Resource:
    cluster = Cluster()
    task = asyncio.ensure_future(Trial(cluster, chosen).forecast())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # else the estimate would stay
    try:
        return await task
    except asyncio.CancelledError:
        raise TrialError("the trial was ended before there was a forecast") from None
    except (ApiError, aiohttp.ClientError, TimeoutError) as error:
        raise TrialError(f"the API server does not do what the trial asks: {error or type(error).__name__}") from error
    finally:
        await cluster.close()


class Trial:
    """Makes one estimate, awaits its forecast, and deletes it."""

    def __init__(self, cluster: Cluster, chosen: Settings) -> None:
        self._cluster = cluster
        self._chosen = chosen
        self._namespace = chosen.trial_namespace or chosen.namespace
        self._path = ESTIMATES.path(self._namespace, chosen.trial_name)

    async def forecast(self) -> Resource:
        """Return the status of the estimate once it is Ready. Raises TrialError, ApiError, or aiohttp's errors."""
        configuration = await self._cluster.get(CONFIG_MAPS.path(self._namespace, self._chosen.trial_name))
        await self._delete()  # one that a killed pod has left
        try:
            await self._cluster.create(ESTIMATES.path(self._namespace), estimate_of(configuration))
            return await self._ready()
        finally:
            await self._delete()

    async def _ready(self) -> Resource:
        last = time.monotonic() + self._chosen.trial_seconds
        while True:
            status = mapping((await self._cluster.get(self._path)).get("status"))
            ready = condition(status, READY) or {}
            if ready.get("status") == "True":
                return status
            if ready.get("status") == "False":
                raise TrialError(f"the controller gives no forecast: {ready.get('reason')}: {ready.get('message')}")
            if time.monotonic() > last:
                raise TrialError(self._overdue(ready))
            await asyncio.sleep(_POLL_SECONDS)

    def _overdue(self, ready: Mapping[str, Any]) -> str:
        chosen = self._chosen
        said = ready.get("message", "the controller has not answered")
        look = f"kubectl -n {chosen.namespace} logs deployment/{chosen.deployment}"
        return f"there is no forecast after {chosen.trial_seconds:g} s ({said}): look at the controller's log, {look}"

    async def _delete(self) -> None:
        try:
            await self._cluster.delete(self._path)
        except ApiError as error:
            if error.status != 404:
                raise


def estimate_of(configuration: Resource) -> Resource:
    """Return the estimate to create, which goes with the ConfigMap of its model, as by an uninstallation."""
    about = mapping(configuration["metadata"])
    owner = {"apiVersion": "v1", "kind": CONFIG_MAPS.kind, "name": about["name"], "uid": about["uid"]}
    return {
        "apiVersion": API_VERSION,
        "kind": ESTIMATES.kind,
        "metadata": {"name": about["name"], "namespace": about["namespace"], "ownerReferences": [owner]},
        "spec": {
            "model": {"configMapRef": {"name": about["name"]}},
            "workload": _WORKLOAD,
            "accelerators": {"names": [ACCELERATOR]},
        },
    }
