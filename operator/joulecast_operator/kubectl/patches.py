"""Make the patch by which ``kubectl apply`` changes an object; pure.

An object that was applied before on the client's side holds what was applied then in an annotation: what is not in the
new manifest is removed. Any other object is changed by server-side apply, where the server knows what to remove.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joulecast_operator.api.annotations import annotations_of
from joulecast_operator.api.objects import Resource

FIELD_MANAGER: Final = "kubectl"
"""The field manager of ``kubectl apply --server-side``."""

CLIENT_SIDE: Final = "kubectl-client-side-apply"
"""The field manager of ``kubectl apply`` without ``--server-side``."""

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_MERGED: Final = frozenset({"containers", "initContainers", "volumes", "env", "imagePullSecrets", "resourceClaims"})
"""Lists that a strategic merge patch merges by ``name`` (patchMergeKey in k8s.io/api/core/v1/types.go) and that a
forecast depends on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A change of one object. ``content``: the kind of patch; ``manager``: the field manager."""

    content: str
    body: Resource
    manager: str


def patch_for(manifest: Resource, live: Resource | None, *, is_built_in: bool, manager: str | None) -> Patch:
    """Return the patch that applies ``manifest``.

    ``live``: the object now, None if there is none. ``is_built_in``: whether the server can merge the kind's lists.
    ``manager``: the field manager of a server-side apply; None to do as a plain ``kubectl apply`` would.
    """
    applied = None if manager is not None or live is None else _last_applied(live)
    if applied is None:
        return Patch(content="apply-patch+yaml", body=manifest, manager=manager or FIELD_MANAGER)
    merged = _MERGED if is_built_in else frozenset[str]()
    content = "strategic-merge-patch+json" if is_built_in else "merge-patch+json"
    return Patch(content=content, body=_change(applied, manifest, merged), manager=CLIENT_SIDE)


def _last_applied(live: Resource) -> Mapping[str, Any] | None:
    try:
        found = json.loads(annotations_of(live).get(_LAST_APPLIED, ""))
    except ValueError:
        return None
    return found if isinstance(found, Mapping) else None


def _change(before: Mapping[str, Any], after: Mapping[str, Any], merged: frozenset[str]) -> dict[str, Any]:
    """Return ``after`` with null for each field that ``before`` has in addition."""
    found = {name: _value(name, before.get(name), value, merged) for name, value in after.items()}
    return found | {name: None for name in before if name not in after}


def _value(name: str, before: Any, after: Any, merged: frozenset[str]) -> Any:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return _change(before, after, merged)
    if name in merged and isinstance(before, list) and isinstance(after, list):
        return _entries(before, after, merged)
    return after


def _entries(before: Sequence[Any], after: Sequence[Any], merged: frozenset[str]) -> list[Any]:
    """Return the entries of a list that is merged by name, with a directive to delete those that are gone."""
    old = {each["name"]: each for each in before if isinstance(each, Mapping) and "name" in each}
    new = [each for each in after if isinstance(each, Mapping) and "name" in each]
    if len(new) != len(after):
        return list(after)
    names = {each["name"] for each in new}
    gone = [{"$patch": "delete", "name": name} for name in old if name not in names]
    return [_change(old.get(each["name"], {}), each, merged) for each in new] + gone
