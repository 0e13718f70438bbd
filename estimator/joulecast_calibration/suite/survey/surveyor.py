"""Trace one architecture at all its inputs and batch sizes, as a worker of a rebuild."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from joulecast.accelerators.catalogue import find
from joulecast.canonical import canonicalise
from joulecast.counting import count, coverage, totals
from joulecast.energy.pricing import price
from joulecast.errors import JoulecastError
from joulecast.layers import LayerProfile, ModelProfile, Workload
from joulecast.readers.module import graph_digest, graph_of, trace
from joulecast.readers.module.calls import Trace
from joulecast.readers.named import Entry
from joulecast.readers.named.building import build
from joulecast.readers.named.tensors import specs, tensors
from joulecast_calibration.rows.counted import contents_of, launched_rows
from joulecast_calibration.suite.architecture import BATCH_SIZES, MEMORY_BYTES, Batch
from joulecast_calibration.suite.configuration import ACCELERATOR, RUNTIME, described, rounded
from joulecast_calibration.suite.memory import MARGIN, peak_bytes

if TYPE_CHECKING:
    from torch import nn


@dataclass(slots=True)
class Surveyor:
    """Traces architectures.

    - ``calls``: what is known of every configuration, by digest, kept from one architecture to the next.
    """

    calls: dict[str, dict[str, Any]] = field(default_factory=dict)

    def survey(self, entry: Entry) -> dict[str, Any]:
        """Return everything that the index needs of ``entry``, as JSON values.

        These are its ``workloads``, each with ``batches`` (the fields of ``Batch``, and ``calls``: how often each
        configuration runs), and ``layers``, the configurations by digest. Raises what reading a module raises.
        """
        module = build(entry.recorded).module
        inputs = product(entry.sequence_lengths or (None,), entry.seconds or (None,))
        workloads = [self._workload(entry, module, length, seconds) for length, seconds in inputs]
        used = {digest for workload in workloads for batch in workload["batches"] for digest in batch["calls"]}
        first = workloads[0]["batches"][0]
        return {
            "name": entry.recorded,
            "task": entry.task,
            "family": entry.family,
            "zero_shot": entry.zero_shot,
            "digest": first["digest"],
            "params": first["params"],
            "workloads": workloads,
            "layers": {digest: self.calls[digest] for digest in sorted(used)},
        }

    def _workload(
        self, entry: Entry, module: nn.Module, sequence_length: int | None, seconds: float | None
    ) -> dict[str, Any]:
        traces = [
            _traced(entry, module, batch_size=batch_size, sequence_length=sequence_length, seconds=seconds)
            for batch_size in BATCH_SIZES
        ]
        batches = [self._batch(entry, size, traced) for size, traced in zip(BATCH_SIZES, traces, strict=True)]
        return {"sequence_length": sequence_length, "seconds": seconds, "batches": batches}

    def _batch(self, entry: Entry, batch_size: int, traced: Trace) -> dict[str, Any]:
        digests = [call.digest for call in traced.calls]
        for digest, call in zip(digests, traced.calls, strict=True):
            if digest not in self.calls:
                self.calls[digest] = described(call)
        kernels = [self.calls[digest]["kernels"] for digest in digests]
        ran = Counter(digest for digest, launched in zip(digests, kernels, strict=True) if launched)
        known_to_fit = entry.largest_batch is None or batch_size <= entry.largest_batch
        batch, of_rows = _counted(traced, batch_size, kernels, known_to_fit=known_to_fit)
        return asdict(batch) | {"calls": dict(sorted(ran.items()))} | of_rows


def _traced(entry: Entry, module: nn.Module, **workload: Any) -> Trace:
    """Trace a forward pass of ``module``, which is ``entry`` as built, on inputs of zeros."""
    fed = tensors(specs(entry, **workload, dtype="float32", vocabulary=1), device="cpu", drawn=False)
    args, kwargs = (tuple(fed.values()), {}) if entry.positional else ((), fed)
    return trace(module, args, kwargs, name=entry.recorded)


def _counted(
    traced: Trace, batch_size: int, kernels: Sequence[int], *, known_to_fit: bool
) -> tuple[Batch, dict[str, Any]]:
    """Return a pass's sums, how often each op type without a rule occurs, and the ``contents``, its rows."""
    layers = count(canonicalise(graph_of(traced), eager=True))
    sums = totals(layers)
    peak = peak_bytes(traced, [launched > 0 for launched in kernels])
    seconds, joules = _predicted(traced.name, batch_size, layers)
    batch = Batch(
        batch_size=batch_size,
        digest=graph_digest(traced),
        rows=len(launched_rows(layers)),
        macs=sums.macs,
        params=sums.params,
        activations=sums.activations,
        input_numel=sums.input_numel,
        bytes_moved=sums.bytes_moved,
        kernels=sums.kernels[RUNTIME],
        views=sum(layer.views for layer in layers),
        module_calls=traced.module_calls,
        peak_bytes=peak,
        fits=known_to_fit and peak * MARGIN <= MEMORY_BYTES,
        predicted_seconds=seconds,
        predicted_joules=joules,
    )
    unsupported = Counter(f"{row.domain}:{row.op_type}" for row in layers if row.kind == "unsupported")
    return batch, {"unsupported": unsupported, "contents": contents_of(layers)}


def _predicted(name: str, batch_size: int, layers: tuple[LayerProfile, ...]) -> tuple[float, float]:
    profile = ModelProfile(
        source=name,
        digest="",
        format="torch-module",
        workload=Workload(batch_size=batch_size),
        layers=layers,
        totals=totals(layers),
        coverage=coverage(layers),
    )
    forecast = price(profile, find(ACCELERATOR), runtime=RUNTIME)
    return rounded(forecast.latency_seconds), rounded(forecast.joules_per_batch)


def failure(entry: Entry, error: Exception) -> dict[str, Any]:
    """Return what the index keeps of an architecture that cannot be traced."""
    told = " ".join(str(error).split())[:300]  # a framework's traceback in a message is of no use to a reader
    reason = told if isinstance(error, JoulecastError) else f"{type(error).__name__}: {told}"
    return {"name": entry.recorded, "task": entry.task, "family": entry.family, "reason": reason}
