"""Find the specification of a workload's pods, by the workload's kind; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from joulecast_operator.api.kinds import DEPLOYMENTS
from joulecast_operator.api.objects import Resource, mapping

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {DEPLOYMENTS.kind: ("spec", "template", "spec")}
"""The fields that lead to the pod's spec, by kind."""


def pod_spec(workload: Resource) -> Resource:
    """Return the spec of the workload's pods; {} if it has none. An object without a kind is a Deployment."""
    found = workload
    for field in _FIELDS.get(str(workload.get("kind") or DEPLOYMENTS.kind), ("spec", "template", "spec")):
        found = mapping(found.get(field))
    return found
