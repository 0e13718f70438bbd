"""A distinct configuration of a layer: the call that runs it, what it costs by count, and where it occurs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joulecast.readers.module.calls import Call, call_from_json
from joulecast_calibration.suite.architecture import ExecutionCost


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteLayer(ExecutionCost):
    """A distinct configuration of a layer.

    - ``digest``: of the call.
    - ``op_type``, ``dtype``: of the row that moves most bytes; nearly all layers have one row.
    - ``multiplicity``: executions in the whole suite.
    - ``families``: lineages of the networks that have it.
    - ``zero_shot``: whether a network that must stay unseen has it, or its equal in every count.
    - ``fits``: whether one set of its buffers fits.
    - ``document``: the call as JSON.
    """

    op_type: str
    dtype: str
    multiplicity: int
    families: tuple[str, ...]
    zero_shot: bool
    document: Mapping[str, Any]

    @property
    def call(self) -> Call:
        """Return the call to run."""
        return call_from_json(self.document)


def layer_from_json(document: Mapping[str, Any]) -> SuiteLayer:
    """Return the layer of an index's entry."""
    return SuiteLayer(**{**document, "families": tuple(document["families"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Additivity:
    """A network whose layers are all measured, to check whether their sum equals the whole.

    - ``layers``: each distinct configuration with a kernel, and how often the network runs it.
    """

    name: str
    batch_size: int
    sequence_length: int | None
    seconds: float | None
    layers: tuple[tuple[SuiteLayer, int], ...]
