"""Build a load of one pass of a decoder as it generates; its random weights stay on the device for all its passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.loads.capture import graph_load
from joulecast_calibration.measure.loads.counts import network_counts
from joulecast_calibration.measure.loads.devices import Device, described_errors
from joulecast_calibration.measure.loads.health import observed_inputs
from joulecast_calibration.measure.loads.precision import arithmetic, half_of
from joulecast_calibration.measure.loads.prepared import Prepared
from joulecast_calibration.measure.loads.streams import ClosableLoad, eager_load
from joulecast_calibration.measure.loads.weights import fill
from joulecast_calibration.suite.decoders import Phase
from joulecast_calibration.suite.decoding import CachedPass, build_decoder

_LOADS: Mapping[str, Callable[[partial[Any], torch.device], ClosableLoad]] = {
    "torch-eager": eager_load,
    "torch-cudagraph": lambda run, device: graph_load([run], device),
}


@contextmanager
def prepared_decoder(
    name: str, config: Mapping[str, Any], *, device: Device, precision: str, seed: int = 0
) -> Iterator[PreparedDecoder]:
    """Build the decoder of ``config`` on the device, with weights drawn there from ``seed``.

    Raises MeasurementError (OutOfMemory, ExecutionFailed, DeviceLost).
    """
    with arithmetic(precision):
        with described_errors(device, name):
            decoder = PreparedDecoder(name, config, device, precision, seed)
        try:
            yield decoder
        finally:
            decoder.close()


class PreparedDecoder:
    """One built decoder. ``load`` may be called again and again, one load at a time."""

    def __init__(self, name: str, config: Mapping[str, Any], device: Device, precision: str, seed: int) -> None:
        self.precision = precision
        self._name, self._device, self._seed = name, device, seed
        dtype = half_of(precision) or torch.float32
        self._module: nn.Module | None = build_decoder(config, dtype=dtype, device=str(device.torch))
        fill(self._module, self._generator())

    def close(self) -> None:
        """Free the decoder's memory."""
        self._module = None
        self._device.release()

    @contextmanager
    def load(self, *, phase: Phase, batch_size: int, context_tokens: int, runtime: str) -> Iterator[Prepared]:
        """Build and run a load of one pass, with the columns of its row; the memory of its cache is freed at the end.

        Raises MeasurementError (OutOfMemory, CaptureFailed, RuntimeUnavailable, ExecutionFailed, DeviceLost).
        """
        if self._module is None:
            raise MeasurementError("the decoder is closed: prepare it again before loading it")
        if runtime not in _LOADS:
            raise MeasurementError(
                f"a pass of {self._name} runs as {' or '.join(_LOADS)}, not as {runtime}", reason="RuntimeUnavailable"
            )
        what = f"{phase} of {batch_size} × {context_tokens} tokens by {self._name} in {runtime}"
        known: dict[str, Any] = {"phase": phase, "context_tokens": context_tokens, "batch_size": batch_size}
        try:
            with (
                described_errors(self._device, what),
                self._loaded(CachedPass(self._module, **known), runtime) as prepared,
            ):
                columns = {**prepared.columns, **known, "runtime": runtime, "precision": self.precision}
                yield replace(prepared, columns=columns)
        finally:
            self._device.release()

    @contextmanager
    def _loaded(self, own: CachedPass, runtime: str) -> Iterator[Prepared]:
        """Fill the cache, count and run ``own`` once, and yield its load."""
        self._device.reset_peak()
        generator = self._generator()
        own.fill_cache(generator)
        fed = own.inputs(generator)
        health = _health(own, fed)
        counts = network_counts(own, (), fed, name=self._name)
        load = _LOADS[runtime](partial(own, **fed), self._device.torch)
        try:
            load.enqueue(load.multiple)
            load.drain()
            measured = {"fused_attention": False, "peak_memory_bytes": self._device.peak_bytes()}
            yield Prepared(load=load, columns={**counts.columns, **health, **measured}, graph=counts.graph)
        finally:
            load.close()

    def _generator(self) -> torch.Generator:
        return torch.Generator(self._device.torch).manual_seed(self._seed)


@torch.inference_mode()
def _health(own: CachedPass, fed: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    with observed_inputs(own) as observer:
        return observer.health(own(**fed)).row()
