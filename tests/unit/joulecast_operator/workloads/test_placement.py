"""Test on which accelerators a pod may be placed by its own constraints."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast_operator.api.products import PRODUCT_LABEL
from joulecast_operator.workloads import placement

LABEL = PRODUCT_LABEL


def term(*expressions: tuple[str, str, list[str]]) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": how, "values": values} for key, how, values in expressions]}


def affinity(*terms: dict[str, Any], how: str = "requiredDuringSchedulingIgnoredDuringExecution") -> dict[str, Any]:
    return {"affinity": {"nodeAffinity": {how: {"nodeSelectorTerms": list(terms)}}}}


ANY = term(("zone", "In", ["a"]))
L40S, H100_OR_H200 = term((LABEL, "In", ["NVIDIA-L40S"])), term((LABEL, "In", ["NVIDIA-H100", "NVIDIA-H200-SHARED"]))


@pytest.mark.parametrize(
    ("pod", "products"),
    [
        ({}, ()),
        ({"nodeSelector": {"pool": "gpu"}}, ()),
        ({"nodeSelector": {LABEL: "NVIDIA L40S-SHARED"}}, ("NVIDIA-L40S",)),
        (affinity(L40S, H100_OR_H200), ("NVIDIA-L40S", "NVIDIA-H100", "NVIDIA-H200")),
        (affinity(L40S, ANY), ()),
        (affinity(L40S, how="preferredDuringSchedulingIgnoredDuringExecution"), ()),
        (affinity(term((LABEL, "NotIn", ["NVIDIA-L40S"]))), ()),
        (affinity(term((LABEL, "In", ["A", "B"]), (LABEL, "In", ["B", "C"]), ("zone", "In", ["a"]))), ("B",)),
        ({"nodeSelector": {LABEL: "NVIDIA-H200"}} | affinity(H100_OR_H200), ("NVIDIA-H200",)),
    ],
)
def test_the_products_that_a_pod_must_have(pod: dict[str, Any], products: tuple[str, ...]) -> None:
    assert placement.products(pod) == products
    assert placement.products(placement.kept(pod)) == products, "what the index keeps says the same"


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["key", "operator", "values", "matchExpressions", LABEL]), inner, max_size=4)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(JSON)
def test_whatever_stands_there_is_no_error(value: Any) -> None:
    for pod in ({"nodeSelector": value, "affinity": value}, affinity(value), {"affinity": {"nodeAffinity": value}}):
        assert isinstance(placement.products(pod), tuple)
