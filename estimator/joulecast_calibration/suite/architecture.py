"""An architecture of the suite, the fixed inputs that it is measured with, and its counts at each batch size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BATCH_SIZES = (1, 32, 128)
"""Batch sizes of published layer-wise energy studies (WattLayer, arXiv 2606.27841)."""

LONG_SECONDS = 0.5
"""Layers and passes that are predicted to take longer are measured last, as each costs the time of many others."""

MEMORY_BYTES = 70e9
"""Most memory of a network: an 80 GB accelerator less its context, the allocator's overhead and a margin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionCost:
    """What one execution of a layer or a forward pass costs, by count and by forecast.

    - ``rows``: executed rows, those with a kernel; the figures are sums over them.
    - ``kernels``, ``views``: in eager mode.
    - ``fits``: whether its memory is below ``MEMORY_BYTES``.
    - ``predicted_seconds``, ``predicted_joules``: a forecast, for order and budget alone.
    """

    digest: str
    rows: int
    macs: int
    params: int
    activations: int
    input_numel: int
    bytes_moved: int
    kernels: int
    views: int
    fits: bool
    predicted_seconds: float
    predicted_joules: float

    @property
    def long(self) -> bool:
        """Return whether it is measured last."""
        return self.predicted_seconds > LONG_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(ExecutionCost):
    """One forward pass.

    - ``digest``: of its graph.
    - ``module_calls``: modules entered.
    - ``peak_bytes``: all parameters and buffers, and the largest set of activations alive at once, estimated from the
      trace. It fits with a margin.
    """

    batch_size: int
    module_calls: int
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteNetwork:
    """One architecture with one fixed input.

    - ``name``: its named source.
    - ``task``: vision, nlp or audio.
    - ``family``: lineage across libraries.
    - ``zero_shot``: whether it never contributes a layer to the sample.
    - ``sequence_length``: tokens; None where the architecture has its own.
    - ``seconds``: of audio; None where the architecture has its own.
    - ``batches``: by rising size.
    """

    name: str
    task: str
    family: str
    zero_shot: bool
    sequence_length: int | None
    seconds: float | None
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """An architecture with all its inputs.

    - ``digest``: of the graph at batch size 1 with the first of its ``workloads``; equal for equal graphs, whatever
      their names.
    - ``params``: trainable elements.
    """

    name: str
    task: str
    family: str
    zero_shot: bool
    digest: str
    params: int
    workloads: tuple[SuiteNetwork, ...]

    @property
    def batches(self) -> Iterator[Batch]:
        """Yield every forward pass of it in the suite."""
        return (batch for workload in self.workloads for batch in workload.batches)

    @property
    def executed_layers(self) -> int:
        """Count the rows with a kernel, over all forward passes."""
        return sum(batch.rows for batch in self.batches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """What could not be traced, and why."""

    name: str
    task: str
    family: str
    reason: str


_SHARED = ("name", "task", "family", "zero_shot")


def architecture_from_json(document: Mapping[str, Any]) -> Architecture:
    """Return the architecture of an index's entry, whose workloads do not repeat what they share."""
    shared = {name: document[name] for name in _SHARED}
    workloads = tuple(_network(shared, entry) for entry in document["workloads"])
    return Architecture(**shared, digest=document["digest"], params=document["params"], workloads=workloads)


def _network(shared: Mapping[str, Any], entry: Mapping[str, Any]) -> SuiteNetwork:
    return SuiteNetwork(**{**shared, **entry, "batches": tuple(Batch(**batch) for batch in entry["batches"])})
