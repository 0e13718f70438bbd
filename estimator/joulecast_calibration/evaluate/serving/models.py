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

from joulecast.errors import MeasurementError
from joulecast.readers import huggingface

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedModel:
    """``lineage``: models of one lineage share weights' shapes or makers, and are left out together."""

    name: str
    lineage: str
    config: Mapping[str, Any]
    stored: Mapping[str, Mapping[str, Any] | None]

    def stored_as(self, mode: str) -> LanguageModel:
        """Return the model with weights stored by ``mode``.

        Raises MeasurementError for a mode that is not published.
        """
        if mode not in self.stored:
            known = ", ".join(map(repr, self.stored))
            raise MeasurementError(f"{self.name} is not published with weights {mode!r}: known are {known}")
        quantised = self.stored[mode]
        return huggingface.read({**self.config, **({"quantization_config": quantised} if quantised else {})})


@cache
def published() -> Mapping[str, PublishedModel]:
    """Return every model of the table by its name."""
    text = files("joulecast_calibration.evaluate.serving").joinpath("configurations.json").read_text("utf-8")
    return {name: PublishedModel(name=name, **entry) for name, entry in json.loads(text).items()}
