"""Ask the API server what applying manifests would make of the objects, without storing anything."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from joulecast.errors import JoulecastError
from joulecast_operator.api.annotations import state_of
from joulecast_operator.api.conditions import READY, condition
from joulecast_operator.api.kinds import ESTIMATES, NAMESPACES, PLANS, SITES, Kind
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.kubectl.comparison import Change, Comparison, Note, NoteOutcome, compared, site_note
from joulecast_operator.kubectl.explanation import standing_of_estimate
from joulecast_operator.kubectl.manifests import Manifest
from joulecast_operator.kubectl.names import known_kinds
from joulecast_operator.kubectl.patches import patch_for
from joulecast_operator.kubectl.plans import plan_note
from joulecast_operator.kubectl.server import RequestError, Server
from joulecast_operator.kubectl.standing import Estimates, Standing, standing_of

UNTRIED: Final = "new; its namespace is not there yet, so that the server did not try it"
"""What is said of an object whose namespace the manifests make: a dry run stores no namespace."""

_WITHOUT_FORECAST: Final = {PLANS.kind: PLANS, SITES.kind: SITES}
"""Kinds of joulecast that have no forecast of their own."""

_BUILT_IN = ("apps", "batch", "")
"""Groups of kinds that are part of Kubernetes, whose lists the server can merge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """An object that was applied as a dry run.

    - ``live``: it now; None if there is none.
    - ``result``: it then; None if the server refuses it, with ``refusal``.
    - ``untried``: why the server could not try it, so that ``result`` is the object as written; "" if it did.
    """

    manifest: Manifest
    kind: Kind
    namespace: str
    live: Resource | None
    result: Resource | None
    refusal: str = ""
    untried: str = ""


class DryRun:
    """Applies manifests as dry runs. ``manager``: the field manager of a server-side apply; None to do as a plain
    ``kubectl apply`` would."""

    def __init__(self, server: Server, *, only_namespace: str | None, manager: str | None) -> None:
        self._server = server
        self._only = only_namespace
        self._manager = manager

    def comparison(self, manifests: Sequence[Manifest]) -> Comparison:
        """Return what applying ``manifests`` would change. Raises JoulecastError."""
        tried, others, made = list[Tried](), list[str](), set[str]()
        for each in manifests:
            kind = _kind(each)
            if kind is not None:
                tried.append(self._tried(kind, each, made))
                continue
            others.append(each.kind)
            if (each.api_version, each.kind) == (NAMESPACES.api_version, NAMESPACES.kind):
                made.add(each.name)
        notes = [_note(each) for each in tried if each.kind.kind in _WITHOUT_FORECAST]
        forecast = [each for each in tried if each.kind.kind not in _WITHOUT_FORECAST]
        return compared(self._changes(forecast), others, notes)

    def _tried(self, kind: Kind, manifest: Manifest, made: Collection[str]) -> Tried:
        """Apply an object. ``made``: the namespaces that the manifests before it make."""
        namespace = self._namespace(manifest) if kind.namespaced else ""
        found: dict[str, Any] = {"manifest": manifest, "kind": kind, "namespace": namespace}
        placed = {"namespace": namespace} if kind.namespaced else {}
        body = {**manifest.body, "metadata": {**manifest.body["metadata"], **placed}}
        live = None
        try:
            live = self._server.find(kind, namespace, manifest.name)
            patch = patch_for(body, live, is_built_in=kind.group in _BUILT_IN, manager=self._manager)
            result = self._server.tried(
                kind, namespace, manifest.name, patch.body, content=patch.content, manager=patch.manager
            )
        except RequestError as error:
            if error.status == 401:
                raise
            if error.status == 404 and error.about == (NAMESPACES.plural, namespace) and namespace in made:
                return Tried(**found, live=None, result=_as_written(body), untried=UNTRIED)
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
    """Return the kind of a manifest that is tried, in the version that the manifest is of; None for another."""
    group, _, version = manifest.api_version.rpartition("/")
    for kind in (*known_kinds(), *_WITHOUT_FORECAST.values()):
        if (kind.group, kind.kind) == (group, manifest.kind):
            return kind if kind.version == version else replace(kind, version=version)
    return None


def _as_written(body: Resource) -> Resource:
    """Return an object as an apply makes it of a manifest, without a status, which an apply does not write."""
    return {name: value for name, value in body.items() if name != "status"}


def _note(tried: Tried) -> Note:
    """Return what applying a plan or a site does."""
    found = {"kind": tried.kind.kind, "namespace": tried.namespace, "name": tried.manifest.name}
    if tried.result is None:
        return Note(**found, outcome="refused", sentence=tried.refusal)
    is_same = tried.live is not None and tried.live.get("spec") == tried.result.get("spec")
    outcome: NoteOutcome = "new" if tried.live is None else "same" if is_same else "changed"
    if tried.kind.kind == PLANS.kind:
        said = plan_note(tried.result, is_same=is_same)
    else:
        said = site_note(tried.live, tried.result, is_same=is_same)
    return Note(**found, outcome=outcome, sentence="; ".join(filter(None, (tried.untried, said))))


def _change(tried: Tried, now: Estimates, then: Estimates) -> Change:
    return Change(
        kind=tried.kind.kind,
        namespace=tried.namespace,
        name=tried.manifest.name,
        before=None if tried.live is None else _standing(tried, tried.live, now),
        after=None if tried.result is None else _standing(tried, tried.result, then),
        refusal=tried.refusal,
        untried=tried.untried,
    )


def _standing(tried: Tried, resource: Resource, estimates: Estimates) -> Standing:
    if tried.kind != ESTIMATES:
        return standing_of(resource, estimates, tried.namespace)
    ready = condition(mapping(resource.get("status")), READY) or {}
    state = state_of(resource)
    message = str(ready.get("message") or "") if state == "Ready" else "no forecast yet of what it asks for then"
    return standing_of_estimate(resource, state=state, message=message)
