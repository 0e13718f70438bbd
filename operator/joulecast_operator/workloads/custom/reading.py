"""What joulecast reads of a workload of a custom kind: the pods that its controller would make, and its model; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.api.products import GPU
from joulecast_operator.workloads import placement

NOT_NAMED: Final = (
    "name the model in the annotation joulecast.dev/model, or in the spec.model of an InferenceEnergyEstimate"
)
"""What to do where it is not known which model a workload runs."""

_READ: Final = ("hf://", "s3://", "oci://")
_MOST: Final = 2**31 - 1  # replicas of a Deployment, an int32
SHOWN: Final = 80
"""Characters of a tenant's word in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomWorkload:
    """A workload of a custom kind in the terms of a built-in one.

    - ``pod``: the spec of its pods, as far as the object itself says it.
    - ``pods``: how many pods it asks for at once; None where that is not known.
    - ``replicas``: how many times these serve the model; None where that is not known.
    - ``cards``: the GPUs that the pods of one of these replicas ask for together; None where they do not say it.
    - ``accelerator_type``: the card that the model asks Ray for, as Ray calls it; "" for none.
    - ``model``: the model that a field of its own names, an image or address; "" if the pods have to say it.
    - ``problem``: why the model is not known, a sentence with the way out; "" where it is.
    - ``unread``: an object that may add to the pods and is not read, in words; "" for none.
    - ``annotations``: those of its pods, beside the object's own.
    """

    pod: Mapping[str, Any]
    pods: int | None
    replicas: int | None
    cards: int | None = None
    accelerator_type: str = ""
    model: str = ""
    problem: str = ""
    unread: str = ""
    annotations: Mapping[str, Any] | None = None


def address(uri: str, kind: str) -> tuple[str, str]:
    """Return the model that the field of a workload of ``kind`` names by ``uri``, and why it is not known: one is "".

    KServe writes the revision of hf://ORGANISATION/NAME after a colon, and the image of oci://IMAGE holds the files.
    """
    if not uri.startswith(_READ):
        return "", f"the {kind} takes the model from {uri[:SHOWN]!r}, a store that is not read: {NOT_NAMED}"
    scheme, _, rest = uri.partition("://")
    if scheme == "oci":
        return rest, ""
    if scheme == "hf" and "@" not in rest:
        rest = rest.replace(":", "@", 1)
    return f"{scheme}://{rest.rstrip('/')}", ""


def count(holder: Resource, field: str, default: int = 1) -> int:
    """Return a whole number from 0 to the most that Kubernetes counts to; ``default`` for anything else."""
    value = holder.get(field)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST else default


def cards_of(first: Resource, other: Resource, others: int) -> int | None:
    """Return the GPUs that a pod with the spec ``first`` and ``others`` with the spec ``other`` ask for together; None
    if they ask for none."""
    return placement.devices(first).get(GPU, 0) + others * placement.devices(other).get(GPU, 0) or None


def container_of(pod: Resource, name: str) -> dict[str, Any]:
    """Return the container of that name of a pod's spec, else the first one; {} if there is none."""
    containers = mappings(pod.get("containers"))
    found = next((each for each in containers if each.get("name") == name), next(iter(containers), {}))
    return dict(found)


def words(value: object) -> list[str]:
    """Return the words of a command or of arguments."""
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def text(holder: Resource, *path: str) -> str:
    """Return the text that the fields of ``path`` lead to; "" if there is none."""
    *folders, last = path
    for each in folders:
        holder = mapping(holder.get(each))
    found = holder.get(last)
    return found.strip() if isinstance(found, str) else ""
