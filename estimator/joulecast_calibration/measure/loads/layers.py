"""Build a load of one recorded call: real tensors, sets of buffers in turn, executed by a CUDA graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from joulecast.errors import MeasurementError
from joulecast.readers.module.calls import Call, TensorRef
from joulecast_calibration.measure.loads.buffers import set_count, shared_positions
from joulecast_calibration.measure.loads.callables import callable_of, invocation, named_arguments, out_of_place
from joulecast_calibration.measure.loads.capture import graph_load
from joulecast_calibration.measure.loads.counts import call_counts
from joulecast_calibration.measure.loads.data import base_name, tensors_of
from joulecast_calibration.measure.loads.devices import Device, described_errors
from joulecast_calibration.measure.loads.health import all_finite, leaves
from joulecast_calibration.measure.loads.precision import arithmetic, in_precision
from joulecast_calibration.measure.loads.prepared import Prepared
from joulecast_calibration.measure.loads.streams import Runnable

L2_STATES = ("rotated", "hot")


@contextmanager
def layer_load(
    call: Call,
    *,
    device: Device,
    precision: str = "default",
    l2_state: str = "rotated",
    seed: int = 0,
    families: tuple[str, ...] = (),
) -> Iterator[Prepared]:
    """Build and run a load of ``call``, with the columns of its row; its memory is freed after the block.

    ``l2_state``: ``rotated`` over as many sets of buffers as displace each other from the last cache, or ``hot``, one
    set. Data are drawn from ``seed``. ``families``: lineages of the networks that have the layer.

    Raises MeasurementError (RefusedFunction, OutOfMemory, CaptureFailed, ExecutionFailed, DeviceLost).
    """
    if l2_state not in L2_STATES:
        raise MeasurementError(f"unknown state of the cache {l2_state!r}: choose from {', '.join(L2_STATES)}")
    with described_errors(device, f"layer {call.function} {call.digest}"), arithmetic(precision):
        device.reset_peak()
        layer = LayerRuns(in_precision(call, precision), device, sets=1 if l2_state == "hot" else 0, seed=seed)
        load = graph_load(layer.runs, device.torch)
        counts = call_counts(layer.call, families)
        columns = {**counts.columns, **layer.columns(), "l2_state": l2_state, "precision": precision}
        layer.runs.clear()
        try:
            yield Prepared(load=load, columns={**columns, "peak_memory_bytes": device.peak_bytes()}, graph=counts.graph)
        finally:
            load.close()


class LayerRuns:
    """A call with its sets of buffers.

    - ``runs``: the call on each of its sets of buffers.
    - ``sets``: number of sets; 0 for as many as the cache requires.
    """

    def __init__(self, call: Call, device: Device, *, sets: int = 0, seed: int = 0) -> None:
        self._device = device
        count = min(sets or set_count(call, device), set_count(call, device))
        with torch.no_grad():
            buffers = self._buffers(call, count, seed)
            self.executed, self.finite, self.call = executed(call, buffers[0], device.torch)
        function = callable_of(self.executed)
        self.runs: list[Runnable] = [_run(function, call, tensors, device.torch) for tensors in buffers]

    def _buffers(self, call: Call, count: int, seed: int) -> list[list[torch.Tensor]]:
        generator = torch.Generator(self._device.torch).manual_seed(seed)
        first = flattened(call, tensors_of(call, self._device.torch, generator))
        shared = shared_positions(call)
        buffers = [first]
        for _ in range(count - 1):
            drawn = tensors_of(call, self._device.torch, generator, given={place: first[place] for place in shared})
            buffers.append(flattened(call, drawn))
        return buffers

    def columns(self) -> dict[str, Any]:
        """Return the columns of its row beside its counts."""
        return {
            "executed": self.executed,
            "buffer_sets": len(self.runs),
            "finite": self.finite,
            "valid": self.finite,
            **({} if self.finite else {"invalid_reason": "not finite"}),
        }


def _run(function: Callable[..., Any], call: Call, tensors: Sequence[torch.Tensor], device: torch.device) -> Runnable:
    args, kwargs = invocation(call, tensors, device)
    return partial(function, *args, **kwargs)


def executed(call: Call, tensors: Sequence[torch.Tensor], device: torch.device) -> tuple[str, bool, Call]:
    """Execute the call once to find out what is really run.

    Returns the name of the function that is run in place of the recorded one (see ``out_of_place``), whether its result
    is finite, and the call with its outputs as they really are.

    Raises MeasurementError (ExecutionFailed) where they have other shapes than recorded.
    """
    other = out_of_place(call.function)
    if other is not None:
        result = leaves(_run(callable_of(other), call, tensors, device)())
        if _as_recorded(call, result, dtypes=True):
            return other, _finite(call, result), call
    result = leaves(_run(callable_of(call.function), call, tensors, device)())
    if not _as_recorded(call, result):
        raise MeasurementError(
            f"{call.function} {call.digest} gives {[tuple(tensor.shape) for tensor in result]} with torch"
            f" {torch.__version__} and {[spec.shape for spec in call.outputs]} in the suite's index: rebuild the index",
            reason="ExecutionFailed",
        )
    return call.function, _finite(call, result), _observed(call, result)


def _as_recorded(call: Call, result: Sequence[torch.Tensor], *, dtypes: bool = False) -> bool:
    shapes = [tuple(tensor.shape) for tensor in result] == [spec.shape for spec in call.outputs]
    return shapes and (not dtypes or [_dtype(tensor) for tensor in result] == [spec.dtype for spec in call.outputs])


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _observed(call: Call, result: Sequence[torch.Tensor]) -> Call:
    """Return the call with the output dtypes that were observed, which a converted call does not hold."""
    outputs = zip(call.outputs, result, strict=True)
    return replace(call, outputs=tuple(replace(spec, dtype=_dtype(tensor)) for spec, tensor in outputs))


def _finite(call: Call, result: Sequence[torch.Tensor]) -> bool:
    """Return whether there is no NaN, and no infinity unless the call itself names one, as a mask does."""
    return all_finite(result, infinite=any(_infinite(value) for value in (*call.args, *call.kwargs.values())))


def _infinite(value: Any) -> bool:
    return isinstance(value, float) and math.isinf(value)


_MODES = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN_TANH", "rnn_relu": "RNN_RELU"}


def flattened(call: Call, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """Move the weights in ``tensors`` into one block on a CUDA device, with unchanged values."""
    mode = _MODES.get(base_name(call.function))
    if mode is None or not tensors[0].is_cuda or not torch.backends.cudnn.is_acceptable(tensors[0]):  # type: ignore[no-untyped-call]
        return tensors
    from torch.backends.cudnn.rnn import get_cudnn_mode

    named = named_arguments(call)
    places = [reference.position for reference in named["params"]]
    weights = [tensors[place].clone() for place in places]
    input_size, hidden_size, projected = _sizes(call, named)
    torch._cudnn_rnn_flatten_weight(
        weights,
        len(weights) // (named["num_layers"] * (2 if named["bidirectional"] else 1)),
        input_size,
        get_cudnn_mode(mode),  # type: ignore[no-untyped-call]
        hidden_size,
        projected,
        named["num_layers"],
        named["batch_first"],
        named["bidirectional"],
    )
    return _replaced(tensors, places, weights)


def _sizes(call: Call, named: dict[str, Any]) -> tuple[int, int, int]:
    """Return the sizes of the input, of the hidden state, and of its projection (0 without a projection)."""
    states = [call.tensors[state.position] for state in _listed(named["hx"])]
    hidden, output = states[-1].shape[-1], states[0].shape[-1]
    return call.tensors[named["input"].position].shape[-1], hidden, output if output != hidden else 0


def _listed(value: Any) -> Sequence[TensorRef]:
    return [value] if isinstance(value, TensorRef) else value


def _replaced(tensors: list[torch.Tensor], places: Sequence[int], new: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    given = dict(zip(places, new, strict=True))
    return [given.get(place, tensor) for place, tensor in enumerate(tensors)]
