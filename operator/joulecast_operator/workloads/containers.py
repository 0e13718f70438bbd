"""Find out which container of a workload serves a language model, and decide between several; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from joulecast_operator.api.annotations import CONTAINER, MODEL, RUNTIME, annotations_of
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.workloads.engines.served import ModelPlace, ServedModel, served_models
from joulecast_operator.workloads.pods import pod_spec

AMBIGUOUS: Final = "AmbiguousModel"
NOT_SERVING: Final = "ContainerServesNoModel"
UNKNOWN_DEGREE: Final = "UnknownTensorParallel"
UNKNOWN_PLACE: Final = "UnknownModel"
NOT_PRICED: Final = "EngineNotSupported"

DECLARES: Final = "declares"
"""The field of a stored workload of a custom kind with what fields of its own say: see ``declaring``."""

_TYPE: Final = "acceleratorType"
_UNREAD: Final = "unread"
_ADDRESSES: Final = ("hf://", "s3://")
_IMAGE: Final = "oci://"
_LISTED: Final = 8  # containers that a sentence lists
_SHOWN: Final = 128  # characters of a tenant's word in a sentence


def declaring(*, model: str, problem: str, accelerator_type: str, unread: str) -> dict[str, Any]:
    """Return the field of a workload that keeps which model a field of its own names, or why that is not known, the
    type of the cards that it asks Ray for, and which object may add to its pods and is not read."""
    said = {"model": model, "problem": "" if model else problem, _TYPE: accelerator_type, _UNREAD: unread}
    found = {name: value for name, value in said.items() if value}
    return {DECLARES: found} if found else {}


def accelerator_type(workload: Resource) -> str:
    """Return the type of the cards that a workload asks Ray for; "" for none."""
    return str(mapping(workload.get(DECLARES)).get(_TYPE, ""))


def unread(workload: Resource) -> str:
    """Return an object, in words, that may add to the pods of a workload and is not read; "" for none."""
    return str(mapping(workload.get(DECLARES)).get(_UNREAD, ""))


def serving(workload: Resource) -> ServedModel | Wrong | None:
    """Return the language model that the workload serves by a known inference engine; None if no container starts one.

    Its place may be unknown, but not how it is run.

    The annotation ``joulecast.dev/model`` decides where the model is, else the field of a custom kind, and
    ``joulecast.dev/container`` which container serves it. Several containers that differ in what they serve are
    ``Wrong`` if neither annotation chooses one.
    """
    served = served_models(pod_spec(workload))
    inputs = annotations_of(workload)
    container, model = inputs.get(CONTAINER, "").strip(), named_model(workload)
    found = [each for each in served if each.container == container] if container else served
    if container and not found:
        return _not_serving(container, served)
    if model:
        found = [each for each in found if reference_of(each) == model] or [_moved(each, model) for each in found]
    if len({replace(each, container="") for each in found}) > 1:
        return _ambiguous(found)
    only = next(iter(found), None)
    if only is not None and only.problem:
        return Wrong(reason=UNKNOWN_DEGREE, message=only.problem)
    return only


def unserved(workload: Resource, *, runtime: str | None = None) -> Wrong | None:
    """Return why the workload's engine cannot be priced: which language model it serves, or how, is not known, or no
    runtime stands for it. None if it can be priced, or if there is no engine.

    ``runtime``: the runtime that an estimate gives for the workload; an annotation of the workload may give it, too.
    """
    problem = mapping(workload.get(DECLARES)).get("problem")
    if problem and not named_model(workload):
        return Wrong(reason=UNKNOWN_PLACE, message=problem)
    found = serving(workload)
    if found is None or isinstance(found, Wrong):
        return found
    if found.place.problem:
        return Wrong(reason=UNKNOWN_PLACE, message=found.place.problem)
    if found.runtime is None and not (runtime or annotations_of(workload).get(RUNTIME, "").strip()):
        return Wrong(reason=NOT_PRICED, message=_not_priced(found))
    return None


def reference_of(served: ServedModel) -> str:
    """Return the image or address of the model; "" if it is not known."""
    return served.place.uri or served.place.image


def reference(text: str) -> str:
    """Return an image or address as it is compared with others: an image without the scheme oci://."""
    return text.strip().removeprefix(_IMAGE)


def named_model(workload: Resource) -> str:
    """Return the image or address that the workload's annotation names as its model, else a field of its kind; "" if
    neither does."""
    declared = mapping(workload.get(DECLARES)).get("model", "")
    return reference(annotations_of(workload).get(MODEL, "")) or str(declared)


def is_address(model: str) -> bool:
    """Tell whether a reference to a model is an address such as hf://ORGANISATION/NAME, and not an image."""
    return model.startswith(_ADDRESSES)


def _moved(served: ServedModel, model: str) -> ServedModel:
    """Return the served model with its place as an annotation gives it."""
    if is_address(model):
        return replace(served, place=ModelPlace(source="uri", uri=model))
    return replace(served, place=ModelPlace(source="image", image=model))


def _ambiguous(found: Sequence[ServedModel]) -> Wrong:
    said = f"several containers serve a language model, {_listed(found)}: name one in the annotation {CONTAINER}"
    return Wrong(reason=AMBIGUOUS, message=said)


def _not_serving(container: str, served: Sequence[ServedModel]) -> Wrong:
    head = f'{CONTAINER} is "{container[:_SHOWN]}", but no container of this name starts a known inference engine'
    tail = f"name one of {_listed(served)}" if served else f"remove it, and name the model in {MODEL}"
    return Wrong(reason=NOT_SERVING, message=f"{head}: {tail}")


def _not_priced(served: ServedModel) -> str:
    head = f'container "{served.container[:_SHOWN]}" serves the model by {served.engine}, whose energy is not modelled'
    return f"{head}: name the runtime whose forecast to take instead, such as vllm, in {RUNTIME}"


def _listed(found: Sequence[ServedModel]) -> str:
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return ", ".join(_described(found[:_LISTED])) + more


def _described(found: Iterable[ServedModel]) -> Iterable[str]:
    for each in found:
        yield f'"{each.container}" ({(reference_of(each) or "an unknown model")[:_SHOWN]} by {each.engine})'
