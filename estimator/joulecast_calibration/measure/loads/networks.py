"""Build a load of a whole network with realistic weights, which stay on the device for all its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn

from joulecast.errors import MeasurementError
from joulecast.readers.named import Built, InputSpec
from joulecast_calibration.measure.loads.capture import graph_load
from joulecast_calibration.measure.loads.counts import network_counts
from joulecast_calibration.measure.loads.devices import Device, described_errors
from joulecast_calibration.measure.loads.health import observed_inputs
from joulecast_calibration.measure.loads.precision import HALVES, arithmetic, half_of
from joulecast_calibration.measure.loads.prepared import Prepared
from joulecast_calibration.measure.loads.streams import ClosableLoad, eager_load
from joulecast_calibration.measure.loads.weights import calibrated_statistics, fill
from joulecast_calibration.measure.plan.configuration import RUNTIMES


@contextmanager
def prepared_network(
    built: Built, *, device: Device, precision: str = "default", seed: int = 0
) -> Iterator[PreparedNetwork]:
    """Prepare the network on the device, with weights drawn from ``seed``; torch uses ``precision`` inside the block.

    For bf16 and fp16 it must have been built in that dtype (``precision.built_dtype``). Raises MeasurementError
    (OutOfMemory, ExecutionFailed, DeviceLost).
    """
    with arithmetic(precision):
        with described_errors(device, built.name):
            network = PreparedNetwork(built, device, precision, seed)
        try:
            yield network
        finally:
            network.close()


class PreparedNetwork:
    """One built network. ``load`` may be called again and again, one load at a time."""

    def __init__(self, built: Built, device: Device, precision: str, seed: int) -> None:
        self.precision = precision
        self._built: Built | None = built
        self._device, self._seed = device, seed
        _check_dtype(built, half_of(precision))
        self._module: nn.Module = built.module.eval().requires_grad_(False).to(device.torch)
        fill(self._module, torch.Generator(device.torch).manual_seed(seed))
        self._calibrated = not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in self._module.modules())

    def close(self) -> None:
        """Free the network's memory."""
        self._built, self._module = None, nn.Identity()
        self._device.release()

    @contextmanager
    def load(self, *, batch_size: int, runtime: str = "torch-eager") -> Iterator[Prepared]:
        """Build and run a load, with the columns of its row. The same seed gives the same inputs.

        Raises MeasurementError (OutOfMemory, CaptureFailed, RuntimeUnavailable, ExecutionFailed, DeviceLost).
        """
        if self._built is None:
            raise MeasurementError("the network is closed: prepare it again before loading it")
        if runtime not in RUNTIMES:
            raise MeasurementError(f"unknown runtime {runtime!r}: choose from {', '.join(RUNTIMES)}")
        with described_errors(self._device, f"{self._built.name} at batch size {batch_size} in {runtime}"):
            generator = torch.Generator(self._device.torch).manual_seed(self._seed)
            args, kwargs = inputs_of(self._built, batch_size, self._device.torch, generator)
            health = self._health(args, kwargs)  # it runs: a first pass may fill caches
            counts = network_counts(self._module, args, kwargs, name=self._built.name)
            columns = {**counts.columns, **health, "batch_size": batch_size, "runtime": runtime}
            self._device.reset_peak()
            load, fused = self._load(runtime, args, kwargs)
            columns |= {"precision": self.precision, "fused_attention": fused}
            del args, kwargs
            try:
                columns |= {"peak_memory_bytes": self._device.peak_bytes()}
                yield Prepared(load=load, columns=columns, graph=counts.graph)
            finally:
                load.close()
                if runtime == "torch-compile":
                    torch.compiler.reset()  # its caches hold the module

    @torch.inference_mode()
    def _health(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        if not self._calibrated:
            with calibrated_statistics(self._module):
                self._module(*args, **kwargs)
            self._calibrated = True
        with observed_inputs(self._module) as observer:
            return observer.health(self._module(*args, **kwargs)).row()

    def _load(self, runtime: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[ClosableLoad, bool | None]:
        """Run the network once and return its load, and whether torch fused attention.

        None in place of the latter where another runtime executes the network.
        """
        run = partial(self._module, *args, **kwargs)
        with fused_calls() if runtime in _OF_TORCH else nullcontext() as fused:
            load = _LOADS[runtime](run, self._device)
            load.enqueue(load.multiple)
        load.drain()
        return load, None if fused is None else bool(fused)


def _check_dtype(built: Built, half: torch.dtype | None) -> None:
    held = {parameter.dtype for parameter in built.module.parameters()}
    halves = held & set(HALVES.values())
    if halves != ({half} if half else set()):
        wanted = str(half or torch.float32).removeprefix("torch.")
        raise MeasurementError(f"{built.name} was built in another dtype: build it with dtype={wanted!r}")


def _compiled(run: partial[Any], device: Device) -> ClosableLoad:
    """Compile with Inductor's defaults, for exactly these shapes."""
    compiled = torch.compile(run.func, dynamic=False)
    return eager_load(partial(compiled, *run.args, **run.keywords), device.torch)


def _exported(run: partial[Any], device: Device) -> ClosableLoad:
    from joulecast_calibration.measure.loads.exported import session_load

    assert isinstance(run.func, nn.Module)  # noqa: S101
    return session_load(run.func, run.args, run.keywords, device.torch)


_LOADS: Mapping[str, Callable[[Any, Device], ClosableLoad]] = {
    "torch-eager": lambda run, device: eager_load(run, device.torch),
    "torch-cudagraph": lambda run, device: graph_load([run], device.torch),
    "torch-compile": _compiled,
    "onnxruntime-cuda": _exported,
}

_OF_TORCH = ("torch-eager", "torch-cudagraph")  # runtimes that call torch's Python functions


def inputs_of(
    built: Built, batch_size: int, device: torch.device, generator: torch.Generator
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Draw ``args`` and ``kwargs`` of one pass: reals from N(0,1), ids uniform over the vocabulary, masks of ones."""
    fed = {name: _drawn(spec, batch_size, device, generator) for name, spec in built.inputs.items()}
    return (tuple(fed.values()), {}) if built.args else ((), fed)


def _drawn(spec: InputSpec, batch_size: int, device: torch.device, generator: torch.Generator) -> torch.Tensor:
    dtype: torch.dtype = getattr(torch, spec.dtype)
    tensor = torch.empty((batch_size, *spec.shape[1:]), dtype=dtype, device=device)
    if spec.below is not None:
        return tensor.random_(0, spec.below, generator=generator)
    return tensor.normal_(generator=generator) if dtype.is_floating_point else tensor.fill_(1)


FUSED = ("_native_multi_head_attention", "_transformer_encoder_layer_fwd")
"""Functions ``nn.MultiheadAttention`` and ``nn.TransformerEncoderLayer`` call on fast paths, by name."""


@contextmanager
def fused_calls() -> Iterator[list[str]]:
    """Record the names of ``FUSED`` that are called inside the block, once for each call."""
    called: list[str] = []
    before = {name: getattr(torch, name) for name in FUSED}
    for name, function in before.items():
        setattr(torch, name, _noting(name, function, called))
    try:
        yield called
    finally:
        for name, function in before.items():
            setattr(torch, name, function)


def _noting(name: str, function: Callable[..., Any], called: list[str]) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        called.append(name)
        return function(*args, **kwargs)

    return noted
