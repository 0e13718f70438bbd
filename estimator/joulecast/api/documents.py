"""The JSON contract: profiles and forecasts as plain documents, and profiles back from them.

A document is a dict of JSON values with a ``kind`` and a ``schema_version``; ``schema`` gives each kind's JSON Schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from importlib.resources import files
from typing import Any, TypeVar, cast, get_args

from joulecast.energy.model import EnergyEstimate, LayerEnergy
from joulecast.errors import JoulecastError, ModelFormatError
from joulecast.graph import ITEMSIZE_BYTES
from joulecast.layers import (
    ENGINE_DOMAIN,
    Contraction,
    Coverage,
    LayerKind,
    LayerProfile,
    ModelProfile,
    Totals,
    Workload,
)
from joulecast.units import round_significant

SCHEMA_VERSION = 2
"""Raised when a field is renamed, removed or changes meaning; a new field alone does not raise it."""

KINDS = ("profile", "estimate", "plan", "split", "accelerators", "evaluation", "suite")
"""The kinds that have a schema."""

_DIGITS = 6  # significant digits of a figure in a document: far finer than any interval, coarse enough to compare texts

Document = dict[str, Any]
_T = TypeVar("_T")


def schema(kind: str) -> Document:
    """Return the JSON Schema (draft 2020-12) of documents of ``kind``."""
    return cast("Document", json.loads(files("joulecast").joinpath("schemas", f"{kind}.json").read_text("utf-8")))


def header(kind: str) -> Document:
    """Return the fields that every document starts with."""
    return {"kind": kind, "schema_version": SCHEMA_VERSION}


def profile_document(profile: ModelProfile) -> Document:
    """Return ``profile`` as a document of kind ``profile``. ``profile_from_document`` returns an equal profile."""
    return {
        **header("profile"),
        **_identity(profile),
        "workload": _workload(profile.workload),
        "input_shapes": _shapes(profile.input_shapes),
        "totals": _plain(profile.totals),
        "coverage": _plain(profile.coverage),
        "layers": [_plain(layer) for layer in profile.layers],
    }


def estimate_document(
    estimates: Sequence[EnergyEstimate],
    *,
    model: ModelProfile | None = None,
    unavailable: Mapping[str, JoulecastError] | None = None,
    with_layers: bool = True,
) -> Document:
    """Return the forecasts of one model as a document of kind ``estimate``, in the order given.

    - ``model``: a profile of it, whose identity and workload (batch size aside) are included.
    - ``unavailable``: requested accelerators that cannot be priced, with the error of each.
    - ``with_layers``: add the rows of ``layers``, which name their forecast by position in ``results``.
    """
    return {
        **header("estimate"),
        "model": None if model is None else model_document(model),
        "results": [_result(estimate) for estimate in estimates],
        "unavailable": [problem(name, error) for name, error in (unavailable or {}).items()],
        "layers": _layer_rows(estimates) if with_layers else [],
    }


def model_document(profile: ModelProfile) -> Document:
    """Return which model was profiled, and its workload without the batch size."""
    return _identity(profile) | {"workload": _workload_without_batch(profile.workload)}


def profile_from_document(document: Mapping[str, Any]) -> ModelProfile:
    """Return the profile that ``profile_document`` wrote. Raises ModelFormatError for any other document."""
    if document.get("kind") != "profile" or document.get("schema_version") != SCHEMA_VERSION:
        raise ModelFormatError(
            f"a document of kind {document.get('kind')!r}, schema version {document.get('schema_version')!r},"
            f" is not a profile of version {SCHEMA_VERSION}: make one with `joulecast profile MODEL -o json`"
        )
    try:
        return _profile(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFormatError(
            f"the profile document is damaged ({type(error).__name__}: {error}):"
            " make it again with `joulecast profile MODEL -o json`"
        ) from error


def result_fields(estimate: EnergyEstimate) -> Document:
    """Return the figures of one forecast, rounded, without its coverage and reasons."""
    joules = estimate.joules_per_batch
    return {
        "accelerator": estimate.accelerator,
        "runtime": estimate.runtime,
        "precision": estimate.precision,
        "batch_size": estimate.batch_size,
        "parallel": estimate.parallel,
        "joules_per_batch": rounded(joules),
        "joules_per_batch_lower": rounded(estimate.joules_per_batch_lower),
        "joules_per_batch_upper": rounded(estimate.joules_per_batch_upper),
        "joules_per_inference": rounded(joules / estimate.batch_size),
        "latency_seconds": rounded(estimate.latency_seconds),
        "average_power_watts": rounded(estimate.average_power_watts),
        "gap_joules": rounded(estimate.gap_joules),
        "origin": estimate.origin,
        "interval_level": estimate.interval_level,
        "interval_guaranteed": estimate.interval_guaranteed,
    }


def result_row(estimate: EnergyEstimate) -> Document:
    """Return one forecast as a flat row: its figures and the shares that were priced."""
    coverage = estimate.coverage
    return result_fields(estimate) | {"coverage_flops": rounded(coverage.flops), "coverage_ops": rounded(coverage.ops)}


def layer_fields(layer: LayerEnergy) -> Document:
    """Return one priced row with rounded figures."""
    return {
        "name": layer.name,
        "op_type": layer.op_type,
        "scope": layer.scope,
        "joules": rounded(layer.joules),
        "seconds": rounded(layer.seconds),
        "static_joules": rounded(layer.static_joules),
        "compute_joules": rounded(layer.compute_joules),
        "memory_joules": rounded(layer.memory_joules),
        "origin": layer.origin,
        "priced": layer.priced,
    }


def _identity(profile: ModelProfile) -> Document:
    names = ("source", "digest", "format", "verification", "bytes_fetched", "graph", "phase")
    return {name: getattr(profile, name) for name in names}


def _workload(workload: Workload) -> Document:
    return {"batch_size": workload.batch_size, **_workload_without_batch(workload)}


def _workload_without_batch(workload: Workload) -> Document:
    return {"input_shapes": _shapes(workload.input_shapes), "input_values": _json(workload.input_values)}


def _shapes(shapes: Mapping[str, tuple[int, ...]]) -> Document:
    return {name: list(shape) for name, shape in shapes.items()}


def _result(estimate: EnergyEstimate) -> Document:
    return result_fields(estimate) | {"coverage": _plain(estimate.coverage), "reasons": list(estimate.reasons)}


def problem(accelerator: str, error: JoulecastError) -> Document:
    """Return the reason why ``accelerator`` could not be priced."""
    return {"accelerator": accelerator, "reason": error.reason, "message": str(error)}


def _layer_rows(estimates: Sequence[EnergyEstimate]) -> list[Document]:
    return [
        {"result": position} | layer_fields(layer)
        for position, estimate in enumerate(estimates)
        for layer in estimate.layers
    ]


def rounded(value: float) -> float:
    """Round ``value`` to the six significant digits that documents hold."""
    return round_significant(float(value), _DIGITS)


def _plain(value: Any) -> Document:
    """Return the fields of a dataclass as JSON values."""
    return {field.name: _json(getattr(value, field.name)) for field in fields(value)}


def _json(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if hasattr(value, "tolist"):  # an array given from Python as an input's value
        return value.tolist()
    return _plain(value)


def _profile(document: Mapping[str, Any]) -> ModelProfile:
    _check(ModelProfile, document)
    return ModelProfile(
        **{
            name: document[name]
            for name in ("source", "digest", "format", "graph", "phase", "verification", "bytes_fetched")
        },
        workload=_workload_from(document["workload"]),
        input_shapes=_shapes_from(document["input_shapes"]),
        totals=_read(Totals, document["totals"]),
        coverage=_read(Coverage, document["coverage"]),
        layers=tuple(_layer(row) for row in document["layers"]),
    )


def _workload_from(document: Mapping[str, Any]) -> Workload:
    _check(Workload, document)
    if document["batch_size"] < 1:
        raise ValueError(f"batch_size is {document['batch_size']}")
    return Workload(
        batch_size=document["batch_size"],
        input_shapes=_shapes_from(document["input_shapes"]),
        input_values=dict(document["input_values"]),
    )


def _shapes_from(document: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in document.items()}


def _shape_list(shapes: Any) -> tuple[Any, ...]:
    return tuple(None if shape is None else tuple(shape) for shape in shapes)


_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "kernels": dict,
    "unsupported": tuple,
    "upper_bounds": tuple,
    "contractions": lambda rows: tuple(_read(Contraction, row) for row in rows),
    "input_shapes": _shape_list,
    "output_shapes": _shape_list,
}
"""Fields whose JSON value is not the value itself, by name."""


_SHOWN_CHARACTERS = 60  # of a wrong value in a message: a line's worth

_LARGEST_COUNT = 10**24
"""Beyond the FLOPs of a 10¹⁵ FLOP/s machine in thirty years; keeps every figure finite as a float."""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_COUNT


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1  # NaN is neither


def _is_shape(value: Any) -> bool:
    return value is None or (isinstance(value, list | tuple) and all(map(_is_count, value)))


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "int": _is_count,
    "int | None": lambda value: value is None or _is_count(value),
    "float": _is_share,
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "str | None": lambda value: value is None or isinstance(value, str),
    "LayerKind": get_args(LayerKind).__contains__,
    "Mapping[str, int]": lambda value: isinstance(value, Mapping) and all(map(_is_count, value.values())),
    "Mapping[str, Shape]": lambda value: isinstance(value, Mapping) and all(map(_is_shape, value.values())),
    "tuple[Shape, ...]": lambda value: isinstance(value, list | tuple) and all(map(_is_shape, value)),
}
"""What a field annotated so may hold in a document. The only floats of a profile are shares."""


def _layer(document: Mapping[str, Any]) -> LayerProfile:
    layer = _read(LayerProfile, document)
    executed = sum(contraction.macs for contraction in layer.contractions)
    if layer.macs != executed and not (layer.domain == ENGINE_DOMAIN and layer.macs > executed):
        raise ValueError(f"macs of {layer.name!r} is {layer.macs}, not the sum of its contractions")
    if layer.dtype not in ITEMSIZE_BYTES:
        raise ValueError(f"dtype of {layer.name!r} is {layer.dtype!r}")
    return layer


def _read(cls: Callable[..., _T], document: Mapping[str, Any]) -> _T:
    """Build a dataclass from its fields.

    Raises TypeError for unknown or wrongly typed fields; those with a default may lack.
    """
    _check(cls, document)
    return cls(**{name: _DECODERS[name](value) if name in _DECODERS else value for name, value in document.items()})


def _check(cls: Any, document: Mapping[str, Any]) -> None:
    """Raise TypeError for a field that holds what its type cannot."""
    for field in fields(cls):
        fits = _FITS.get(str(field.type))
        if fits and field.name in document and not fits(document[field.name]):
            raise TypeError(f"{field.name} is {str(document[field.name])[:_SHOWN_CHARACTERS]}")
