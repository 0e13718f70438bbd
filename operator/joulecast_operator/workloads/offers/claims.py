"""Find out which accelerators the resource claims of pods may get, by the ResourceSlices of the cluster; pure.

Source: kubernetes/staging/src/k8s.io/api/resource/v1/types.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from joulecast_operator.api import bounds
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.kinds import CLAIM_TEMPLATES, CLAIMS, DEVICE_CLASSES, RESOURCE_SLICES, Kind
from joulecast_operator.api.objects import Key, Resource, identified, mapping, mappings
from joulecast_operator.api.products import product_named
from joulecast_operator.workloads import placement
from joulecast_operator.workloads.offers.selectors import DRIVER, Attributes, selects

PRODUCT: Final = "productName"
_TYPE: Final = "type"
_SLICE: Final = "mig"  # the value of the attribute ``type`` of a part of a card, in NVIDIA's driver
_KEPT: Final = (PRODUCT, _TYPE, "architecture", "brand", "profile")
"""Names of the attributes that are read; others, such as a UUID, differ from device to device."""
_SHOWN: Final = 120  # characters of an expression in a sentence
_MOST_DEVICES: Final = 1024  # of a slice; Kubernetes allows 128


class Objects(Protocol):
    """The look-ups of the index that reading claims and queues needs."""

    def resource(self, key: Key) -> Resource | None:
        """Return the object of ``key``; None if there is none."""

    def resources(self, kind: Kind) -> Iterable[Resource]:
        """Return all objects of a kind."""

    def nodes(self) -> Sequence[Resource]:
        """Return all nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What the claims of a pod may get.

    - ``products``: product names; () if no device with a product matches.
    - ``note``: which selectors are not understood, and what was left out; "" for nothing.
    """

    products: tuple[str, ...]
    note: str = ""


def claimed(pod: Resource, namespace: str, objects: Objects) -> Claimed | Wrong | None:
    """Return what the claims of a pod's spec may get; None if it has no claims."""
    named = placement.claims(pod)
    if not named:
        return None
    requests: list[Resource] = []
    for template, name in named:
        kind = CLAIM_TEMPLATES if template else CLAIMS
        found = objects.resource(Key(kind=kind.kind, namespace=namespace, name=name))
        if found is None:
            return _missing(kind, name, namespace)
        requests += mappings(found.get("requests"))
    return _matched(requests, list(_devices(pod, objects)), objects)


def _matched(requests: Sequence[Resource], devices: Sequence[Attributes], objects: Objects) -> Claimed | Wrong:
    """Return the products of all devices that a request may get."""
    products, sliced, unknown = set[str](), False, dict[str, None]()
    for alternative in (each for request in requests for each in mappings(request.get("alternatives"))):
        name = str(alternative.get("class") or "")
        of_class = objects.resource(Key(kind=DEVICE_CLASSES.kind, namespace="", name=name))
        if of_class is None:
            return _missing(DEVICE_CLASSES, name, "")
        expressions = [*of_class.get("selectors", ()), *alternative.get("selectors", ())]
        for device in devices:
            values = {each: selects(each, device) for each in expressions}
            product = _attribute(device, PRODUCT)
            if False in values.values() or not product:
                continue
            unknown |= {each: None for each, value in values.items() if value is None}
            if _attribute(device, _TYPE) == _SLICE:
                sliced = True
            else:
                products.add(product_named(product))
    if sliced and not products:
        return Wrong(reason="MigSlice", message=_OF_SLICES)
    return Claimed(products=tuple(sorted(products)), note=_note(list(unknown), sliced=sliced))


def _devices(pod: Resource, objects: Objects) -> Iterator[Attributes]:
    """Yield the attributes of the devices on nodes that may run the pod, each set of attributes once."""
    nodes = {str(mapping(node.get("metadata")).get("name")): node for node in objects.nodes()}
    seen: set[tuple[tuple[str, str], ...]] = set()
    for each in objects.resources(RESOURCE_SLICES):
        name = each.get("node")
        if name and not (name in nodes and placement.may_run(pod, nodes[name])):
            continue
        for device in mappings(each.get("devices")):
            if (held := tuple(sorted(device.items()))) not in seen:
                seen.add(held)
                yield device


