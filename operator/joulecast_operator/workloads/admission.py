"""Decide about one object under admission; pure. A decision may annotate the object and warn, but cannot deny it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import FAILED, PENDING, READY, STATE, Changes, annotations_of, outputs
from joulecast_operator.api.kinds import ANNOTATED, DEPLOYMENTS
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.workloads import ineffective, savings, uncovered
from joulecast_operator.workloads.choice import EstimateLookup, estimate_for
from joulecast_operator.workloads.discovery import annotatable, inputs_hash, skipped
from joulecast_operator.workloads.outputs import admitted
from joulecast_operator.workloads.pods import kind_of
from joulecast_operator.workloads.verdict import verdict_on

AdmissionOutcome = Literal["annotated", "pending", "failed", "skipped", "unknown", "error"]
"""The outcome of a review. annotated: there is a forecast. pending: an estimate is being made. failed: the estimate has
no forecast and says why. skipped: the workload asks for no annotations, or a controller owns it. unknown: there is no
estimate for it. error: joulecast itself failed."""

OUTCOMES: Final[tuple[AdmissionOutcome, ...]] = ("annotated", "pending", "failed", "skipped", "unknown", "error")

_BY_STATE: Final[Mapping[str, AdmissionOutcome]] = {READY: "annotated", PENDING: "pending", FAILED: "failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to a review.

    - ``outcome``: the outcome, for metrics.
    - ``patch``: operations on the object's annotations, as in RFC 6902.
    - ``warnings``: sentences that the client prints.
    """

    outcome: AdmissionOutcome
    patch: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


class AdmissionLookup(EstimateLookup, Protocol):
    """The look-ups of the index that a review needs."""

    def plans_for(self, namespace: str, kind: str, name: str) -> Iterable[Resource]:
        """Return plans whose targetRef is that workload."""


ALLOW_UNPATCHED: Final = Decision(outcome="error")
"""The decision if joulecast itself fails."""


def decide(request: Mapping[str, Any], index: AdmissionLookup) -> Decision:
    """Decide about ``request``, the ``request`` part of an AdmissionReview that creates or updates an object.

    Workloads of the kinds ``ANNOTATED`` are annotated. For objects of other kinds there are only warnings.
    """
    kind, new = _kind(request), _object(request, "object")
    warnings = () if skipped(new) else ineffective.warnings(kind, new, _object(request, "oldObject"))
    if kind not in ANNOTATED:
        return Decision(outcome="unknown", warnings=_shown(warnings))
    found = _on_workload(request, new, index)
    return replace(found, warnings=_shown((*found.warnings, *warnings)))


def _on_workload(request: Mapping[str, Any], new: Resource, index: AdmissionLookup) -> Decision:
    old, current = _object(request, "oldObject"), annotations_of(new)
    if not annotatable(new):
        return Decision(outcome="skipped", patch=_patch(new, admitted(old={}, new=current, desired={})))
    namespace = str(request.get("namespace") or "default")
    verdict = verdict_on(new, estimate_for(new, index, namespace=namespace), namespace)
    unchanged = request.get("operation") == "UPDATE" and inputs_hash(new) == inputs_hash(old)
    desired = verdict.outputs if verdict else {}
    changes = admitted(old=annotations_of(old) if unchanged else {}, new=current, desired=desired)
    told = (verdict.sentence,) if verdict else () if unchanged else uncovered.warnings(new, namespace)
    final = outputs(current | {key: value for key, value in changes.items() if value is not None})
    return Decision(
        outcome=_BY_STATE.get(final.get(STATE, ""), "unknown"),
        patch=_patch(new, changes),
        warnings=(*told, *_savings(new, namespace, index)),
    )


def _savings(workload: Resource, namespace: str, index: AdmissionLookup) -> tuple[str, ...]:
    """Return a sentence that names a setting which needs less, by a plan of the workload."""
    name = mapping(workload.get("metadata")).get("name")
    return savings.warnings(workload, index.plans_for(namespace, kind_of(workload), str(name))) if name else ()


def _shown(warnings: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(bounds.message, warnings))


def _kind(request: Mapping[str, Any]) -> str:
    kind = request.get("kind")
    return str((kind.get("kind") if isinstance(kind, Mapping) else None) or DEPLOYMENTS.kind)


def _patch(workload: Resource, changes: Changes) -> tuple[dict[str, Any], ...]:
    if not changes:
        return ()
    operations = [_operation(key, value) for key, value in sorted(changes.items())]
    holder = workload.get("metadata", {}).get("annotations")
    if isinstance(holder, Mapping):
        return tuple(operations)
    return {"op": "add", "path": "/metadata/annotations", "value": {}}, *operations


def _operation(key: str, value: str | None) -> dict[str, Any]:
    path = "/metadata/annotations/" + key.replace("~", "~0").replace("/", "~1")
    return {"op": "remove", "path": path} if value is None else {"op": "add", "path": path, "value": value}


def _object(request: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = request.get(key)
    return found if isinstance(found, dict) else {}
