"""Reach the API server of the user's kubeconfig by the official client, with the user's own rights."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, Self
from urllib.parse import quote

import urllib3
from kubernetes import config as kubeconfig
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration

from joulecast.errors import JoulecastError
from joulecast.printable import bounded
from joulecast_operator.api.kinds import GROUP, Kind
from joulecast_operator.api.objects import Resource, mapping

_DEFAULT_FILE: Final = "~/.kube/config"
_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_PAGE_OBJECTS: Final = 500  # as kubectl's --chunk-size
_TIMEOUT_SECONDS: Final = (10.0, 120.0)  # to connect, and to read; a listing of thousands of objects takes seconds
_RETRIES: Final = urllib3.Retry(total=3, backoff_factor=0.2)
_SHOWN: Final = 600  # characters of a server's message


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a command looks, as kubectl's options of the same names say it.

    - ``kubeconfig``: a file, or None for those of KUBECONFIG, else ``~/.kube/config``.
    - ``context``: None for the current one.
    - ``namespace``: None for the context's.
    - ``all_namespaces``: whether to look in all of them.
    """

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    all_namespaces: bool = False


class RequestError(JoulecastError):
    """The API server refused a request. ``status``: the HTTP status; ``about``: kind and name of the object that the
    server names in its answer, such as ("namespaces", "shop")."""

    def __init__(self, message: str, *, reason: str, status: int, about: tuple[str, str] = ("", "")) -> None:
        super().__init__(message, reason=reason)
        self.status = status
        self.about = about