def _attribute(device: Attributes, name: str) -> str:
    return device.get(f"{device.get(DRIVER)}/{name}", "")


def _note(unknown: Sequence[str], *, sliced: bool) -> str:
    said = [
        f"the selector {each[:_SHOWN]!r} compares more than texts with literals, so that it is not applied"
        for each in unknown[:1]
    ]
    said += [f"{len(unknown) - 1} more selectors are not applied either"] if len(unknown) > 1 else []
    said += ["slices that MIG makes of cards are left out"] if sliced else []
    return "; ".join(said)


_OF_SLICES: Final = (
    "the claims of the pods get slices that MIG makes of a card, whose share of its power is unknown: name the whole"
    " card in joulecast.dev/for-accelerator to see what it needs"
)


def _missing(kind: Kind, name: str, namespace: str) -> Wrong:
    where = f" in namespace {namespace!r}" if namespace else ""
    return Wrong(
        reason="ClaimNotFound",
        message=f"the pods claim devices by the {kind.kind} {name[:_SHOWN]!r}, which joulecast does not find{where}:"
        " create it, or name the card in joulecast.dev/for-accelerator",
    )


# -- what is kept of the objects


def claim(resource: Resource) -> dict[str, Any]:
    """Return a ResourceClaim with its requests; of one that Kubernetes made for a pod, with none."""
    made = any(owner.get("controller") for owner in mappings(mapping(resource.get("metadata")).get("ownerReferences")))
    return identified(resource, requests=[] if made else _requests(mapping(resource.get("spec"))))


def claim_template(resource: Resource) -> dict[str, Any]:
    """Return a ResourceClaimTemplate with its requests."""
    return identified(resource, requests=_requests(mapping(mapping(resource.get("spec")).get("spec"))))


def device_class(resource: Resource) -> dict[str, Any]:
    """Return a DeviceClass with its selectors."""
    return identified(resource, selectors=_selectors(mapping(resource.get("spec"))))


def resource_slice(resource: Resource) -> dict[str, Any]:
    """Return a ResourceSlice with its node and the attributes of its devices, those that are alike once."""
    spec = mapping(resource.get("spec"))
    driver = str(spec.get("driver") or "")
    found = [_attributes(each, driver) for each in mappings(spec.get("devices"))[:_MOST_DEVICES]]
    alike = {tuple(sorted(each.items())): each for each in found}
    return identified(resource, devices=list(alike.values()), node=str(spec.get("nodeName") or ""))


def _requests(spec: Resource) -> list[dict[str, Any]]:
    """Return the requests of a claim, each with the alternatives that fulfil it; before v1 there was one, inline."""
    found = []
    for request in mappings(mapping(spec.get("devices")).get("requests")):
        given = mappings(request.get("firstAvailable")) or [mapping(request.get("exactly")) or request]
        alternatives = [
            {"class": str(each.get("deviceClassName") or ""), "selectors": _selectors(each)}
            for each in given
            if not each.get("adminAccess")
        ]
        found.append({"alternatives": alternatives})
    return found


def _selectors(holder: Resource) -> list[str]:
    given = (mapping(each.get("cel")).get("expression") for each in mappings(holder.get("selectors")))
    return [expression for expression in given if isinstance(expression, str)]


def _attributes(device: Resource, driver: str) -> dict[str, str]:
    """Return the attributes of a device that are read, by domain and name; before v1 they were within ``basic``."""
    held: Mapping[str, Any] = mapping(device.get("attributes")) or mapping(
        mapping(device.get("basic")).get("attributes")
    )
    found = {DRIVER: driver}
    for key, value in held.items():
        domain, _, name = str(key).rpartition("/")
        text = mapping(value).get("string")
        if name in _KEPT and isinstance(text, str):
            found[f"{domain or driver}/{name}"] = bounds.text(text)
    return found
