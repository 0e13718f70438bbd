"""The language models of the sets, as their published configurations state them. ``configurations.json`` is the table.

``stored`` has the quantisation by the word that the rows use; the published files of each model say what it leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from joulecast.api.language_models import in_cache_precision
from joulecast.errors import MeasurementError
from joulecast.readers import huggingface
from joulecast.serving.passes import decode
from joulecast.serving.rows import rows
from joulecast.workloads import DEFAULT_PRECISION

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel


_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedModel:
    """``lineage``: models of one lineage share weights' shapes or makers, and are left out together."""

    name: str
    lineage: str
    config: Mapping[str, Any]
    stored: Mapping[str, Mapping[str, Any] | None]

    @property
    def has_experts(self) -> bool:
        return any(key in self.config for key in _EXPERTS)

    def stored_as(self, mode: str, cache_precision: str = DEFAULT_PRECISION) -> LanguageModel:
        """Return the model with weights stored by ``mode``, and keys and values in ``cache_precision``.

        Equal arguments give the same object. Raises MeasurementError for a mode that is not published.
        """
        return _read(self.name, mode, cache_precision)


@cache
def published() -> Mapping[str, PublishedModel]:
    """Return every model of the table by its name."""
    text = files("joulecast_calibration.evaluate.serving").joinpath("configurations.json").read_text("utf-8")
    return {name: PublishedModel(name=name, **entry) for name, entry in json.loads(text).items()}


@cache
def parameters_read(name: str, mode: str) -> int:
    """Return the active parameters of a model: those that one token is multiplied with."""
    model = published()[name].stored_as(mode)
    return sum(each.macs for each in rows(model, decode(1, 1)))


@cache
def _read(name: str, mode: str, cache_precision: str) -> LanguageModel:
    own = published()[name]
    if mode not in own.stored:
        known = ", ".join(map(repr, own.stored))
        raise MeasurementError(f"{name} is not published with weights {mode!r}: known are {known}")
    quantised = own.stored[mode]
    model = huggingface.read({**own.config, **({"quantization_config": quantised} if quantised else {})})
    return in_cache_precision(model, cache_precision)
