"""Find out which power limit a workload's accelerators have: its pods ask for one, or its nodes say it; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from joulecast.energy.profile import POWER_LIMIT_WATTS
from joulecast_operator.api.annotations import annotations_of
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.objects import Resource, labels_of, mapping
from joulecast_operator.api.products import PRODUCT_LABEL, product_named
from joulecast_operator.workloads import placement
from joulecast_operator.workloads.pods import pod_spec, pod_template

POD_LIMIT: Final = "dynamo.nvidia.com/gpu-power-limit"
"""The annotation of a pod by which Dynamo's power agent limits each of its GPUs, in whole watts
(ai-dynamo/dynamo, deploy/power-agent)."""

NODE_LIMIT: Final = "joulecast.dev/power-limit-watts"
"""The label of a node by which an administrator says to which limit each of its GPUs is set, in whole watts."""

_INVALID: Final = "InvalidPowerLimit"
_SHOWN: Final = 40  # characters of a tenant's value in a sentence
_LISTED: Final = 4  # limits that a sentence lists

Source = Literal["podAnnotation", "nodeLabel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLimit:
    """The power limit of each accelerator of a workload.

    - ``watts``: the limit; None where nothing limits them, or where their nodes differ.
    - ``source``: what says so; None for nothing.
    - ``note``: why no limit is taken although there is one; "" for no reason.
    """

    watts: int | None = None
    source: Source | None = None
    note: str = ""


def power_limit(workload: Resource, nodes: Iterable[Resource], products: Collection[str]) -> PowerLimit | Wrong:
    """Return the limit of the accelerators ``products`` of a workload: that of its pods, else that which all nodes that
    may run it have."""
    asked = of_pods(workload)
    if not asked:
        return _of_nodes(workload, nodes, products)
    return invalid(workload) or PowerLimit(watts=_watts(asked), source="podAnnotation")


def of_pods(workload: Resource) -> str:
    """Return the limit that the workload's pod template writes, in its usual form if it is one; "" for none."""
    written = annotations_of(pod_template(workload)).get(POD_LIMIT, "").strip()
    return str(_watts(written) or written)


def invalid(workload: Resource) -> Wrong | None:
    """Return why the limit that the workload's pod template writes is none; None if it is one, or if there is none."""
    asked = of_pods(workload)
    return _wrong(f"the annotation {POD_LIMIT} of the pod template", asked) if asked and not _watts(asked) else None


def _of_nodes(workload: Resource, nodes: Iterable[Resource], products: Collection[str]) -> PowerLimit | Wrong:
    pod, found, held = pod_spec(workload), set[int | None](), list(nodes)
    if not any(NODE_LIMIT in labels_of(node) for node in held):
        return PowerLimit()
    for node in held:
        labels = labels_of(node)
        limit = str(labels.get(NODE_LIMIT) or "")
        if product_named(str(labels.get(PRODUCT_LABEL) or "")) not in products or not placement.may_run(pod, node):
            continue
        if limit and not _watts(limit):
            return _wrong(f"the label {NODE_LIMIT} of node {mapping(node.get('metadata')).get('name')}", limit)
        found.add(_watts(limit))
    if len(found) > 1:
        return PowerLimit(note=_differing(found))
    watts = next(iter(found), None)
    return PowerLimit(watts=watts, source="nodeLabel") if watts else PowerLimit()


def _differing(limits: Collection[int | None]) -> str:
    listed = ", ".join(f"{each} W" for each in sorted(filter(None, limits))[:_LISTED])
    more = " and none" if None in limits else ""
    said = f"nodes that the pods may run on have different power limits ({listed}{more}), so that none is taken"
    return f"{said}: name one in spec.workload.powerLimitWatts"


def _watts(written: str) -> int | None:
    """Return a limit in watts; None if it is no whole number within the bounds of a profile's limit."""
    short = written.isascii() and written.isdigit() and len(written) <= len(str(int(POWER_LIMIT_WATTS.high)))
    watts = int(written) if short else 0
    return watts if POWER_LIMIT_WATTS.low <= watts <= POWER_LIMIT_WATTS.high else None


def _wrong(where: str, written: str) -> Wrong:
    least, most = int(POWER_LIMIT_WATTS.low), int(POWER_LIMIT_WATTS.high)
    return Wrong(
        reason=_INVALID,
        message=f"{where} is {written[:_SHOWN]!r}, which is no power limit: give whole watts from {least} to {most}, or"
        " name the limit in spec.workload.powerLimitWatts",
    )
