"""Find out which accelerators a workload runs on, and what says so: itself, or the nodes that may run it; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from joulecast.accelerators.product_names import is_slice
from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import FOR_ACCELERATOR
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.objects import Resource, labels_of, mapping, mappings
from joulecast_operator.api.products import PRODUCT_LABEL, product_named
from joulecast_operator.calibrations.nodes import is_shared_node
from joulecast_operator.estimates.summary import energies
from joulecast_operator.index.index import Index
from joulecast_operator.workloads import discovery, placement
from joulecast_operator.workloads.containers import accelerator_type, unread
from joulecast_operator.workloads.custom.accelerators import called, known
from joulecast_operator.workloads.offers.claims import claimed
from joulecast_operator.workloads.offers.queues import Flavours, flavours
from joulecast_operator.workloads.pods import kind_of, pod_spec

Source = Literal["annotation", "nodeSelector", "nodeAffinity", "acceleratorType", "resource", "claim", "queue", "nodes"]

_BY_NODES: Final = ("resource", "nodes")
_NAMED: Final = 3  # nodes that a message names
_SHOWN: Final = 80  # characters of a tenant's word in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadAccelerators:
    """The accelerators that a workload may run on.

    - ``source``: what says so: its annotation, its node selector, its required node affinity, the type that it asks Ray
      for, the extended resource that its containers ask for together with the nodes that have it, the resource claims
      of its pods, the flavours of its queue, or the nodes alone.
    - ``products``: their product names.
    - ``note``: what was left out; "" for nothing.
    """

    source: Source
    products: tuple[str, ...]
    note: str = ""


def accelerators_of_workload(workload: Resource, index: Index) -> WorkloadAccelerators | Waiting | Wrong:
    """Return the accelerators of ``workload``, or why they are not known or have no price."""
    named = discovery.named_product(workload)
    if named is not None:
        return WorkloadAccelerators(source="annotation", products=(named,))
    found = _of_pods(workload, index)
    if isinstance(found, Wrong):
        return found
    asked, base = accelerator_type(workload), unread(workload)
    is_open = isinstance(found, Waiting) or (found.source in _BY_NODES and len(found.products) > 1)
    if base and is_open:
        return _with_note(found, f"where the pods run may also stand in {base}, which is not read")
    return _of_type(asked, found) if asked else found


def _of_type(asked: str, found: WorkloadAccelerators | Waiting) -> WorkloadAccelerators | Waiting:
    """Return those of the accelerators that are ``found`` that Ray calls by the type ``asked``; where none is, all that
    it calls so, on whose nodes Ray would wait for the model to run."""
    placed = found.products if isinstance(found, WorkloadAccelerators) else ()
    left, meant = called(asked, placed), known(asked)
    if isinstance(found, WorkloadAccelerators) and left:
        return found if left == placed else replace(found, source="acceleratorType", products=left)
    if not meant:
        return _with_note(found, f"the accelerator_type {asked[:_SHOWN]!r} names no card that joulecast knows")
    other = " or ".join(placed)
    note = f"the pods may run on {other} alone, which Ray does not call {asked[:_SHOWN]}" if placed else ""
    return WorkloadAccelerators(source="acceleratorType", products=meant, note=note)


def _with_note(found: WorkloadAccelerators | Waiting, note: str) -> WorkloadAccelerators | Waiting:
    if isinstance(found, Waiting):
        return replace(found, message=f"{found.message}; {note}")
    return replace(found, note="; ".join(filter(None, (found.note, note))))


def _of_pods(workload: Resource, index: Index) -> WorkloadAccelerators | Waiting | Wrong:
    """Return the accelerators that the pods of a workload may run on."""
    pod = pod_spec(workload)
    problem = placement.unpriced(pod)
    if problem is not None:
        return problem
    products = placement.products(pod)
    if products:
        source: Source = "nodeSelector" if placement.selected(pod) else "nodeAffinity"
        return WorkloadAccelerators(source=source, products=products)
    asked = placement.devices(pod)
    found = None if asked else claimed(pod, str(mapping(workload.get("metadata")).get("namespace") or ""), index)
    if isinstance(found, Wrong):
        return found
    if found is not None and found.products:
        return WorkloadAccelerators(source="claim", products=found.products, note=found.note)
    return _of_queue(workload, index, flavours(workload, asked, index))


def _of_queue(workload: Resource, index: Index, added: Flavours) -> WorkloadAccelerators | Waiting | Wrong:
    """Return the products of the nodes on which the workload may run with what one of its queue's flavours adds."""
    pod, selectors = pod_spec(workload), added.selectors or ({},)
    products = [str(each.get(PRODUCT_LABEL) or "") for each in selectors]
    if all(products):
        named = tuple(dict.fromkeys(map(product_named, products)))
        return WorkloadAccelerators(source="queue", products=named)
    tolerated = [*mappings(pod.get("tolerations")), *added.tolerations]
    pods = [
        {**pod, "nodeSelector": {**mapping(pod.get("nodeSelector")), **each}, "tolerations": tolerated}
        for each in selectors
    ]
    eligible = [node for node in index.nodes() if _label(node) and any(placement.may_run(each, node) for each in pods)]
    found = _of_nodes(workload, eligible)
    if not isinstance(found, WorkloadAccelerators):
        return found
    note = "; ".join(filter(None, (found.note, added.note)))
    return replace(found, source="queue" if added.selectors else found.source, note=note)


