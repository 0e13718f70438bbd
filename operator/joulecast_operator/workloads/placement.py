"""Find out on which accelerators a pod may be placed, by its node selector and required node affinity; pure."""

from __future__ import annotations

from typing import Any

from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.api.products import PRODUCT_LABEL, product_named


def products(pod: Resource) -> tuple[str, ...]:
    """Return the products that ``pod``, a pod's spec, may be placed on; () if it does not restrict them.

    Preferences are not considered, because the pod may also be placed elsewhere.
    """
    selected = mapping(pod.get("nodeSelector")).get(PRODUCT_LABEL)
    return (product_named(selected),) if isinstance(selected, str) and selected else _by_affinity(pod)


def kept(pod: Resource) -> dict[str, Any]:
    """Return the smallest part of a pod's spec for which ``products`` returns the same."""
    found = list(products(pod))
    if not found:
        return {}
    term = {"matchExpressions": [{"key": PRODUCT_LABEL, "operator": "In", "values": found}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": required}}


def _by_affinity(pod: Resource) -> tuple[str, ...]:
    """Return the products of a required affinity; () if not every term names products, as one term is enough."""
    node_affinity = mapping(mapping(pod.get("affinity")).get("nodeAffinity"))
    required = mapping(node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution"))
    terms = [_of_term(term) for term in mappings(required.get("nodeSelectorTerms"))]
    if not all(terms):
        return ()
    return tuple(dict.fromkeys(name for term in terms for name in term))


def _of_term(term: Resource) -> tuple[str, ...]:
    """Return the products that all expressions of a term allow."""
    expressions = mappings(term.get("matchExpressions"))
    named = [_values(each) for each in expressions if each.get("key") == PRODUCT_LABEL and each.get("operator") == "In"]
    return tuple(name for name in named[0] if all(name in other for other in named)) if named else ()


def _values(expression: Resource) -> tuple[str, ...]:
    values = expression.get("values")
    return tuple(product_named(value) for value in values if isinstance(value, str)) if isinstance(values, list) else ()
