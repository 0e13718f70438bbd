"""Find out which accelerators a pod asks for, and on which nodes it may be placed; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from joulecast.accelerators.product_names import is_slice
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.objects import Resource, labels_of, mapping, mappings
from joulecast_operator.api.products import (
    GPU,
    PRODUCT_LABEL,
    SHARED_GPU,
    SLICE_PREFIX,
    is_shared,
    product_named,
)

_DEVICES: Final = "nvidia.com/"
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_LISTS: Final = ("tolerations", "resourceClaims")
"""Fields of a pod's spec that are kept as they are."""
_REPELLING: Final = ("NoSchedule", "NoExecute")
_OF_STATE: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Beginnings of the keys of taints by which Kubernetes reports the state of a node."""
_WAY_OUT: Final = "name the whole card in joulecast.dev/for-accelerator to see what it needs"


def products(pod: Resource) -> tuple[str, ...]:
    """Return the products that ``pod``, a pod's spec, may be placed on; () if it does not restrict them.

    Preferences are not considered, because the pod may also be placed elsewhere.
    """
    return tuple(dict.fromkeys(map(product_named, named(pod))))


def named(pod: Resource) -> tuple[str, ...]:
    """Return the same as the pod spells it: the names may be of cards that are shared, or of slices."""
    return selected(pod) or _by_affinity(pod)


def selected(pod: Resource) -> tuple[str, ...]:
    """Return the product that the node selector of a pod's spec names; () if it names none."""
    found = mapping(pod.get("nodeSelector")).get(PRODUCT_LABEL)
    return (found,) if isinstance(found, str) and found else ()


def devices(pod: Resource) -> dict[str, int]:
    """Return how many GPUs and parts of GPUs the containers of a pod's spec ask for, by the name of the resource."""
    found: dict[str, int] = {}
    for holder in (pod, *mappings(pod.get("containers"))):
        asked = mapping(holder.get("resources"))
        for name, amount in {**mapping(asked.get("requests")), **mapping(asked.get("limits"))}.items():
            if name in (GPU, SHARED_GPU) or str(name).startswith(SLICE_PREFIX):
                found[name] = found.get(name, 0) + _count(amount)
    return {name: count for name, count in found.items() if count}


def claims(pod: Resource) -> list[tuple[bool, str]]:
    """Return the resource claims of a pod's spec: whether it names a template of one, and the name."""
    found = []
    for each in mappings(pod.get("resourceClaims")):
        template, name = each.get("resourceClaimTemplateName"), each.get("resourceClaimName")
        if isinstance(template or name, str):
            found.append((bool(template), str(template or name)))
    return list(dict.fromkeys(found))


def unpriced(pod: Resource) -> Wrong | None:
    """Return why what a pod asks for has no price: slices of a card, or a card that other pods use too; else None."""
    asked, labels = devices(pod), named(pod)
    slices = [name for name in asked if name.startswith(SLICE_PREFIX)] or (labels if all(map(is_slice, labels)) else ())
    if slices:
        head = f"the pods ask for {slices[0]}, a slice that MIG makes of a card, whose share of its power is unknown"
        return Wrong(reason="MigSlice", message=f"{head}: {_WAY_OUT}")
    if SHARED_GPU in asked or (labels and all(map(is_shared, labels))):
        asked_for = SHARED_GPU if SHARED_GPU in asked else labels[0]
        head = f"the pods ask for {asked_for}, a card that is shared between pods, so that the share of one is unknown"
        return Wrong(reason="SharedAccelerator", message=f"{head}: {_WAY_OUT}")
    return None


def may_run(pod: Resource, node: Resource) -> bool:
    """Tell whether a node has the labels and the kinds of GPUs that a pod's spec requires, and no taint that keeps the
    pod away.

    The number of GPUs does not matter, which is 0 while the device plugin restarts. A node that reports none of
    NVIDIA's devices, because the plugin has never run there, is taken by its labels. Taints that Kubernetes sets for
    the state of a node, such as one that is cordoned, do not matter either.
    """
    if not all(_tolerated(taint, pod) for taint in lasting_taints(node)):
        return False
    labels = labels_of(node)
    if any(labels.get(name) != value for name, value in mapping(pod.get("nodeSelector")).items()):
        return False
    terms = _terms(pod)
    if terms and not any(_matches(term, node) for term in terms):
        return False
    held = [name for name in mapping(mapping(node.get("status")).get("allocatable")) if name.startswith(_DEVICES)]
    return not held or all(name in held for name in devices(pod))


def lasting_taints(node: Resource) -> list[Resource]:
    """Return the taints of a node that keep pods away and are not about its state now."""
    taints = mappings(mapping(node.get("spec")).get("taints"))
    return [
        taint
        for taint in taints
        if taint.get("effect") in _REPELLING and not str(taint.get("key")).startswith(_OF_STATE)
    ]


def _tolerated(taint: Resource, pod: Resource) -> bool:
    """Tell whether a pod tolerates a taint. One that is named like an extended resource is tolerated by pods that ask
    for it, as the admission plugin ExtendedResourceToleration has it."""
    return taint.get("key") in devices(pod) or any(_covers(each, taint) for each in mappings(pod.get("tolerations")))