def accelerator_facts(found: WorkloadAccelerators | Wrong, results: Sequence[Resource]) -> dict[str, Any]:
    """Return what the status says about the accelerators of a workload. ``results``: those of its estimate."""
    if isinstance(found, Wrong):
        return {"message": bounds.text(found.message)}
    facts: dict[str, Any] = {"source": found.source, "products": list(found.products[: bounds.LISTED])}
    if len(found.products) > 1:
        facts |= _range([row for row in results if row.get("accelerator") in found.products])
    return facts | ({"message": found.note} if found.note else {})


def _range(results: Sequence[Resource]) -> dict[str, str]:
    """Return which of the results decides, the first one, and the energies of those that differ from it in the
    accelerator alone."""
    if not results:
        return {}
    first = results[0]
    same = [each for each in results if each.get("batchSize") == first.get("batchSize")]
    return {"decides": str(first["accelerator"]), "range": energies(same)}


def _of_nodes(workload: Resource, eligible: Sequence[Resource]) -> WorkloadAccelerators | Waiting | Wrong:
    """Return the products of the nodes on which the workload may run, without those that share or divide their GPUs."""
    whole = [node for node in eligible if not is_shared_node(node) and not is_slice(_label(node))]
    if whole:
        note = "nodes that share or divide their GPUs are left out" if len(whole) < len(eligible) else ""
        products = tuple(sorted({product_named(_label(node)) for node in whole}))
        source: Source = "resource" if placement.devices(pod_spec(workload)) else "nodes"
        return WorkloadAccelerators(source=source, products=products, note=note)
    if eligible:
        listed = ", ".join(sorted(str(node["metadata"]["name"]) for node in eligible)[:_NAMED])
        return Wrong(
            reason="SharedAccelerator",
            message=f"all nodes that the pods may run on share or divide their GPUs ({listed}), so that the share of"
            f" one pod is unknown: name the whole card in {FOR_ACCELERATOR} to see what it needs",
        )
    asked = " and ".join((*placement.devices(pod_spec(workload)), f"the label {PRODUCT_LABEL}"))
    return Waiting(
        reason="NoAccelerator",
        message=f"no node that the pods of the {kind_of(workload)} may run on has {asked}: name the card in"
        f" {FOR_ACCELERATOR} or in spec.accelerators.names, or add such a node",
    )


def _label(node: Resource) -> str:
    return str(labels_of(node).get(PRODUCT_LABEL) or "")
