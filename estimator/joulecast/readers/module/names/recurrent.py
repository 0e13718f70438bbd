"""Recurrent layers and cells: a node a layer, as ONNX has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from joulecast.readers.module.calls import TensorSpec
from joulecast.readers.module.names.reading import NamingRule, Reading, entry

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STATES = {"LSTM": 2, "GRU": 1, "RNN": 1}
PROJECTED = (3, 5)
"""Weights a direction where the last one projects the state: of input and state, perhaps with biases, and it."""


def _recurrent(op_type: str) -> NamingRule:
    """Return the rule of a layer with all weights in ``params``.

    The call is ``op(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)``.
    """

    def rule(reading: Reading) -> None:
        given = reading.given("input")
        layers, directions = reading.value("num_layers"), 2 if reading.value("bidirectional") else 1
        weights = _specs(reading, "params")
        width = len(weights) // (layers * directions)
        layout = int(bool(reading.value("batch_first", False)))
        data, states = given.name, reading.names("hx")
        output = reading.output
        inner = (*output.shape[:-1], weights[1].shape[-1] * directions)
        for layer in range(layers):
            first = layer * directions * width
            own = [weights[first + d * width : first + (d + 1) * width] for d in range(directions)]
            last = layer == layers - 1
            result = output.name if last else reading.tensor(f"layer{layer}", inner, output.dtype)
            projections = [direction.pop() for direction in own] if width in PROJECTED else []
            cells = _cells(reading, layer, projections, output) if projections else result
            _layer(reading, op_type, data, own, states, cells, last=last, layout=layout, layer=layer)
            if projections:
                _projected(reading, layer, projections, cells, result)
            data = result

    return entry(rule, "input hx params has_biases num_layers dropout train bidirectional batch_first")


def _cells(reading: Reading, layer: int, projections: Sequence[TensorSpec], output: TensorSpec) -> str:
    """Add the cells of a layer and return their output before it is projected."""
    shape = (*output.shape[:-1], len(projections) * projections[0].shape[1])
    return reading.tensor(f"cells{layer}", shape, output.dtype)


def _projected(reading: Reading, layer: int, projections: Sequence[TensorSpec], cells: str, result: str) -> None:
    """Add the product of each direction's cells ``(…, hidden)`` and its own matrix ``(state, hidden)``."""
    state, hidden = projections[0].shape
    leading, dtype = (reading.tensors[cells].shape or ())[:-1], reading.output.dtype
    halves = [reading.tensor(f"half{layer}.{d}", (*leading, hidden), dtype) for d in range(len(projections))]
    states = [reading.tensor(f"state{layer}.{d}", (*leading, state), dtype) for d in range(len(projections))]
    reading.node("Split", (cells,), halves, axis=-1)
    for half, matrix, projected in zip(halves, projections, states, strict=True):
        reading.node("Gemm", (half, matrix.name), (projected,), transB=1)
    reading.node("Concat", states, (result,), axis=-1)


def _layer(
    reading: Reading,
    op_type: str,
    data: str,
    own: Sequence[Sequence[TensorSpec]],
    states: Sequence[str],
    result: str,
    *,
    last: bool,
    layout: int,
    layer: int,
) -> None:
    biases = [spec for direction in own for spec in direction[2:4]]
    stacked = [
        _stacked(reading, f"W{layer}", [direction[0] for direction in own]),
        _stacked(reading, f"R{layer}", [direction[1] for direction in own]),
        _stacked(reading, f"B{layer}", biases) if biases else "",
    ]
    reading.node(
        op_type,
        (data, *stacked, "", *states),
        (result, *(reading.outputs[1 : 1 + STATES[op_type]] if last else ())),
        hidden_size=own[0][0].shape[0] // GATES[op_type],
        direction="bidirectional" if len(own) == 2 else "forward",
        layout=layout,
    )


def _stacked(reading: Reading, suffix: str, parts: Sequence[TensorSpec]) -> str:
    """Return the weights of all directions as one stored value."""
    rows = sum(part.shape[0] for part in parts)
    return reading.tensor(
        suffix,
        (1, rows, *parts[0].shape[1:]),
        parts[0].dtype,
        role="parameter" if any(part.role == "parameter" for part in parts) else "constant",
        of=[part.name for part in parts],
    )


def _specs(reading: Reading, name: str) -> list[TensorSpec]:
    return [reading.call.tensors[value.position] for value in reading.value(name)]


def _cell(op_type: str) -> NamingRule:
    """Return the rule of ``op(input, hx, w_ih, w_hh, b_ih, b_hh)``: one step."""

    def rule(reading: Reading) -> None:
        given = reading.given("input")
        weights = [spec for name in ("w_ih", "w_hh", "b_ih", "b_hh") if (spec := reading.spec(name)) is not None]
        step = reading.tensor("step", (1, given.shape[0], given.shape[-1]), given.dtype)
        result = reading.tensor("state", (1, *reading.output.shape), reading.output.dtype)
        reading.node("Unsqueeze", (given.name,), (step,))
        _layer(reading, op_type, step, [weights], reading.names("hx"), result, last=False, layout=0, layer=0)
        reading.node("Squeeze", (result,), reading.outputs)

    return entry(rule, "input hx w_ih w_hh b_ih b_hh")


_V = "torch._C._VariableFunctions"

TABLE: Mapping[str, NamingRule] = {
    f"{_V}.lstm": _recurrent("LSTM"),
    f"{_V}.gru": _recurrent("GRU"),
    f"{_V}.rnn_tanh": _recurrent("RNN"),
    f"{_V}.rnn_relu": _recurrent("RNN"),
    f"{_V}.lstm_cell": _cell("LSTM"),
    f"{_V}.gru_cell": _cell("GRU"),
    f"{_V}.rnn_tanh_cell": _cell("RNN"),
    f"{_V}.rnn_relu_cell": _cell("RNN"),
}
