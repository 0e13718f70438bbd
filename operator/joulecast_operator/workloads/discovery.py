"""Find out which model a workload runs, and how; pure functions over resources as plain dicts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from joulecast_operator.api.annotations import (
    ESTIMATE,
    FOR_ACCELERATOR,
    INPUT_KEYS,
    REST_UNTIL,
    SKIP,
    annotations_of,
)
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.kinds import ANNOTATED, MANAGED_BY_LABEL, MANAGER
from joulecast_operator.api.objects import Resource, labels_of, mapping, mappings
from joulecast_operator.api.products import product_named
from joulecast_operator.workloads import placement, power_limits
from joulecast_operator.workloads.containers import DECLARES, named_model, reference_of, serving
from joulecast_operator.workloads.engines.served import ServedModel, served_models
from joulecast_operator.workloads.offers.queues import QUEUE_LABEL
from joulecast_operator.workloads.pods import pod_spec

_DEFAULT_ACCOUNT: Final = "default"  # the ServiceAccount of a pod that names none; every namespace has it
_TRUE: Final = frozenset({"true", "1", "yes", "on"})

Place = Literal["annotation", "engine", "volume", "container"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInWorkload:
    """An image that may hold a workload's model, or an address of the model.

    - ``reference``: the image reference, or an address such as hf://ORGANISATION/NAME.
    - ``found_in``: where the workload names it; ``engine`` for the command line of an inference engine.
    """

    reference: str
    found_in: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The controller that owns an object, as in its ownerReferences.

    - ``api_version``, ``kind``, ``name``, ``uid``: those of the owner.
    """

    api_version: str
    kind: str
    name: str
    uid: str


def skipped(workload: Resource) -> bool:
    """Tell whether the workload asks for no annotations by ``joulecast.dev/skip: "true"``."""
    return annotations_of(workload).get(SKIP, "").strip().lower() in _TRUE


def resting(controller: Resource, now: datetime) -> bool:
    """Tell whether the controller's own Deployment asks it not to write annotations, as during an uninstall."""
    try:
        until = datetime.fromisoformat(annotations_of(controller).get(REST_UNTIL, ""))
    except ValueError:
        return False
    return now < (until if until.tzinfo else until.replace(tzinfo=UTC))


def top_owner(resource: Resource) -> Owner | None:
    """Return the controller that owns a resource; None if none does."""
    for owner in mappings(mapping(resource.get("metadata")).get("ownerReferences")):
        if owner.get("controller"):
            fields = {key: str(owner.get(key, "")) for key in ("kind", "name", "uid")}
            return Owner(api_version=str(owner.get("apiVersion", "")), **fields)
    return None


def annotatable(workload: Resource) -> bool:
    """Tell whether to annotate this workload: not if it asks for none, or if another controller owns and writes it."""
    return top_owner(workload) is None and not skipped(workload)


def models(workload: Resource) -> tuple[ModelInWorkload, ...]:
    """Return everything that may be the workload's model once, the most likely first.

    Where a container serves a language model, it is what the engine's command line names, and no other image.
    """
    named = named_model(workload)
    found: dict[str, Place] = {named: "annotation"} if named else {}
    served = serving(workload)
    if isinstance(served, ServedModel):
        found.setdefault(reference_of(served), "engine")
    elif served is None:
        found |= {image: place for image, place in _images(pod_spec(workload)).items() if image not in found}
    return tuple(ModelInWorkload(reference=each, found_in=place) for each, place in found.items() if each)


def model_reference(workload: Resource) -> ModelInWorkload | None:
    """Return what is most likely the model: the annotation's, else an engine's, else the image of a volume, else of a
    container."""
    return next(iter(models(workload)), None)


def model_references(workload: Resource) -> tuple[str, ...]:
    """Return the images in which to look for the model, the most likely first, or the address of the model.

    It is only one if an annotation or the command line of an inference engine names it.
    """
    found = models(workload)
    if found and found[0].found_in in ("annotation", "engine"):
        found = found[:1]
    return tuple(model.reference for model in found)


def pull_secrets(workload: Resource) -> tuple[str, ...]:
    """Return the names of the Secrets in the workload's pod template with which its images are pulled."""
    return secret_names(pod_spec(workload))


def secret_names(holder: Resource) -> tuple[str, ...]:
    """Return the names in ``imagePullSecrets`` of a pod's spec or a ServiceAccount."""
    named = (secret.get("name") for secret in mappings(holder.get("imagePullSecrets")))
    return tuple(str(name) for name in named if name)


def service_account(workload: Resource) -> str:
    """Return the ServiceAccount of the workload's pods. Its pull secrets are used if the template names none."""
    return str(pod_spec(workload).get("serviceAccountName") or _DEFAULT_ACCOUNT)


def named_product(workload: Resource) -> str | None:
    """Return the accelerator that the workload's annotation names; None if it names none."""
    named = annotations_of(workload).get(FOR_ACCELERATOR, "").strip()
    return product_named(named) if named else None


def products(workload: Resource) -> tuple[str, ...]:
    """Return the accelerators of the workload: that of its annotation, else those that its pods must be placed on."""
    named = named_product(workload)
    return (named,) if named is not None else placement.products(pod_spec(workload))


def unpriced(workload: Resource) -> Wrong | None:
    """Return why the accelerator that the workload asks for has no price; None if it has, or if an annotation names
    another one."""
    return placement.unpriced(pod_spec(workload)) if named_product(workload) is None else None


def wants_estimate(workload: Resource) -> bool:
    """Tell whether to create an estimate for the workload: it names a model but no estimate, and may be annotated."""
    inputs = annotations_of(workload)
    asks = bool(named_model(workload)) and not inputs.get(ESTIMATE, "").strip()
    return asks and annotatable(workload)


def is_made(estimate: Resource) -> bool:
    """Tell whether joulecast created the estimate, for a workload that names a model."""
    metadata = mapping(estimate.get("metadata"))
    labelled = mapping(metadata.get("labels")).get(MANAGED_BY_LABEL) == MANAGER
    return labelled and any(owner.get("kind") in ANNOTATED for owner in mappings(metadata.get("ownerReferences")))


def inputs_hash(workload: Resource) -> str:
    """Return a hash of all that the forecast depends on: the template's images, pull secrets and ServiceAccount, what
    its inference engines serve and how, the accelerators that the workload may run on, and its input annotations.

    The generation cannot be used instead, because joulecast's own writes of annotations change it.
    """
    current = annotations_of(workload)
    inputs = {key: value for key, value in current.items() if key in INPUT_KEYS}
    spec = pod_spec(workload)
    images = [list(_volume_images(spec)), list(_container_images(spec))]
    engines = [asdict(served) for served in served_models(spec)]
    seen = [
        inputs,
        named_model(workload),
        *images,
        engines,
        pull_secrets(workload),
        service_account(workload),
        placement.kept(spec),
        power_limits.of_pods(workload),
        labels_of(workload).get(QUEUE_LABEL),
        dict(mapping(workload.get(DECLARES))),
    ]
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def _images(spec: Resource) -> dict[str, Place]:
    found: dict[str, Place]
    found = dict.fromkeys(_volume_images(spec), "volume")
    return found | {image: "container" for image in _container_images(spec) if image not in found}


def _volume_images(spec: Resource) -> Iterable[str]:
    for volume in mappings(spec.get("volumes")):
        reference = mapping(volume.get("image")).get("reference")
        if reference:
            yield str(reference)


def _container_images(spec: Resource) -> Iterable[str]:
    for group in ("containers", "initContainers"):
        for container in mappings(spec.get(group)):
            if container.get("image"):
                yield str(container["image"])
