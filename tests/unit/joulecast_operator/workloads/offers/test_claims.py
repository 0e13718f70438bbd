"""Test which accelerators pods may get by their resource claims."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.kinds import NODES, OFFERS
from joulecast_operator.index.index import Index
from joulecast_operator.workloads.offers.claims import Claimed, claimed
from tests.unit.joulecast_operator.samples import offers
from tests.unit.joulecast_operator.samples.offers import by_claim, by_template, product_is

H100, L4 = "NVIDIA H100 80GB HBM3", "NVIDIA L4"
NORMAL = {H100: "NVIDIA-H100-80GB-HBM3", L4: "NVIDIA-L4"}


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


def holding(*objects: dict[str, Any]) -> Index:
    """Return an index with these objects, the class of NVIDIA's driver, and two nodes with a slice each."""
    index = Index()
    for each in (node("a", pool="large"), node("b", pool="small")):
        index.put(NODES, each)
    slices = (offers.resource_slice("a", H100), offers.resource_slice("b", L4))
    for each in (offers.device_class(), *slices, *objects):
        index.put(OFFERS[each["kind"]], each)
    return index


def products(found: Claimed | Wrong | None) -> tuple[str, ...]:
    assert isinstance(found, Claimed), found
    assert found.note == ""
    return found.products


@pytest.mark.parametrize("product", [H100, L4])
def test_a_compared_product_is_the_one_that_is_claimed(product: str) -> None:
    pods = (
        (by_template(), offers.claim_template(product_is(product))),
        (by_claim(), offers.claim(product_is(product))),
    )
    for pod, held in pods:
        assert products(claimed(pod, "shop", holding(held))) == (NORMAL[product],)


def test_without_a_comparison_it_is_what_the_slices_of_eligible_nodes_have() -> None:
    index = holding(offers.claim_template())
    assert products(claimed(by_template(), "shop", index)) == ("NVIDIA-H100-80GB-HBM3", "NVIDIA-L4")
    assert products(claimed({**by_template(), "nodeSelector": {"pool": "small"}}, "shop", index)) == ("NVIDIA-L4",)
    assert claimed({}, "shop", index) is None


def test_the_selectors_of_the_class_count_too() -> None:
    only = offers.device_class(offers.OF_CLASS, product_is(L4))
    index = holding(offers.claim_template())
    index.put(OFFERS["DeviceClass"], only | {"metadata": only["metadata"] | {"resourceVersion": "2"}})
    assert products(claimed(by_template(), "shop", index)) == ("NVIDIA-L4",)


def test_what_is_not_understood_gives_the_range_with_the_reason() -> None:
    matching = "device.attributes['gpu.nvidia.com'].productName.matches('.*H100.*')"
    found = claimed(by_template(), "shop", holding(offers.claim_template(matching, product_is(L4).replace("==", "!="))))
    assert isinstance(found, Claimed)
    assert found.products == ("NVIDIA-H100-80GB-HBM3",)
    assert found.note == f"the selector {matching!r} compares more than texts with literals, so that it is not applied"


def test_alternatives_of_a_request_and_earlier_versions_of_the_api_are_read() -> None:
    template = offers.claim_template()
    (request,) = template["spec"]["spec"]["devices"]["requests"]
    exactly = request.pop("exactly")
    first = [{**exactly, "name": str(n), "selectors": offers.selectors(product_is(p))} for n, p in enumerate((L4, "X"))]
    request["firstAvailable"] = first
    assert products(claimed(by_template(), "shop", holding(template))) == ("NVIDIA-L4",)
    del request["firstAvailable"]
    request |= exactly | {"selectors": offers.selectors(product_is(H100))}
    assert products(claimed(by_template(), "shop", holding(template))) == ("NVIDIA-H100-80GB-HBM3",)
    older = offers.resource_slice("a", H100)
    for device in older["spec"]["devices"]:
        device["basic"] = {"attributes": device.pop("attributes"), "capacity": device.pop("capacity")}
    index = Index()
    for kind, each in (("DeviceClass", offers.device_class()), ("ResourceSlice", older), (template["kind"], template)):
        index.put(OFFERS[kind], each)
    index.put(NODES, node("a"))
    assert products(claimed(by_template(), "shop", index)) == ("NVIDIA-H100-80GB-HBM3",)


def test_a_slice_of_a_card_is_told() -> None:
    of_slices = offers.device_class("device.attributes['gpu.nvidia.com'].type == 'mig'", name="mig.nvidia.com")
    template = offers.named(OFFERS["ResourceClaimTemplate"], "cards", {"spec": offers.requests(of="mig.nvidia.com")})
    parts = offers.resource_slice("a", H100, kind="mig")
    parts["metadata"]["name"] = "parts"
    found = claimed(by_template(), "shop", holding(of_slices, template, parts))
    assert isinstance(found, Wrong)
    assert found.reason == "MigSlice"
    either = offers.device_class("device.driver == 'gpu.nvidia.com'", name="mig.nvidia.com")
    mixed = claimed(by_template(), "shop", holding(either, template, parts))
    assert isinstance(mixed, Claimed)
    assert mixed.note == "slices that MIG makes of cards are left out"


@pytest.mark.parametrize(
    ("pod", "held", "said"),
    [
        (by_template("other"), (), "by the ResourceClaimTemplate 'other', which joulecast does not find in namespace"),
        (by_claim("other"), (), "by the ResourceClaim 'other', which joulecast does not find in namespace 'shop'"),
        (
            by_claim(),
            (offers.named(OFFERS["ResourceClaim"], "card", offers.requests(of="other")),),
            "by the DeviceClass 'other', which joulecast does not find: create it",
        ),
    ],
)
def test_what_is_missing_is_told(pod: dict[str, Any], held: tuple[dict[str, Any], ...], said: str) -> None:
    found = claimed(pod, "shop", holding(*held))
    assert isinstance(found, Wrong)
    assert found.reason == "ClaimNotFound"
    assert said in found.message


def test_claims_of_other_devices_say_nothing_of_accelerators() -> None:
    nics = offers.device_class("device.driver == 'dra.net'", name="nic")
    template = offers.named(OFFERS["ResourceClaimTemplate"], "cards", {"spec": offers.requests(of="nic")})
    assert products(claimed(by_template(), "shop", holding(nics, template))) == ()


def test_of_what_kubernetes_made_and_of_equal_devices_little_is_kept() -> None:
    made = offers.claim()
    made["metadata"]["ownerReferences"] = [{"kind": "Pod", "name": "p", "controller": True}]
    made["status"] = {"allocation": {"devices": {"results": [{"driver": "d"}]}}}
    index = holding(made)
    (kept,) = index.resources(OFFERS["ResourceClaim"])
    assert kept["requests"] == []
    assert "status" not in kept
    for each in index.resources(OFFERS["ResourceSlice"]):
        assert len(each["devices"]) == 1, "eight cards that differ in their UUIDs alone"


@pytest.mark.parametrize("kind", tuple(OFFERS))
@pytest.mark.parametrize("spec", [None, [], {"devices": 3}, {"spec": [], "resourceGroups": [3], "selectors": [{}]}])
def test_an_object_of_any_shape_is_kept(kind: str, spec: Any) -> None:
    index = Index()
    index.put(OFFERS[kind], offers.named(OFFERS[kind], "odd", spec))
    assert [each["metadata"]["name"] for each in index.resources(OFFERS[kind])] == ["odd"]
