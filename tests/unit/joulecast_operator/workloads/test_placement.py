"""Test on which accelerators a pod may be placed by its own constraints."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast_operator.api.products import PRODUCT_LABEL
from joulecast_operator.index import slim
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


GPU, SHARED, SLICE = "nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb"


def asking(*limits: dict[str, Any], **pod: Any) -> dict[str, Any]:
    return {"containers": [{"resources": {"limits": each}} for each in limits], **pod}


@pytest.mark.parametrize(
    ("pod", "devices"),
    [
        ({}, {}),
        (asking({GPU: "1", "cpu": "2"}, {GPU: 2}), {GPU: 3}),
        (asking({GPU: "0"}), {}),
        (asking({GPU: "one"}, {"nvidia.com/pgpu": "1"}), {}),
        (asking({SLICE: "1"}, {SHARED: "1"}), {SLICE: 1, SHARED: 1}),
        ({"containers": [{"resources": {"requests": {GPU: "1"}, "limits": {GPU: "1"}}}]}, {GPU: 1}),
    ],
)
def test_the_devices_that_a_pod_asks_for(pod: dict[str, Any], devices: dict[str, int]) -> None:
    assert placement.devices(pod) == devices
    assert placement.devices(placement.kept(pod)) == devices


@pytest.mark.parametrize(
    ("pod", "reason", "named"),
    [
        (asking({SLICE: "1"}), "MigSlice", SLICE),
        (asking({SHARED: "1"}), "SharedAccelerator", SHARED),
        ({"nodeSelector": {LABEL: "NVIDIA-L40S-SHARED"}}, "SharedAccelerator", "NVIDIA-L40S-SHARED"),
        ({"nodeSelector": {LABEL: "NVIDIA-H100-MIG-1g.10gb"}}, "MigSlice", "NVIDIA-H100-MIG-1g.10gb"),
    ],
)
def test_a_part_of_a_card_has_no_price_and_the_way_out_is_named(pod: dict[str, Any], reason: str, named: str) -> None:
    for each in (pod, placement.kept(pod)):
        found = placement.unpriced(each)
        assert found is not None
        assert found.reason == reason
        assert found.message.startswith(f"the pods ask for {named}, ")
        assert found.message.endswith("name the whole card in joulecast.dev/for-accelerator to see what it needs")


@pytest.mark.parametrize(
    "pod", [{}, asking({GPU: "1"}), affinity(H100_OR_H200), {"nodeSelector": {LABEL: "NVIDIA-L4"}}]
)
def test_a_whole_card_has_a_price(pod: dict[str, Any]) -> None:
    assert placement.unpriced(pod) is None


NODE = {
    "metadata": {"name": "n1", "labels": {"pool": "gpu", "zone": "a", "memory": "80"}},
    "status": {"allocatable": {GPU: "8"}},
}


@pytest.mark.parametrize(
    ("pod", "runs"),
    [
        ({}, True),
        ({"nodeSelector": {"pool": "gpu"}}, True),
        ({"nodeSelector": {"pool": "cpu"}}, False),
        (asking({GPU: 1}), True),
        (asking({SLICE: 1}), False),
        (affinity(term(("zone", "In", ["b"])), term(("zone", "In", ["a"]))), True),
        (affinity(term(("zone", "In", ["a"]), ("pool", "NotIn", ["gpu"]))), False),
        (affinity(term(("zone", "Exists", []), ("old", "DoesNotExist", []), ("old", "NotIn", ["x"]))), True),
        (affinity(term(("memory", "Gt", ["79"]), ("memory", "Lt", ["81"]))), True),
        (affinity(term(("memory", "Gt", ["80"]))), False),
        (affinity(term(("zone", "Gt", ["1"]))), False),
        (affinity(term(("zone", "Odd", ["a"]))), False),
        (affinity({}), False),
        (affinity({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}), True),
    ],
)
def test_on_which_nodes_a_pod_may_run(pod: dict[str, Any], runs: bool) -> None:
    assert placement.may_run(pod, NODE) is runs
    assert placement.may_run(placement.kept(pod), NODE) is runs


def test_a_node_counts_while_its_device_plugin_restarts_and_before_it_has_run() -> None:
    for held in ({}, {"cpu": "8"}, {GPU: "0"}):
        assert placement.may_run(asking({GPU: 1}), NODE | {"status": {"allocatable": held}})
    assert not placement.may_run(asking({GPU: 1}), NODE | {"status": {"allocatable": {SLICE: "7"}}})


def taint(key: str, value: str = "", effect: str = "NoSchedule") -> dict[str, Any]:
    return {"key": key, "value": value, "effect": effect}


@pytest.mark.parametrize(
    ("tainted", "toleration", "runs"),
    [
        (taint("team"), {}, False),
        (taint("team", effect="NoExecute"), {}, False),
        (taint("team", effect="PreferNoSchedule"), {}, True),
        (taint("node.kubernetes.io/unschedulable"), {}, True),
        (taint("node.cloudprovider.kubernetes.io/uninitialized", "true"), {}, True),
        (taint(GPU, "present"), {}, True),
        (taint("team"), {"operator": "Exists"}, True),
        (taint("team"), {"key": "", "operator": "Equal"}, False),
        (taint("team"), {"key": "team", "operator": "Exists"}, True),
        (taint("team"), {"key": "other", "operator": "Exists"}, False),
        (taint("team", "a"), {"key": "team", "value": "a"}, True),
        (taint("team", "a"), {"key": "team", "value": "b"}, False),
        (taint("team", "a"), {"key": "team", "operator": "Equal", "value": "a", "effect": "NoExecute"}, False),
        (taint("team", "a"), {"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}, True),
        (taint("sla", "950"), {"key": "sla", "operator": "Gt", "value": "900"}, True),
        (taint("sla", "950"), {"key": "sla", "operator": "Lt", "value": "900"}, False),
        (taint("sla", "950"), {"key": "sla", "operator": "Odd", "value": "950"}, False),
    ],
)
def test_a_taint_keeps_away_what_does_not_tolerate_it(
    tainted: dict[str, Any], toleration: dict[str, Any], runs: bool
) -> None:
    pod = asking({GPU: 1}) | ({"tolerations": [toleration]} if toleration else {})
    node = NODE | {"spec": {"taints": [tainted]}}
    for each in (pod, placement.kept(pod), placement.either([pod, asking({GPU: 1})])):
        assert placement.may_run(each, node) is runs
        assert placement.may_run(each, slim.node(node)) is runs


LABELS = st.dictionaries(st.sampled_from(["pool", "zone"]), st.sampled_from(["a", "b"]), max_size=2)
EXPRESSIONS = st.lists(
    st.tuples(st.sampled_from(["pool", "zone"]), st.sampled_from(["In", "NotIn"]), st.just(["a"])),
    min_size=1,
    max_size=2,
)
PODS = st.builds(
    lambda selector, terms: {"nodeSelector": selector} | (affinity(*(term(*each) for each in terms)) if terms else {}),
    LABELS,
    st.lists(EXPRESSIONS, max_size=2),
)


@given(st.lists(PODS, max_size=3), LABELS)
def test_either_of_several_pods_may_run_where_one_of_them_may(pods: list[dict[str, Any]], labels: Any) -> None:
    node = {"metadata": {"name": "n", "labels": labels}}
    expected = any(placement.may_run(pod, node) for pod in pods) if pods else True
    assert placement.may_run(placement.either(pods), node) is expected


def test_the_devices_of_all_of_several_pods_are_asked_for() -> None:
    both = placement.either([asking({GPU: 1}), asking({SLICE: 2}) | {"nodeSelector": {"pool": "a"}}])
    assert placement.devices(both) == {GPU: 1, SLICE: 2}


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
        assert placement.may_run(pod, NODE) in (True, False)
        assert placement.unpriced(placement.kept(pod)) == placement.unpriced(pod)