class Server:
    """Sends requests to one API server. Every method raises RequestError, or JoulecastError where nobody answers."""

    def __init__(self, client: ApiClient, *, context: str, namespace: str) -> None:
        """Use ``client``. ``namespace``: the one of commands that name none."""
        self._client = client
        self._context = context
        self.namespace = namespace

    @classmethod
    def at(cls, place: Place) -> Self:
        """Return the server that ``place`` says. Raises JoulecastError for a kubeconfig that says none."""
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # the error that ends a command tells the same once
        settings = Configuration()
        settings.retries = _RETRIES
        context, namespace = _configure(settings, place)
        return cls(ApiClient(settings), context=context, namespace=place.namespace or namespace)

    def find(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        """Return an object, None where there is none of that name."""
        try:
            found = self._send("GET", _path(kind, namespace, name), kind=kind)
        except RequestError as error:
            if error.status != 404 or error.reason != "NotFound":
                raise
            return None
        return {**found, "kind": kind.kind}

    def all(self, kind: Kind, namespace: str | None) -> list[dict[str, Any]]:
        """Return all objects of a kind in a namespace, or with None in all namespaces."""
        path, found, following = _path(kind, namespace), list[dict[str, Any]](), ""
        while True:
            asked = {"limit": str(_PAGE_OBJECTS)} | ({"continue": following} if following else {})
            page = self._send("GET", path, kind=kind, parameters=asked)
            found += [{**each, "kind": kind.kind} for each in page.get("items") or ()]
            following = str((page.get("metadata") or {}).get("continue") or "")
            if not following:
                return found

    def tried(
        self, kind: Kind, namespace: str, name: str, body: Resource, *, content: str, manager: str
    ) -> dict[str, Any]:
        """Return what the object would be after a patch, which the server does not store.

        ``content``: the kind of patch: ``apply-patch+yaml``, ``strategic-merge-patch+json`` or ``merge-patch+json``.
        """
        parameters = {"dryRun": "All", "fieldManager": manager}
        if content.startswith("apply"):
            parameters["force"] = "true"  # the fields of others are shown as an apply that takes them over leaves them
        headers = {"Content-Type": f"application/{content}"}
        path = _path(kind, namespace, name)
        return self._send("PATCH", path, kind=kind, parameters=parameters, headers=headers, body=body)

    def _send(
        self,
        method: str,
        path: str,
        *,
        kind: Kind | None = None,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Resource | None = None,
    ) -> dict[str, Any]:
        request = self._client.param_serialize(
            method,
            path,
            query_params=list((parameters or {}).items()),
            header_params={"Accept": "application/json", **(headers or {})},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self._client.call_api(*request, _request_timeout=_TIMEOUT_SECONDS)
            content = answer.read()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from error
        if answer.status >= 400:
            self._refuse(answer.status, content, kind)
        return self._object(content)

    def _object(self, content: bytes) -> dict[str, Any]:
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            host = self._client.configuration.host
            raise JoulecastError(
                f"{host} does not answer as an API server of Kubernetes: choose another --context",
                reason="NoApiServer",
            )
        return found

    def _unreachable(self, error: Exception) -> JoulecastError:
        cause = getattr(error, "reason", None) or error
        host = self._client.configuration.host
        return JoulecastError(
            f"the API server {host} of the context {self._context!r} cannot be reached: {bounded(str(cause), _SHOWN)};"
            " check that it runs, or choose another --context",
            reason="Unreachable",
            transient=True,
        )

    def _refuse(self, status: int, content: bytes, kind: Kind | None) -> NoReturn:
        told = _status(content)
        message, reason = bounded(str(told.get("message") or f"HTTP {status}"), _SHOWN), str(told.get("reason") or "")
        if status == 401:
            message = f"the API server does not accept the credentials of the context {self._context!r}: log in again"
        elif status == 403:
            message = f"{message}: ask for a role that allows it (joulecast adds its kinds to Kubernetes' role view)"
        elif status == 404 and kind is not None and not _names_object(told):
            message, reason = _unserved(kind), "NotInstalled"
        raise RequestError(message, reason=reason or f"HTTP{status}", status=status, about=_about(told))


def _configure(settings: Configuration, place: Place) -> tuple[str, str]:
    """Write what a kubeconfig says into ``settings``; return the names of its context and namespace."""
    files = place.kubeconfig or os.environ.get("KUBECONFIG") or _DEFAULT_FILE
    is_there = any(Path(name).expanduser().is_file() for name in files.split(os.pathsep) if name)
    if not is_there and place.kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _of_pod(settings)
    if not is_there:
        raise JoulecastError(
            f"there is no kubeconfig at {files}: name one by --kubeconfig or in KUBECONFIG", reason="NoKubeconfig"
        )
    try:
        kubeconfig.load_kube_config(files, place.context, client_configuration=settings, persist_config=False)
        contexts, current = kubeconfig.list_kube_config_contexts(files)
    except Exception as error:  # of a file that is no YAML, or no kubeconfig, the client lets any error through
        wanted = f"the context {place.context!r}" if place.context else "the current context"
        raise JoulecastError(
            f"{wanted} of the kubeconfig {files} cannot be used: {bounded(str(error), _SHOWN)};"
            " `kubectl config get-contexts` lists what there is",
            reason="InvalidKubeconfig",
        ) from error
    chosen = next((each for each in contexts if each["name"] == place.context), current)
    return str(chosen["name"]), str(chosen["context"].get("namespace") or "default")


def _of_pod(settings: Configuration) -> tuple[str, str]:
    """Use the ServiceAccount of the pod that this runs in, as kubectl does without a kubeconfig."""
    try:
        kubeconfig.load_incluster_config(client_configuration=settings)
        return "in-cluster", _ACCOUNT.read_text().strip()
    except (kubeconfig.ConfigException, OSError) as error:
        raise JoulecastError(
            f"there is no kubeconfig, and the ServiceAccount of this pod cannot be used: {error}", reason="NoKubeconfig"
        ) from error


def _path(kind: Kind, namespace: str | None, name: str | None = None) -> str:
    return kind.path(
        None if namespace is None else quote(namespace, safe=""), None if name is None else quote(name, safe="")
    )


def _status(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {"message": content[:_SHOWN].decode(errors="replace").strip()}
    return found if isinstance(found, dict) else {}


def _about(told: Mapping[str, Any]) -> tuple[str, str]:
    details = mapping(told.get("details"))
    return str(details.get("kind") or ""), str(details.get("name") or "")


def _names_object(told: Mapping[str, Any]) -> bool:
    """Tell whether a 404 is about an object or a namespace, and not about a kind that nobody serves."""
    return bool(_about(told)[1])


def _unserved(kind: Kind) -> str:
    named = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
    if kind.group == GROUP:
        return f"the cluster does not serve {named}: install joulecast's chart there, or choose another --context"
    return f"the cluster does not serve {named} of {kind.version}"