def _covers(toleration: Resource, taint: Resource) -> bool:
    """Tell whether a toleration matches a taint: without a key every key, without an effect every effect."""
    if toleration.get("key") not in (None, "", taint.get("key")):
        return False
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    operator = toleration.get("operator") or "Equal"
    if not toleration.get("key") and operator != "Exists":
        return False
    test = _TOLERATING.get(str(operator))
    return test is not None and test(taint.get("value", ""), toleration.get("value", ""))


def kept(pod: Resource) -> dict[str, Any]:
    """Return the smallest part of a pod's spec for which the functions of this module return the same."""
    asked, selector = devices(pod), mapping(pod.get("nodeSelector"))
    found: dict[str, Any] = {"nodeSelector": dict(selector)} if selector else {}
    if terms := _terms(pod):
        found["affinity"] = {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": terms}}}
    for field in _LISTS:
        found |= {field: mappings(pod.get(field))} if mappings(pod.get(field)) else {}
    return found | ({"resources": {"limits": asked}} if asked else {})


def either(pods: Sequence[Resource]) -> dict[str, Any]:
    """Return the part of a pod's spec by which it may be placed wherever one of ``pods`` may, with all their GPUs."""
    first, *others = [kept(pod) for pod in pods] or [{}]
    asked = {name: count for pod in pods for name, count in devices(pod).items()}
    resources = {"resources": {"limits": asked}} if asked else {}
    lists = {field: [each for pod in pods for each in mappings(pod.get(field))] for field in _LISTS}
    apart = ("resources", *_LISTS)
    placed = [{name: value for name, value in each.items() if name not in apart} for each in (first, *others)]
    if all(each == placed[0] for each in placed):
        return {"nodeSelector": {}, "affinity": {}, **placed[0], **lists, **resources}
    terms = [term for each in placed for term in _alternatives(each)]
    required = {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": terms}}} if all(terms) else {}
    return {"nodeSelector": {}, "affinity": required, **lists, **resources}


def _alternatives(pod: Resource) -> list[Resource]:
    """Return a pod's node selector and required affinity as terms, of which a node has to fulfil one; an empty term
    where the pod may be placed anywhere."""
    selector = mapping(pod.get("nodeSelector"))
    same = [{"key": key, "operator": "In", "values": [value]} for key, value in selector.items()]
    found: list[Resource] = []
    for term in _terms(pod) or [{}]:
        expressions = [*same, *mappings(term.get("matchExpressions"))]
        found.append({**term, **({"matchExpressions": expressions} if expressions else {})})
    return found


def _terms(pod: Resource) -> list[Resource]:
    required = mapping(mapping(mapping(pod.get("affinity")).get("nodeAffinity")).get(_REQUIRED))
    return mappings(required.get("nodeSelectorTerms"))


def _by_affinity(pod: Resource) -> tuple[str, ...]:
    """Return the products of a required affinity; () if not every term names products, as one term is enough."""
    terms = [_of_term(term) for term in _terms(pod)]
    if not all(terms):
        return ()
    return tuple(dict.fromkeys(name for term in terms for name in term))


def _of_term(term: Resource) -> tuple[str, ...]:
    """Return the products that all expressions of a term allow."""
    expressions = mappings(term.get("matchExpressions"))
    allowed = [
        _values(each) for each in expressions if each.get("key") == PRODUCT_LABEL and each.get("operator") == "In"
    ]
    others = [set(map(product_named, each)) for each in allowed[1:]]
    return tuple(name for name in allowed[0] if all(product_named(name) in each for each in others)) if allowed else ()


def _values(expression: Resource) -> tuple[str, ...]:
    values = expression.get("values")
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, (list, tuple)) else ()


def _matches(term: Resource, node: Resource) -> bool:
    """Tell whether a node fulfils all of a term; a term without any condition is fulfilled by none."""
    metadata = mapping(node.get("metadata"))
    labels, own = mapping(metadata.get("labels")), {"metadata.name": metadata.get("name")}
    met = [_holds(each, labels) for each in mappings(term.get("matchExpressions"))]
    met += [_holds(each, own) for each in mappings(term.get("matchFields"))]
    return bool(met) and all(met)


def _holds(expression: Resource, labels: Resource) -> bool:
    value, values = labels.get(str(expression.get("key"))), _values(expression)
    test = _OPERATORS.get(str(expression.get("operator")))
    return test is not None and test(value, values)


_OPERATORS: Final[Mapping[str, Callable[[Any, Iterable[str]], bool]]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, values: _is_above(value, *values),
    "Lt": lambda value, values: _is_above(*values, value),
}
"""The operators of a node selector term, as in Kubernetes' API reference of NodeSelectorRequirement."""


_TOLERATING: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "Exists": lambda *_: True,
    "Equal": lambda value, wanted: value == wanted,
    "Gt": lambda value, least: _is_above(value, least),
    "Lt": lambda value, most: _is_above(most, value),
}
"""The operators of a toleration, by the value of the taint and its own, as in Kubernetes' API reference."""


def _is_above(value: Any, other: Any = None, *_: Any) -> bool:
    """Tell whether one text is a greater whole number than the other."""
    try:
        return int(value) > int(other)
    except (TypeError, ValueError):
        return False


def _count(amount: object) -> int:
    """Return the number of an extended resource, which Kubernetes requires to be whole; 0 for anything else."""
    try:
        return max(int(str(amount)), 0)
    except ValueError:
        return 0
