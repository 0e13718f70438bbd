"""Find out how the target of a plan runs now, which the choice is compared with; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joulecast.workloads import DEFAULT_PRECISION
from joulecast_operator.api.annotations import FOR_ACCELERATOR
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.objects import Resource
from joulecast_operator.api.plans.spec import PlanSpec, Today
from joulecast_operator.api.products import product_named
from joulecast_operator.estimates.accelerators import accelerators_of_workload
from joulecast_operator.estimates.targets import FoundModel
from joulecast_operator.index.index import Index
from joulecast_operator.workloads import choice
from joulecast_operator.workloads.power_limits import power_limit


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundToday:
    """How a model runs now, as far as it is known.

    - ``setting``: accelerator, batch size, concurrency, precision, degree and caps; None where no accelerator is known.
    - ``notes``: sentences about what is not known, and what to do.
    """

    setting: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


def today_of(spec: PlanSpec, model: FoundModel, workload: Resource | None, index: Index) -> FoundToday:
    """Return how the model runs now: what ``spec.today`` says, else what its target, ``workload``, says of itself.

    A size that nobody says is left open: an engine that serves one request at a time and one that serves 64 differ by
    more than any choice saves.
    """
    given = spec.today or Today.model_validate({})
    if workload is None and spec.today is None:
        return FoundToday()
    accelerator = product_named(given.accelerator) if given.accelerator else _accelerator(workload, index)
    if isinstance(accelerator, FoundToday):
        return accelerator
    of_target = _of_target(workload, model) if workload is not None else {}
    own = {name: value for name in _FIELDS if (value := getattr(given, name)) is not None}
    limit = None if workload is None or _CAPS & own.keys() else power_limit(workload, index.nodes(), (accelerator,))
    if isinstance(limit, Wrong):
        return FoundToday(notes=(f"what the model needs today is not known: {limit.message}",))
    rest = {"precision": DEFAULT_PRECISION, "tensor_parallel": 1, "power_limit_watts": limit.watts if limit else None}
    return FoundToday(setting=dict.fromkeys(_FIELDS) | rest | of_target | own | {"accelerator": accelerator})


_CAPS = frozenset({"power_limit_watts", "clock_mhz"})
_FIELDS = ("batch_size", "concurrency", "precision", "tensor_parallel", "power_limit_watts", "clock_mhz")


def _accelerator(workload: Resource | None, index: Index) -> str | FoundToday:
    """Return the only accelerator that the target may run on, or a note why it is not known."""
    if workload is None:
        return _unknown("spec.today names no accelerator")
    found = accelerators_of_workload(workload, index)
    if isinstance(found, (Waiting, Wrong)):
        return _unknown(found.message)
    if len(found.products) > 1:
        return _unknown(f"the target may run on {' or '.join(found.products)}")
    return found.products[0]


def _unknown(why: str) -> FoundToday:
    note = f"what the model needs today is not known, because {why}: name it in spec.today.accelerator or, at the"
    return FoundToday(notes=(f"{note} target, in {FOR_ACCELERATOR}",))


def _of_target(workload: Resource, model: FoundModel) -> dict[str, Any]:
    """Return what annotations and the command of the target say about how it runs."""
    asked = choice.asked_spec(workload).get("workload", {})
    sizes = asked.get("batchSizes")
    concurrency, most = asked.get("concurrency"), model.most_sequences
    if concurrency is not None and most is not None:
        concurrency = min(concurrency, most)
    found = {
        "batch_size": sizes[0] if sizes else None,
        "concurrency": concurrency,
        "precision": asked.get("precision") or model.precision,
        "tensor_parallel": model.generation.get("tensor_parallel"),
    }
    return {name: value for name, value in found.items() if value is not None}
