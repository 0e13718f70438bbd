"""Price what was counted of a model, and put the forecasts into the form of a status; used by the profiler alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar

from joulecast.accelerators import catalogue
from joulecast.accelerators.product_names import normalise_product
from joulecast.api import documents
from joulecast.energy.engines.pricing import gap_watts
from joulecast.energy.model import EnergyEstimate, LayerEnergy
from joulecast.energy.profile import AcceleratorProfile
from joulecast.errors import NotCalibratedError
from joulecast.layers import ModelProfile, Totals
from joulecast.serving.kernels import graph_runtime
from joulecast_operator.api import bounds
from joulecast_operator.api.estimates import MAXIMUM_TOP_LAYERS
from joulecast_operator.api.objects import camel
from joulecast_operator.api.results import MAXIMUM_REASONS, MAXIMUM_RESULT_LAYERS
from joulecast_operator.api.workload import CLOCK_FIELD
from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.sandbox import error_fields


class Reasoned(Protocol):
    """A forecast that says why its intervals are wide."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return a clause for each."""


T = TypeVar("T")
R = TypeVar("R", bound=Reasoned)

_BATCH_FIELDS: Final = (
    "accelerator", "runtime", "precision", "batch_size", "joules_per_batch", "joules_per_batch_lower",
    "joules_per_batch_upper", "interval_level", "latency_seconds", "average_power_watts", "origin",
)  # fmt: skip


def priced_by_product(
    products: Iterable[str], price: Callable[[str], Sequence[T]]
) -> tuple[list[T], dict[str, Header]]:
    """Return the forecasts of all products, and the reason and message of each product that has none."""
    found: list[T] = []
    unavailable: dict[str, Header] = {}
    for product in products:
        try:
            found += price(product)
        except Exception as error:  # any error, also a defect, concerns only this accelerator
            entry = error_fields(error)
            unavailable[product] = {"reason": entry["reason"], "message": entry["message"]}
    return found, unavailable


def accelerator_of(product: str, runtime: str, overrides: Sequence[Header]) -> AcceleratorProfile:
    """Return the cluster's own profile of the product, else the shipped one."""
    wanted = normalise_product(product)
    for override in overrides:
        if normalise_product(override["product"]) == wanted and override["runtime"] == runtime:
            return replace(AcceleratorProfile.from_json(override["document"]), product=wanted)
    return catalogue.find(product, runtime)


def finite(numbers: Mapping[str, float], product: str) -> None:
    """Raise NotCalibratedError (NotFinite) for negative or infinite numbers.

    A status cannot hold infinite numbers, so that it would be written again and again.
    """
    wrong = next((name for name, number in numbers.items() if not 0 <= number < math.inf), None)
    if wrong is not None:
        raise NotCalibratedError(
            f"the profile of {product} gives a {wrong.replace('_', ' ')} of {numbers[wrong]:g} for this model, which is"
            " impossible: correct the profile",
            reason="NotFinite",
        )


def finite_batch(estimate: EnergyEstimate) -> EnergyEstimate:
    """Return the forecast. Raises NotCalibratedError (NotFinite)."""
    names = ("joules_per_batch_lower", "joules_per_batch", "joules_per_batch_upper", "latency_seconds")
    finite({name: getattr(estimate, name) for name in names}, estimate.accelerator)
    return estimate


def answer(
    header: Header,
    estimates: Sequence[R],
    unavailable: Mapping[str, Header],
    counted: Totals,
    *,
    result: Callable[[R], Header],
    layers: Callable[[R], list[Header]],
) -> Header:
    """Return what a job answers: a result of each forecast, with the layers that need most of it and the reasons of its
    interval, and more layers of the first one.

    ``header``: that of the job, whose caps each result repeats; with ``dearest_first`` the accelerator that needs most
    energy comes first. ``counted``: the model's size. Two forecasts for the same accelerator and batch size, which two
    labels may name, are one result.
    """
    results: dict[tuple[Any, Any], Header] = {}
    priced = [(result(each) | _caps(header), layers(each), each.reasons) for each in estimates]
    if header.get("dearest_first"):
        energies = _energies(row for row, _, _ in priced)
        priced.sort(key=lambda found: -energies[found[0]["accelerator"]])
    for row, most, reasons in priced:
        results.setdefault((row["accelerator"], row.get("batchSize")), row | _why(most, reasons))
    return {
        "results": list(results.values()),
        "top_layers": priced[0][1] if priced else [],
        "unavailable": dict(unavailable),
        "totals": {name: getattr(counted, name) for name in ("macs", "params", "activations", "bytes_moved")},
    }


def _why(layers: Sequence[Header], reasons: Iterable[str]) -> Header:
    """Return what a result says about itself: which of its ``layers`` need most, and the reasons of its interval."""
    most = [{"name": each["name"], "share": each["share"]} for each in layers[:MAXIMUM_RESULT_LAYERS]]
    return {"topLayers": most, "intervalReasons": [bounds.clause(each) for each in reasons][:MAXIMUM_REASONS]}


def _energies(rows: Iterable[Header]) -> dict[str, float]:
    """Return the energy of the first result of each accelerator, in joules per batch or request."""
    found: dict[str, float] = {}
    for row in rows:
        found.setdefault(row["accelerator"], float(row.get("joulesPerBatch") or row.get("joulesPerRequest") or 0.0))
    return found


def with_idle_power(found: Header, header: Header) -> Header:
    """Return an answer whose results tell the power of their accelerators while the model waits for work."""
    for row in found["results"]:
        accelerator = accelerator_of(row["accelerator"], graph_runtime(row["runtime"]), header["overrides"])
        idle = row.get("parallel", 1) * gap_watts(accelerator, header["clock_mhz"])
        row["idlePowerWatts"] = six_digits(idle)
    return found


def batch_result(estimate: EnergyEstimate) -> Header:
    """Return a forecast of one pass as a result of a status."""
    fields = documents.result_fields(estimate)
    found = {camel(name): fields[name] for name in _BATCH_FIELDS}
    return found | {"coverage": six_digits(estimate.coverage.flops)}


def batch_layers(estimate: EnergyEstimate) -> list[Header]:
    """Return the layers that need most energy in one pass."""
    return top_layers(estimate.layers, estimate.joules_per_batch)


def _caps(header: Header) -> Header:
    """Return the caps of a job's accelerators, as fields of a result; {} where they run as they come."""
    caps = {"powerLimitWatts": header["power_limit_watts"], CLOCK_FIELD: header["clock_mhz"]}
    return {name: value for name, value in caps.items() if value is not None}


def unsupported(profile: ModelProfile) -> list[str]:
    """Return the operators of a model that have no rule."""
    return [bounds.name(each) for each in profile.coverage.unsupported[: bounds.LISTED]]


def top_layers(layers: Iterable[LayerEnergy], total_joules: float) -> list[Header]:
    """Return the layers that need most of ``total_joules``, in descending order."""
    ranked = sorted(layers, key=lambda layer: layer.joules, reverse=True)[:MAXIMUM_TOP_LAYERS]
    return [_top_layer(layer, total_joules) for layer in ranked if layer.joules > 0]


def six_digits(value: float) -> float:
    """Round to six significant digits."""
    return float(f"{value:.6g}")


def _top_layer(layer: LayerEnergy, total_joules: float) -> Header:
    share = layer.joules / total_joules if total_joules else 0.0
    return {
        "name": bounds.name(layer.name),
        "opType": bounds.name(layer.op_type),
        "joules": six_digits(layer.joules),
        "share": six_digits(share),
    }
