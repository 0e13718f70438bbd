"""Weights of recurrent layers where cuDNN wants them: one after the other in one block of memory.

Elsewhere it copies them at each call, which no network does (``torch.nn.RNNBase.flatten_parameters``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from joulecast.readers.module.calls import Call, TensorRef
from joulecast_calibration.measure.loads.callables import named_arguments
from joulecast_calibration.measure.loads.data import base_name

_MODES = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN_TANH", "rnn_relu": "RNN_RELU"}


def flattened(call: Call, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """``tensors`` with the weights moved into one block, on a CUDA device; they keep their values."""
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
    """Of the input, the hidden state, and its projection, 0 where there is none."""
    states = [call.tensors[state.position] for state in _listed(named["hx"])]
    hidden, output = states[-1].shape[-1], states[0].shape[-1]
    return call.tensors[named["input"].position].shape[-1], hidden, output if output != hidden else 0


def _listed(value: Any) -> Sequence[TensorRef]:
    return [value] if isinstance(value, TensorRef) else value


def _replaced(tensors: list[torch.Tensor], places: Sequence[int], new: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    given = dict(zip(places, new, strict=True))
    return [given.get(place, tensor) for place, tensor in enumerate(tensors)]
