"""Choose which of several estimates applies to a workload, and which of its results; pure, the same in both processes.

It is the estimate that the workload names, else one whose targetRef is the workload, else one of the same model. Of
several in one of these groups it is one that matches the workload's annotations and placement, then one that has
results, then the newest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, get_args

from joulecast.energy.profile import PRODUCT
from joulecast.workloads import DEFAULT_RUNTIME
from joulecast_operator.api.annotations import ESTIMATE, READY, annotations_of, state_of
from joulecast_operator.api.estimates import MAXIMUM_NAMED_ACCELERATORS
from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.api.parts import ServingRuntime
from joulecast_operator.api.products import product_named
from joulecast_operator.api.workload import Precision, WorkloadSpec
from joulecast_operator.workloads import discovery, power_limits
from joulecast_operator.workloads.containers import serving
from joulecast_operator.workloads.dimensions import (
    ACCELERATORS,
    BATCHES,
    CLOCKS,
    DEGREES,
    DIMENSIONS,
    INPUTS,
    OUTPUTS,
    PHASES,
    POWER_LIMITS,
    PRECISIONS,
    REQUESTS,
    RUNTIMES,
    Dimension,
    asked_workload,
    excluded,
)
from joulecast_operator.workloads.engines.served import ServedModel
from joulecast_operator.workloads.pods import kind_of

_DEFAULT_PRECISION: Final[str] = WorkloadSpec.model_fields["precision"].default


Wanted = Mapping[str, tuple[str, ...]]
"""What a workload requires of a result: the accepted values by field. Fields that it does not restrict are missing."""

_UNCAPPED: Final[Wanted] = {POWER_LIMITS.field: ("",), CLOCKS.field: ("",)}
"""What is preferred among estimates of a model that nothing else ties to the workload: cards that run as they come."""


class EstimateLookup(Protocol):
    """The look-ups of the index that a choice needs. Each returns estimates of one namespace only."""

    def get(self, namespace: str, name: str) -> Resource | None:
        """Return the estimate of that name; None if there is none."""

    def by_target(self, namespace: str, kind: str, name: str) -> Iterable[Resource]:
        """Return estimates whose targetRef is that workload."""

    def by_model(self, namespace: str, reference: str) -> Iterable[Resource]:
        """Return estimates that name exactly that image or address of a model."""


def wanted_by(workload: Resource) -> Wanted:
    """Return what ``workload`` requires of a result, by its annotations, by the command line of its inference engine,
    by where its pods must be placed, and by the power limit that they ask for."""
    inputs, served = annotations_of(workload), serving(workload)
    engine = served if isinstance(served, ServedModel) else None
    found = (_by_engine(engine) if engine else {}) | _by_annotations(inputs)
    if REQUESTS.field in found and engine and engine.most_sequences is not None:
        found[REQUESTS.field] = _at_most(found[REQUESTS.field], engine.most_sequences)
    named: Wanted = {field: (value,) for field, value in found.items()}
    products, limit = discovery.products(workload), power_limits.of_pods(workload)
    limited = {**named, POWER_LIMITS.field: (limit,)} if limit else named
    return {**limited, ACCELERATORS.field: products} if products else limited


def _by_annotations(inputs: Mapping[str, str]) -> dict[str, str]:
    """Return what annotations choose: a valid value in its usual form, any other as it is written."""
    present = [each for each in DIMENSIONS if each.given(inputs)]
    ineffective = excluded(inputs) if present else {}
    effective = [each for each in present if each.annotation not in ineffective]
    chosen = {each: each.chosen(inputs) for each in effective}
    return {each.field: each.given(inputs) if value is None else str(value) for each, value in chosen.items()}


def _by_engine(served: ServedModel) -> dict[str, str]:
    """Return the runtime and the tensor parallel degree of an inference engine.

    The name of an engine that no runtime stands for is required as well, so that no other engine's result is taken.
    """
    found = {RUNTIMES.field: served.runtime or served.engine}
    if served.runtime or served.tensor_parallel:
        found[DEGREES.field] = str(served.tensor_parallel or 1)
    return found


def _at_most(asked: str, most: int) -> str:
    """Return the concurrency that an engine has, which lets further requests wait."""
    return str(min(int(asked), most)) if asked.isdecimal() else asked


def estimate_for(workload: Resource, index: EstimateLookup, *, namespace: str | None = None) -> Resource | None:
    """Return the estimate that applies to ``workload``; None if there is none.

    Only estimates of the workload's namespace are considered. ``namespace``: that of an object under admission, whose
    metadata may lack it.
    """
    if not discovery.annotatable(workload):
        return None
    namespace = namespace or _namespace(workload)
    named = annotations_of(workload).get(ESTIMATE, "").strip()
    if named:
        return index.get(namespace, named)
    wanted = wanted_by(workload)
    targeting = _targeting(workload, index, namespace, wanted)
    if targeting is not None:
        return targeting
    uid = mapping(workload.get("metadata")).get("uid")
    of_model = (index.by_model(namespace, reference) for reference in discovery.model_references(workload))
    found = (_best(estimates, {**_UNCAPPED, **wanted}, uid) for estimates in of_model)
    return next((estimate for estimate in found if estimate is not None), None)


def estimate_targeting(workload: Resource, index: EstimateLookup, *, namespace: str | None = None) -> Resource | None:
    """Return the estimate that applies to ``workload`` among those whose targetRef names it; None if there is none.

    Workloads of custom kinds have no others, because nothing is written on them that would tell which one applies.
    """
    if not discovery.annotatable(workload):
        return None
    return _targeting(workload, index, namespace or _namespace(workload), wanted_by(workload))


def _targeting(workload: Resource, index: EstimateLookup, namespace: str, wanted: Wanted) -> Resource | None:
    metadata = mapping(workload.get("metadata"))
    name, uid = metadata.get("name"), metadata.get("uid")
    return _best(index.by_target(namespace, kind_of(workload), str(name)), wanted, uid) if name else None


def _namespace(workload: Resource) -> str:
    return str(mapping(workload.get("metadata")).get("namespace") or "default")


def row_for(estimate: Resource, wanted: Wanted) -> Resource | None:
    """Return the result that matches what is ``wanted``, of several the one most similar to the summary; None if no
    result matches."""
    summary = mapping(mapping(estimate.get("status")).get("summary"))
    return max(
        (row for row in rows_of(estimate) if answers(row, wanted)),
        key=lambda row: [str(row.get(field)) == str(summary.get(field)) for field in ("accelerator", "batchSize")],
        default=None,
    )


def rows_of(estimate: Resource) -> Sequence[Resource]:
    """Return the results of an estimate."""
    return mappings(mapping(estimate.get("status")).get("results"))


def lacking(estimate: Resource, wanted: Wanted) -> Dimension | None:
    """Return the first dimension in which no result has a ``wanted`` value; None if each is found in some result."""
    rows = rows_of(estimate)
    for dimension in DIMENSIONS:
        values = wanted.get(dimension.field)
        if values and not any(answers(row, {dimension.field: values}) for row in rows):
            return dimension
    return None


def asked_spec(workload: Resource) -> dict[str, Any]:
    """Return the spec of the estimate to create for ``workload``, without values that no estimate accepts."""
    of_model = asked_workload(workload)
    inputs = annotations_of(workload)
    precision, runtime = _one(PRECISIONS, inputs, Precision), _one(RUNTIMES, inputs, ServingRuntime)
    if precision:
        of_model["precision"] = precision
    spec: dict[str, Any] = {"workload": of_model} if of_model else {}
    if runtime:
        spec["runtime"] = runtime
    products = discovery.products(workload)
    if 0 < len(products) <= MAXIMUM_NAMED_ACCELERATORS and all(map(_is_product, products)):
        spec["accelerators"] = {"names": list(products)}
    return spec


def same_request(spec: Resource, asked: Resource) -> bool:
    """Tell whether an estimate's spec requests what ``asked``, a spec for the same model, requests.

    A runtime that is not asked for may be in the spec nevertheless, because servers filled it in before language
    models had another one.
    """
    held, wanted = _requested(spec), _requested(asked)
    runtime, runtime_asked = held.pop(RUNTIMES.field), wanted.pop(RUNTIMES.field)
    return held == wanted and (runtime == runtime_asked or (runtime_asked is None and runtime == DEFAULT_RUNTIME))


def _best(estimates: Iterable[Resource], wanted: Wanted, uid: object) -> Resource | None:
    """Return the first estimate in order of preference that matches best.

    Statuses are read only until an estimate matches fully, because there may be thousands of estimates of an image.
    """
    first_of: dict[tuple[bool, bool], Resource] = {}
    for estimate in _preferred(estimates, uid):
        standing = _standing(estimate, wanted)
        first_of.setdefault(standing, estimate)
        if standing == (True, True):
            break
    return first_of[max(first_of)] if first_of else None


def _preferred(estimates: Iterable[Resource], uid: object) -> list[Resource]:
    """Sort estimates: those created for the workload of ``uid``, then those not created for another one; among these
    the newest first, then by name."""
    return sorted(sorted(estimates, key=_name), key=lambda estimate: _precedence(estimate, uid), reverse=True)


def _precedence(estimate: Resource, uid: object) -> tuple[bool, bool, str]:
    """Return the sort key of an estimate. Times of creation are RFC 3339 in UTC, which sorts as text."""
    metadata = mapping(estimate.get("metadata"))
    created, owners = str(metadata.get("creationTimestamp") or ""), metadata.get("ownerReferences")
    if not owners:
        return False, True, created
    owned = uid is not None and any(isinstance(owner, Mapping) and owner.get("uid") == uid for owner in owners)
    return owned, not discovery.is_made(estimate), created


def _standing(estimate: Resource, wanted: Wanted) -> tuple[bool, bool]:
    """Tell whether the estimate matches what is wanted, and whether it has results."""
    if state_of(estimate) == READY:
        return _holds(estimate, wanted), True
    return _asks_for(estimate, wanted), False


def _holds(estimate: Resource, wanted: Wanted) -> bool:
    return any(answers(row, wanted) for row in rows_of(estimate))


def _asks_for(estimate: Resource, wanted: Wanted) -> bool:
    """Tell whether an estimate without results may later have the result that is wanted.

    What its spec leaves open may become anything: the runtime and the degree follow the target's command.
    """
    may_hold = {field: _texts(value) for field, value in _requested(mapping(estimate.get("spec"))).items()}
    return all(not may_hold.get(field) or set(values) & set(may_hold[field]) for field, values in wanted.items())


def _texts(value: Any) -> list[str]:
    """Return a value or values of a spec as texts; [] for None."""
    return [str(each) for each in value] if isinstance(value, list) else [] if value is None else [str(value)]


def answers(row: Resource, wanted: Wanted) -> bool:
    """Tell whether a result is what is wanted."""
    return all(_VALUES[field](row) in values for field, values in wanted.items())


_VALUES: Final = {each.field: each.value for each in DIMENSIONS}


def _requested(spec: Resource) -> dict[str, Any]:
    """Return what a spec requests, by the field of a result; None for what it leaves open."""
    of_model, names = mapping(spec.get("workload")), mapping(spec.get("accelerators")).get("names")
    as_named = (PHASES, REQUESTS, INPUTS, OUTPUTS, POWER_LIMITS, CLOCKS)
    return {each.field: of_model.get(each.field) for each in as_named} | {
        BATCHES.field: of_model.get("batchSizes"),
        DEGREES.field: of_model.get("tensorParallel"),
        PRECISIONS.field: of_model.get("precision") or _DEFAULT_PRECISION,
        RUNTIMES.field: spec.get("runtime"),
        ACCELERATORS.field: [product_named(str(name)) for name in names] if isinstance(names, list) else None,
    }


def _one(dimension: Dimension, inputs: Mapping[str, str], known: Any) -> str | None:
    """Return the value that the workload gives of a dimension if the Literal ``known`` contains it, else None."""
    value = dimension.given(inputs)
    return value if value in get_args(known) else None


def _is_product(name: str) -> bool:
    return PRODUCT.shortest <= len(name) <= PRODUCT.longest


def _name(estimate: Resource) -> str:
    return str(mapping(estimate.get("metadata")).get("name", ""))
