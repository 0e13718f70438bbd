"""Ask the API server what applying manifests would make of the objects, without storing anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from joulecast.errors import JoulecastError
from joulecast_operator.api.annotations import state_of
from joulecast_operator.api.conditions import READY, condition
from joulecast_operator.api.kinds import ESTIMATES, Kind
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.kubectl.comparison import Change, Comparison, compared
from joulecast_operator.kubectl.explanation import standing_of_estimate
from joulecast_operator.kubectl.manifests import Manifest
from joulecast_operator.kubectl.names import known_kinds
from joulecast_operator.kubectl.patches import patch_for
from joulecast_operator.kubectl.server import RequestError, Server
from joulecast_operator.kubectl.standing import Estimates, Standing, standing_of

_BUILT_IN = ("apps", "batch", "")
"""Groups of kinds that are part of Kubernetes, whose lists the server can merge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """An object that was applied as a dry run.

    - ``live``: it now; None if there is none.
    - ``result``: it then; None if the server refuses it, with ``refusal``.
    """

    manifest: Manifest
    kind: Kind
    namespace: str
    live: Resource | None
    result: Resource | None
    refusal: str = ""


class DryRun:
    """Applies manifests as dry runs. ``manager``: the field manager of a server-side apply; None to do as a plain
    ``kubectl apply`` would."""

    def __init__(self, server: Server, *, only_namespace: str | None, manager: str | None) -> None:
        self._server = server
        self._only = only_namespace
        self._manager = manager

    def comparison(self, manifests: Sequence[Manifest]) -> Comparison:
        """Return what applying ``manifests`` would change. Raises JoulecastError."""
        kinds = [_kind(each) for each in manifests]
        known = [(kind, each) for kind, each in zip(kinds, manifests, strict=True) if kind is not None]
        others = [each.kind for kind, each in zip(kinds, manifests, strict=True) if kind is None]
        return compared(self._changes([self._tried(kind, each) for kind, each in known]), others)

    def _tried(self, kind: Kind, manifest: Manifest) -> Tried:
        namespace = self._namespace(manifest)
        found: dict[str, Any] = {"manifest": manifest, "kind": kind, "namespace": namespace}
        live = self._server.find(kind, namespace, manifest.name)
        body = {**manifest.body, "metadata": {**manifest.body["metadata"], "namespace": namespace}}
        patch = patch_for(body, live, is_built_in=kind.group in _BUILT_IN, manager=self._manager)
        try:
            result = self._server.tried(
                kind, namespace, manifest.name, patch.body, content=patch.content, manager=patch.manager
            )
        except RequestError as error:
            if error.status == 401:
                raise
            return Tried(**found, live=live, result=None, refusal=str(error))
        return Tried(**found, live=live, result={**result, "kind": kind.kind})

    def _namespace(self, manifest: Manifest) -> str:
        """Return the namespace of an object. Raises JoulecastError where it is another than that of ``-n``."""
        if self._only is not None and manifest.namespace not in (None, self._only):
            raise JoulecastError(
                f"{manifest.kind} {manifest.name!r} of {manifest.source} is for the namespace {manifest.namespace!r},"
                f" not {self._only!r}: leave -n out, or give the same",
                reason="OtherNamespace",
            )
        return manifest.namespace or self._server.namespace

    def _changes(self, tried: Sequence[Tried]) -> Iterable[Change]:
        """Return the changes; what an estimate in the manifests says then counts for the workloads in them."""
        held = [each for name in dict.fromkeys(one.namespace for one in tried) for each in self._estimates(name)]
        now = Estimates(held)
        then = Estimates([*held, *(each.result for each in tried if each.kind == ESTIMATES and each.result)])
        return [_change(each, now, then) for each in tried]

    def _estimates(self, namespace: str) -> list[dict[str, Any]]:
        return self._server.all(ESTIMATES, namespace)


def _kind(manifest: Manifest) -> Kind | None:
    """Return the kind of a manifest that has a forecast, in the version that the manifest is of; None for another."""
    group, _, version = manifest.api_version.rpartition("/")
    for kind in known_kinds():
        if (kind.group, kind.kind) == (group, manifest.kind):
            return kind if kind.version == version else replace(kind, version=version)
    return None


def _change(tried: Tried, now: Estimates, then: Estimates) -> Change:
    return Change(
        kind=tried.kind.kind,
        namespace=tried.namespace,
        name=tried.manifest.name,
        before=None if tried.live is None else _standing(tried, tried.live, now),
        after=None if tried.result is None else _standing(tried, tried.result, then),
        refusal=tried.refusal,
    )


def _standing(tried: Tried, resource: Resource, estimates: Estimates) -> Standing:
    if tried.kind != ESTIMATES:
        return standing_of(resource, estimates, tried.namespace)
    ready = condition(mapping(resource.get("status")), READY) or {}
    state = state_of(resource)
    message = str(ready.get("message") or "") if state == "Ready" else "no forecast yet of what it asks for then"
    return standing_of_estimate(resource, state=state, message=message)
