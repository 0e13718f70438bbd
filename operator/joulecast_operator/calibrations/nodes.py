"""Find the nodes that a calibration may run on: those with whole, unshared GPUs of one product; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from joulecast.accelerators.product_names import is_slice
from joulecast_operator.api.calibrations import CalibrationSpec
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.objects import Resource, labels_of
from joulecast_operator.api.products import (
    PRODUCT_LABEL,
    SHARED_GPU,
    SLICE_PREFIX,
    is_shared,
    product_named,
    whole_name,
)

SHARING_LABEL: Final = "nvidia.com/gpu.sharing-strategy"
SHARING: Final = ("time-slicing", "mps")
"""Values by which GPU feature discovery marks a node whose GPUs are each given to several pods at once."""

_REPLICAS_LABEL: Final = "nvidia.com/gpu.replicas"
_MIG_COUNT: Final = re.compile(r"nvidia\.com/mig-.+\.count")
_NAMED: Final = 3  # nodes named in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The nodes that a calibration may run on.

    - ``product``: the normal spelling of the card's name.
    - ``labels``: further labels that the nodes must carry.
    - ``spellings``: other spellings of the product that the nodes' labels have.
    """

    product: str
    labels: Mapping[str, str]
    spellings: tuple[str, ...] = ()


def target_of(spec: CalibrationSpec, nodes: Iterable[Resource]) -> Target | Waiting | Wrong:
    """Return the nodes to run on, or why there are none."""
    asked = spec.accelerator
    labels = dict(spec.node_selector.match_labels) if spec.node_selector else {}
    if asked is not None and (trouble := _no_whole_card(asked)):
        return Wrong(reason="SharedAccelerator", message=f"spec.accelerator {asked!r} {trouble}")
    if asked is None and not labels:
        return Wrong(reason="InvalidSpec", message="spec has neither accelerator nor nodeSelector: give exactly one")
    chosen = [node for node in nodes if _fits(node, asked, labels)]
    if not chosen:
        return _nowhere(asked, labels)
    whole = [node for node in chosen if not trouble_of(node)]
    if not whole:
        return _refused(chosen)
    found = {labels_of(node)[PRODUCT_LABEL] for node in whole}
    products = sorted(set(map(product_named, found)))
    if len(products) > 1:
        return Wrong(
            reason="SeveralAccelerators",
            message=f"spec.nodeSelector selects nodes with {', '.join(products)}: give one of them as spec.accelerator",
        )
    return Target(product=products[0], labels=labels, spellings=tuple(sorted(found - set(products))))


def trouble_of(node: Resource) -> str | None:
    """Return why the GPUs of a node cannot be measured; None if they can."""
    labels = labels_of(node)
    devices = (node.get("status") or {}).get("allocatable") or {}
    if _is_sliced(labels, devices):
        return "is divided by MIG"
    if is_shared_node(node):
        return "is shared between pods (time slicing or MPS)"
    return None


def is_shared_node(node: Resource) -> bool:
    """Tell whether each GPU of a node is given to several pods at once."""
    return _is_shared(labels_of(node), (node.get("status") or {}).get("allocatable") or {})


def _is_sliced(labels: Mapping[str, str], devices: Mapping[str, str]) -> bool:
    """Tell whether MIG divides the node's cards. Nodes of whole cards have the label mig.strategy too."""
    counts = [labels[name] for name in labels if _MIG_COUNT.fullmatch(name)]
    counts += [count for name, count in devices.items() if name.startswith(SLICE_PREFIX)]
    return is_slice(labels.get(PRODUCT_LABEL, "")) or any(count != "0" for count in counts)


def _is_shared(labels: Mapping[str, str], devices: Mapping[str, str]) -> bool:
    return (
        is_shared(labels.get(PRODUCT_LABEL, ""))
        or labels.get(SHARING_LABEL) in SHARING
        or labels.get(_REPLICAS_LABEL, "1") not in ("0", "1")
        or devices.get(SHARED_GPU, "0") != "0"
    )


def _no_whole_card(product: str) -> str | None:
    if is_slice(product):
        return f"is a MIG slice, whose share of the card's power is unknown: give {whole_name(product)!r}"
    if is_shared(product):
        return f"is shared between pods: give {whole_name(product)!r} and a node that does not share its GPUs"
    return None


def _fits(node: Resource, product: str | None, labels: Mapping[str, str]) -> bool:
    own = labels_of(node)
    if any(own.get(name) != value for name, value in labels.items()) or PRODUCT_LABEL not in own:
        return False
    return product is None or whole_name(own[PRODUCT_LABEL]) == product_named(product)


def _nowhere(product: str | None, labels: Mapping[str, str]) -> Waiting:
    wanted = " and ".join([", ".join(f"{name}={labels[name]}" for name in sorted(labels)), PRODUCT_LABEL])
    if product:
        wanted = f"{PRODUCT_LABEL}={product_named(product)}"
    return Waiting(
        reason="NoNode",
        message=f"no node carries {wanted}: the calibration starts when there is one; or correct the spec",
    )


def _refused(nodes: Sequence[Resource]) -> Wrong:
    named = [f"{node['metadata']['name']} {trouble_of(node)}" for node in nodes[:_NAMED]]
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    return Wrong(
        reason="SharedAccelerator",
        message=f"{'; '.join(named)}{more}: the energy of one process cannot be measured there; switch the sharing of a"
        " node off during the calibration, or select another node",
    )
